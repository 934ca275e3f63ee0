// SPDX-License-Identifier: Apache-2.0
#include "tools/health/standing.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace noclash::health::standing_test {
namespace {

/// What each result of a row makes of the health: U and D where it changes to up and down, else a
/// dot. In `results`, + is a success.
std::string changes(Standing& standing, std::string_view results) {
    std::string text;
    for (const char result : results) {
        const bool changed = standing.add(result == '+');
        text += changed ? (standing.health() == Health::up ? 'U' : 'D') : '.';
    }
    return text;
}

TEST(Standing, ChangesAfterSoManyResultsInARow) {
    Standing standing(2, 3, Health::unknown);
    EXPECT_EQ(changes(standing, "++"), ".U");
    EXPECT_EQ(changes(standing, "---"), "..D");
    EXPECT_EQ(standing.row(), 3U);
    EXPECT_EQ(standing.needed(), 3U);
    EXPECT_EQ(changes(standing, "----++"), ".....U");
    EXPECT_EQ(standing.needed(), 2U);
}

TEST(Standing, ARowThatIsBrokenBeginsAnew) {
    Standing standing(2, 3, Health::up);
    EXPECT_EQ(changes(standing, "--+--+---"), "........D");
    EXPECT_EQ(changes(standing, "+-+-++"), ".....U");
}

TEST(Standing, AnUnknownHealthNeedsARowToo) {
    Standing standing(2, 3, Health::unknown);
    EXPECT_EQ(changes(standing, "--+--"), ".....");
    EXPECT_EQ(standing.health(), Health::unknown);
    EXPECT_EQ(changes(standing, "-"), "D");
}

TEST(Standing, WhatIsSoAlreadyIsNoChange) {
    Standing down(1, 1, Health::down);
    EXPECT_EQ(changes(down, "--"), "..");
    EXPECT_EQ(changes(down, "+-+"), "UDU");
}

}  // namespace
}  // namespace noclash::health::standing_test
