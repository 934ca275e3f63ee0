// SPDX-License-Identifier: Apache-2.0

// Which batches of the pipeline's bench count: those at the CPU's full pace, whatever else was
// seen.

#include <gtest/gtest.h>

#include "bench/pipeline/pace_levels.hpp"

namespace noclash::bench::pace_levels_test {
namespace {

/// As on a core at 6.5 additions a cycle: samples differ by 1 %.
void add(PaceLevels& levels, double pace, unsigned times) {
    for (unsigned i = 0; i < times; ++i)
        levels.add(pace * (1 + 0.002 * (i % 5)));
}

TEST(PaceLevels, TheFirstSampleIsFull) {
    PaceLevels levels;
    EXPECT_EQ(levels.full(), 0);
    levels.add(6.5);
    EXPECT_TRUE(levels.is_full(6.5));
    EXPECT_FALSE(levels.is_full(4.5));
}

TEST(PaceLevels, ATurboStepDiscardsNothing) {
    PaceLevels levels;
    add(levels, 6.5, 1000);
    levels.add(7.5);
    levels.add(13);  // the clock was read in between
    EXPECT_TRUE(levels.is_full(6.5));
    add(levels, 6.5, 1000);
    EXPECT_TRUE(levels.is_full(6.4));
    EXPECT_NEAR(levels.full(), 6.5, 0.2);
}

TEST(PaceLevels, AnHourOfTurboDiscardsNothingEither) {
    PaceLevels levels;
    add(levels, 6.5, 500);
    add(levels, 7.5, 500);
    EXPECT_NEAR(levels.full(), 7.5, 0.2);
    EXPECT_TRUE(levels.is_full(6.5));
}

/// A neighbour on the other thread leaves half: that is no full pace, though most samples have it.
TEST(PaceLevels, ANeighborIsSeenHoweverLongItStays) {
    PaceLevels levels;
    add(levels, 6.5, 50);
    add(levels, 3.6, 950);
    EXPECT_TRUE(levels.is_full(6.4));
    EXPECT_FALSE(levels.is_full(3.6));
    EXPECT_FALSE(levels.is_full(4.3));
}

TEST(PaceLevels, AnyUnit) {
    PaceLevels slow, fast;
    add(slow, 0.02, 100);
    add(fast, 200, 100);
    EXPECT_TRUE(slow.is_full(0.02));
    EXPECT_FALSE(slow.is_full(0.012));
    EXPECT_TRUE(fast.is_full(200));
    EXPECT_FALSE(fast.is_full(120));
}

}  // namespace
}  // namespace noclash::bench::pace_levels_test
