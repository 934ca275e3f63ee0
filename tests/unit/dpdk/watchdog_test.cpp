// SPDX-License-Identifier: Apache-2.0
#include "dpdk/control/watchdog.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

namespace noclash::dpdk::watchdog_test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint64_t deadline = 8000;
using Rounds = std::array<std::uint64_t, 3>;
constexpr Rounds begun{1, 2, 3};

/// As of two looks, that it began a round at another time, is all that counts.
TEST(Watchdog, IsFedWhenEachWorkerHasBegunARoundSinceTheLastTime) {
    Watchdog watchdog(deadline, begun, 0);
    const Rounds first{2000, 1999, 3};
    EXPECT_FALSE(watchdog.look(first, 2000).feed);
    const Rounds all{2000, 1999, 4};
    EXPECT_TRUE(watchdog.look(all, 2001).feed);
    EXPECT_FALSE(watchdog.look(all, 4001).feed);
    const Rounds again{4002, 4002, 4002};
    EXPECT_TRUE(watchdog.look(again, 4002).feed);
}

TEST(Watchdog, IsFedNoMoreOftenThanEveryQuarterOfTheDeadline) {
    Watchdog watchdog(deadline, begun, 0);
    EXPECT_FALSE(watchdog.look(Rounds{1999, 1999, 1999}, 1999).feed);
    EXPECT_TRUE(watchdog.look(Rounds{2000, 2000, 2000}, 2000).feed);
    EXPECT_FALSE(watchdog.look(Rounds{3999, 3999, 3999}, 3999).feed);
    EXPECT_TRUE(watchdog.look(Rounds{4000, 4000, 4000}, 4000).feed);
}

TEST(Watchdog, IsFedBeforeHalfOfTheDeadlineByACallerThatIsOnTime) {
    Watchdog watchdog(deadline, begun, 0);
    std::uint64_t fed = 0;
    for (std::uint64_t now = 1; now < 10 * deadline; now += watchdog.look_every_ms()) {
        if (!watchdog.look(Rounds{now, now, now}, now).feed) continue;
        EXPECT_LT(now - fed, deadline / 2);
        fed = now;
    }
    EXPECT_GT(fed, 9 * deadline);
}

TEST(Watchdog, StarvesWhileAWorkerStandsStillAndNamesItOnce) {
    Watchdog watchdog(deadline, begun, 0);
    bool named = false;
    for (std::uint64_t now = 1; now < 10 * deadline; now += watchdog.look_every_ms()) {
        const auto finding = watchdog.look(Rounds{now, 2, now}, now);
        EXPECT_FALSE(finding.feed) << now;
        EXPECT_THAT(finding.resumed, IsEmpty());
        if (finding.stalled.empty()) continue;
        EXPECT_THAT(finding.stalled, ElementsAre(1U));
        EXPECT_FALSE(named) << now;
        EXPECT_GE(now, deadline / 2);
        EXPECT_LT(now, deadline);
        named = true;
    }
    EXPECT_TRUE(named);
}

TEST(Watchdog, IsFedAgainAtOnceWhenTheWorkerGoesOn) {
    Watchdog watchdog(deadline, begun, 0);
    EXPECT_THAT(watchdog.look(Rounds{5000, 2, 5000}, 5000).stalled, ElementsAre(1U));
    const auto finding = watchdog.look(Rounds{5000, 6000, 5000}, 6000);
    EXPECT_TRUE(finding.feed);
    EXPECT_THAT(finding.stalled, IsEmpty());
    EXPECT_THAT(finding.resumed, ElementsAre(1U));
    // The next time that it stands still is told of as well.
    EXPECT_THAT(watchdog.look(Rounds{10'000, 6000, 10'000}, 10'000).stalled, ElementsAre(1U));
}

TEST(Watchdog, NamesEachWorkerThatStandsStill) {
    Watchdog watchdog(deadline, begun, 0);
    EXPECT_THAT(watchdog.look(Rounds{1, 2, 4000}, 4000).stalled, ElementsAre(0U, 1U));
    const auto finding = watchdog.look(Rounds{4500, 2, 4000}, 4500);
    EXPECT_FALSE(finding.feed);
    EXPECT_THAT(finding.resumed, ElementsAre(0U));
    EXPECT_THAT(finding.stalled, IsEmpty());
}

TEST(Watchdog, BlamesNoWorkerWhenItsCallerWasAway) {
    Watchdog watchdog(deadline, begun, 0);
    const auto finding = watchdog.look(Rounds{7990, 7991, 7992}, 7992);
    EXPECT_TRUE(finding.feed);
    EXPECT_THAT(finding.stalled, IsEmpty());
}

TEST(Watchdog, AsksForALookThatIsNeverZeroAway) {
    EXPECT_EQ(Watchdog(1, begun, 0).look_every_ms(), 1U);
}

}  // namespace
}  // namespace noclash::dpdk::watchdog_test
