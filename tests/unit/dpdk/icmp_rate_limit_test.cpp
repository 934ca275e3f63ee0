// SPDX-License-Identifier: Apache-2.0
#include "dpdk/datapath/icmp_rate_limit.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>

namespace noclash::dpdk::icmp_rate_limit_test {
namespace {

constexpr V4Address server = V4Address::from_host(0xcb007109);
constexpr std::uint32_t strangers = 0x0a000000;  ///< and the addresses after it

class ErrorLimitTest : public ::testing::Test {
  protected:
    bool allow(V4Address to) { return limit_.allow(to, now_ms_); }

    /// Errors that go out to one address, of so many that are asked for at once.
    unsigned sent(V4Address to, unsigned wanted) {
        unsigned count = 0;
        for (unsigned i = 0; i < wanted; ++i)
            count += allow(to) ? 1U : 0U;
        return count;
    }

    /// Errors that go out, each to another address, until they are held back.
    unsigned exhaust() {
        unsigned count = 0;
        while (allow(V4Address::from_host(strangers + next_++)))
            ++count;
        return count;
    }

    std::unique_ptr<RandomBuffer> random_ = std::make_unique<RandomBuffer>();
    IcmpRateLimit limit_{*random_};
    std::uint64_t now_ms_ = 1'000'000;
    std::uint32_t next_ = 0;
};

TEST_F(ErrorLimitTest, EachDestinationHasABudget) {
    EXPECT_EQ(sent(server, 100), IcmpRateLimit::burst_of_each);
    now_ms_ += 1000;
    EXPECT_EQ(sent(server, 100), IcmpRateLimit::each_per_second);
    now_ms_ += 1000 / IcmpRateLimit::each_per_second;
    EXPECT_EQ(sent(server, 100), 1U);
}

TEST_F(ErrorLimitTest, WhatOneDestinationUsesUpIsNotMissingToAnother) {
    sent(server, 100'000);
    const V4Address other = V4Address::from_host(strangers);
    EXPECT_EQ(sent(other, 100), IcmpRateLimit::burst_of_each);
}

TEST_F(ErrorLimitTest, AllTogetherKeepTheRate) {
    exhaust();
    unsigned count = 0;
    constexpr unsigned seconds = 200;
    for (unsigned i = 0; i < seconds * 1000; ++i) {
        ++now_ms_;
        count += exhaust();
    }
    EXPECT_NEAR(count, seconds * IcmpRateLimit::per_second,
                0.05 * seconds * IcmpRateLimit::per_second);
}

TEST_F(ErrorLimitTest, ALongSilenceFillsTheBucketOnce) {
    exhaust();
    now_ms_ += std::uint64_t{1} << 40U;
    EXPECT_LT(exhaust(), 2 * IcmpRateLimit::burst);
}

/// Who sends probes in a server's name, to ports that are somebody's or nobody's, and afterwards
/// counts how many errors he can provoke himself, has to guess as if he had not.
TEST_F(ErrorLimitTest, WhatIsLeftTellsNothingOfWhatOthersProvoked) {
    constexpr unsigned trials = 1000;
    unsigned guessed = 0;
    double sum = 0;
    double squares = 0;
    for (unsigned trial = 0; trial < trials; ++trial) {
        now_ms_ += 10'000;
        const bool hits = trial % 2 == 1;
        if (hits) {
            EXPECT_EQ(sent(server, 50), IcmpRateLimit::burst_of_each);
        }
        const unsigned left = exhaust();
        // The best guess there is: midway between what is left of a budget with and without.
        const bool guess = left < IcmpRateLimit::burst - IcmpRateLimit::burst_of_each / 2;
        guessed += guess == hits ? 1U : 0U;
        sum += left;
        squares += double{1} * left * left;
    }
    const double mean = sum / trials;
    EXPECT_NEAR(mean, IcmpRateLimit::burst, 40);
    EXPECT_GT(std::sqrt(squares / trials - mean * mean), 3 * IcmpRateLimit::burst_of_each);
    EXPECT_LT(guessed, trials * 6 / 10);  // of chance, 500 with a deviation of 16
}

}  // namespace
}  // namespace noclash::dpdk::icmp_rate_limit_test
