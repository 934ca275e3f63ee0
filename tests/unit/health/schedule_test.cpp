// SPDX-License-Identifier: Apache-2.0
#include "tools/health/schedule.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <vector>

namespace noclash::health::schedule_test {
namespace {

using testing::AllOf;
using testing::Each;
using testing::Ge;
using testing::Le;

constexpr std::uint64_t ms = 1'000'000;
constexpr std::uint64_t s = 1000 * ms;
constexpr std::uint64_t begin = 77 * s;  // any moment

using Moments = std::vector<std::uint64_t>;

/// When checks begin, by target, where each takes `took_ns` and the clock goes in steps.
std::map<TargetId, Moments> run(Schedule& schedule, std::uint64_t until, std::uint64_t took_ns = 0,
                                std::uint64_t step = ms) {
    std::map<TargetId, Moments> moments;
    std::multimap<std::uint64_t, TargetId> ends;
    for (std::uint64_t now = begin; now < until; now += step) {
        while (!ends.empty() && ends.begin()->first <= now) {
            schedule.ended(ends.begin()->second, now);
            ends.erase(ends.begin());
        }
        while (const auto id = schedule.next(now)) {
            moments[*id].push_back(now);
            ends.emplace(now + took_ns, *id);
            if (took_ns == 0) {
                ends.clear();
                schedule.ended(*id, now);
            }
        }
    }
    return moments;
}

Moments gaps_of(const Moments& moments) {
    Moments gaps;
    for (std::size_t i = 1; i < moments.size(); ++i)
        gaps.push_back(moments[i] - moments[i - 1]);
    return gaps;
}

TEST(Schedule, KeepsTheIntervalWhateverChecksTake) {
    Schedule schedule({}, 1);
    schedule.add(1, s, 0, begin);
    const Moments moments = run(schedule, begin + 100 * s, 900 * ms)[1];
    EXPECT_LT(moments.front(), begin + s);
    EXPECT_EQ(moments.size(), 100U);
    EXPECT_THAT(gaps_of(moments), Each(s));
    EXPECT_EQ(schedule.late(), 0U);
}

TEST(Schedule, JittersAroundTheInterval) {
    Schedule schedule({}, 2);
    schedule.add(1, s, 10, begin);
    const Moments moments = run(schedule, begin + 1000 * s)[1];
    const Moments gaps = gaps_of(moments);
    EXPECT_THAT(gaps, Each(AllOf(Ge(899 * ms), Le(1101 * ms))));
    EXPECT_LT(*std::ranges::min_element(gaps), 920 * ms);
    EXPECT_GT(*std::ranges::max_element(gaps), 1080 * ms);
    // The mean of 1,000 draws, each within 100 ms to either side.
    const std::uint64_t mean = (moments.back() - moments.front()) / gaps.size();
    EXPECT_NEAR(static_cast<double>(mean), static_cast<double>(s), 10.0 * ms);
}

TEST(Schedule, SpreadsFirstChecksOverAnInterval) {
    Schedule schedule({}, 3);
    for (TargetId id = 1; id <= 1000; ++id)
        schedule.add(id, s, 0, begin);
    std::array<int, 4> quarters{};
    for (const auto& [id, moments] : run(schedule, begin + s))
        ++quarters.at((moments.front() - begin) / (s / 4 + 1));
    EXPECT_THAT(quarters, Each(AllOf(Ge(150), Le(350))));
}

TEST(Schedule, ChecksATargetByOneCheckAtATime) {
    Schedule schedule({}, 4);
    schedule.add(1, 100 * ms, 0, begin);
    const Moments moments = run(schedule, begin + 10 * s, 250 * ms)[1];
    EXPECT_THAT(gaps_of(moments), Each(AllOf(Ge(250 * ms), Le(251 * ms))));
}

TEST(Schedule, BeginsNoMoreChecksASecondThanItMay) {
    Schedule schedule({.checks_per_s = 100, .in_flight = 1000}, 5);
    for (TargetId id = 1; id <= 500; ++id)
        schedule.add(id, s, 0, begin);
    std::size_t first = 0;
    std::size_t all = 0;
    for (const auto& [id, moments] : run(schedule, begin + 10 * s)) {
        all += moments.size();
        first += static_cast<std::size_t>(
            std::ranges::count_if(moments, [](auto at) { return at < begin + s; }));
    }
    EXPECT_LE(first, 102U);
    EXPECT_GE(first, 95U);
    EXPECT_LE(all, 1002U);
    EXPECT_GE(all, 990U);
    EXPECT_GT(schedule.late(), 500U);
}

TEST(Schedule, CatchesUpWithLittleAtOnce) {
    Schedule schedule({.checks_per_s = 1000, .in_flight = 1000}, 6);
    for (TargetId id = 1; id <= 500; ++id)
        schedule.add(id, s, 0, begin);
    std::size_t at_once = 0;
    while (schedule.next(begin + 5 * s))  // the loop slept for 5 s
        ++at_once;
    EXPECT_GE(at_once, 10U);
    EXPECT_LE(at_once, 11U);
    EXPECT_EQ(schedule.wake_ns(), begin + 5 * s + ms);
}

TEST(Schedule, HasNoMoreInFlightThanItMay) {
    Schedule schedule({.checks_per_s = 100'000, .in_flight = 7}, 7);
    for (TargetId id = 1; id <= 100; ++id)
        schedule.add(id, s, 0, begin);
    std::vector<TargetId> begun;
    for (std::uint64_t now = begin; now < begin + s; now += ms) {
        while (const auto id = schedule.next(now))
            begun.push_back(*id);
    }
    EXPECT_EQ(begun.size(), 7U);
    EXPECT_EQ(schedule.in_flight(), 7U);
    EXPECT_EQ(schedule.wake_ns(), UINT64_MAX);
    schedule.ended(begun.front(), begin + s);
    EXPECT_TRUE(schedule.next(begin + s));
}

TEST(Schedule, WhatIsRemovedBeginsNoMoreAndStillEnds) {
    Schedule schedule({.checks_per_s = 1000, .in_flight = 1}, 8);
    schedule.add(1, s, 0, begin);
    schedule.add(2, s, 0, begin);
    const auto first = schedule.next(begin + s);
    ASSERT_TRUE(first);
    schedule.remove(1);
    schedule.remove(2);
    schedule.add(3, s, 0, begin);
    EXPECT_FALSE(schedule.next(begin + s));  // the one that is removed is still in flight
    schedule.ended(*first, begin + s);
    EXPECT_EQ(schedule.next(begin + 2 * s), 3U);
    schedule.ended(3, begin + 2 * s);
    schedule.remove(3);
    EXPECT_EQ(schedule.wake_ns(), UINT64_MAX);
}

TEST(Schedule, SaysWhenTheNextIsDue) {
    Schedule schedule({}, 9);
    EXPECT_EQ(schedule.wake_ns(), UINT64_MAX);
    schedule.add(1, s, 0, begin);
    const std::uint64_t due = schedule.wake_ns();
    EXPECT_GE(due, begin);
    EXPECT_LT(due, begin + s);
    EXPECT_TRUE(due == begin || !schedule.next(due - 1));
    EXPECT_EQ(schedule.next(due), 1U);
    schedule.ended(1, due + 10 * ms);
    EXPECT_EQ(schedule.wake_ns(), due + s);
}

}  // namespace
}  // namespace noclash::health::schedule_test
