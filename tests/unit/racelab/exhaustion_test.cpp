// SPDX-License-Identifier: Apache-2.0
#include "bench/racelab/exhaustion.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace noclash::racelab::exhaustion_test {
namespace {

constexpr ExhaustionOptions options{1000, 3};

double share(Allocator allocator, double occupancy_percent) {
    const auto result = run_exhaustion(options, allocator, occupancy_percent);
    return static_cast<double>(result.succeeded) / static_cast<double>(result.attempts);
}

TEST(ModelExhaustion, AnEmptyDestinationTakesOneTryAndAFullOneRefuses) {
    for (const Allocator allocator : all_allocators) {
        const auto empty = run_exhaustion(options, allocator, 0);
        EXPECT_EQ(empty.succeeded, empty.attempts) << name_of(allocator);
        EXPECT_NEAR(empty.tries_mean, 1, 0.1) << name_of(allocator);
        const auto full = run_exhaustion(options, allocator, 100);
        EXPECT_EQ(full.free_ports, 0U);
        EXPECT_EQ(full.succeeded, 0U) << name_of(allocator);
    }
}

TEST(ModelExhaustion, TenTriesSucceedAsTheBinomialSays) {
    for (const double occupancy : {50.0, 90.0, 99.0})
        EXPECT_NEAR(share(Allocator::ten_tries, occupancy), 1 - std::pow(occupancy / 100, 10),
                    0.06);
}

TEST(ModelExhaustion, NetfilterGivesUpAfterThePortItKeepsAnd248Others) {
    const auto full = run_exhaustion(options, Allocator::netfilter, 100);
    EXPECT_DOUBLE_EQ(full.tries_mean, 249);
    EXPECT_LT(share(Allocator::netfilter, 99.9), 0.5);
}

TEST(ModelExhaustion, NoclashFindsEveryFreePort) {
    EXPECT_EQ(share(Allocator::noclash, 99.9), 1);
    EXPECT_EQ(share(Allocator::noclash, 99.998), 1) << "one is free";
}

TEST(ModelExhaustion, OccupancyStaysWhatItWas) {
    for (const Allocator allocator : all_allocators)
        EXPECT_EQ(run_exhaustion(options, allocator, 50).free_ports, 32'256U);
}

}  // namespace
}  // namespace noclash::racelab::exhaustion_test
