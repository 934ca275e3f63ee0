// SPDX-License-Identifier: Apache-2.0
#include "tools/cpsload/pace.hpp"

#include <gtest/gtest.h>

#include "tools/cpsload/search.hpp"

namespace noclash::cpsload::pace_test {
namespace {

constexpr Time turn = 10'000;

std::uint64_t opened(Pace& pace, Time from, Time to, std::uint32_t most = 256) {
    std::uint64_t count = 0;
    for (Time now = from; now < to; now += turn)
        count += pace.due(now, most);
    return count;
}

TEST(Pace, KeepsARate) {
    for (const double rate : {1.0, 999.0, 50'000.0, 2'000'000.0}) {
        Pace pace({0, rate, 0}, 0);
        EXPECT_NEAR(static_cast<double>(opened(pace, 0, 3 * second)), 3 * rate, 0.001 * rate + 2);
        EXPECT_EQ(pace.missed(), 0U);
    }
}

TEST(Pace, Ramps) {
    Pace pace({1000, 3000, 2 * second}, 0);
    EXPECT_NEAR(static_cast<double>(opened(pace, 0, second)), 1500, 5);
    EXPECT_NEAR(static_cast<double>(opened(pace, second, 2 * second)), 2500, 5);
    EXPECT_NEAR(static_cast<double>(opened(pace, 2 * second, 3 * second)), 3000, 5);
}

TEST(Pace, CatchesUpEvenly) {
    Pace pace({0, 100'000, 0}, 0);
    static_cast<void>(opened(pace, 0, second));
    // Away for 20 ms: 2,000 are due, and come at twice the rate for as long again.
    const Time back = second + 20 * millisecond;
    EXPECT_LE(pace.due(back, 100'000), 250U);
    EXPECT_NEAR(static_cast<double>(opened(pace, back, back + 5 * millisecond, 100'000)), 1000,
                260);
    EXPECT_NEAR(static_cast<double>(opened(pace, back + 5 * millisecond, 2 * second, 100'000)),
                98'000 + 1000, 500);
    EXPECT_EQ(pace.missed(), 0U);
}

TEST(Pace, LeavesOutAndCountsWhatIsTooLate) {
    Pace pace({0, 10'000, 0}, 0);
    static_cast<void>(pace.due(second, 1));
    EXPECT_EQ(pace.missed(), 8000U);  // all but the depth of 200 ms
}

TEST(Pace, GivesAgainWhatIsPutBack) {
    Pace pace({0, 10'000, 0}, 0);
    const std::uint64_t first = opened(pace, 0, second);
    pace.put_back(500);
    EXPECT_NEAR(static_cast<double>(opened(pace, second, 2 * second)),
                10'500 + 10'000 - static_cast<double>(first), 20);
}

TEST(Pace, WithoutARateGivesAllThereIsRoomFor) {
    Pace pace({}, 0);
    EXPECT_EQ(pace.due(0, 77), 77U);
    EXPECT_EQ(pace.due(0, 77), 77U);
}

/// A gateway that bears so many a second.
std::function<std::optional<Trial>(double)> bears(double limit, int& trials) {
    return [limit, &trials](double rate) {
        ++trials;
        Trial trial;
        trial.wanted_cps = trial.opened_cps = rate;
        trial.passed = rate <= limit;
        return std::optional(trial);
    };
}

TEST(Search, FindsTheHighestRate) {
    for (const double limit : {1.0, 999.0, 1000.0, 12'345.0, 3'999'999.0}) {
        int trials = 0;
        const double found = search({}, bears(limit, trials));
        EXPECT_LE(found, limit);
        EXPECT_GE(found, limit - std::max(0.035 * limit, 1.0));
        EXPECT_LT(trials, 25);
    }
}

TEST(Search, EndsAtTheHighestRateItMayTry) {
    SearchOptions options;
    options.to_cps = 5000;
    int trials = 0;
    EXPECT_EQ(search(options, bears(1e9, trials)), 5000);
    EXPECT_EQ(trials, 4);  // 1,000, 2,000, 4,000, 5,000
}

TEST(Search, SaysWhenNoRatePasses) {
    int trials = 0;
    EXPECT_EQ(search({}, bears(0, trials)), 0);
}

TEST(Search, TriesALossyRateAsOftenAsItMay) {
    SearchOptions options;
    options.attempts = 3;
    options.to_cps = 1000;
    int trials = 0;
    const auto third_time_lucky = [&](double rate) {
        Trial trial;
        trial.opened_cps = rate;
        trial.passed = ++trials == 3;
        return std::optional(trial);
    };
    EXPECT_EQ(search(options, third_time_lucky), 1000);
}

TEST(Search, DoesNotCountATrialThatTheTesterCouldNotMake) {
    SearchOptions options;
    options.to_cps = 1000;
    int trials = 0;
    const auto starved_at_first = [&](double rate) {
        Trial trial;
        trial.opened_cps = rate;
        trial.passed = ++trials == 2;
        trial.attained = trials > 1;
        return std::optional(trial);
    };
    EXPECT_EQ(search(options, starved_at_first), 1000);
}

TEST(Search, EndsWhenATrialIsInterrupted) {
    int trials = 0;
    const auto interrupted = [&](double rate) -> std::optional<Trial> {
        if (++trials == 3) return std::nullopt;
        Trial trial;
        trial.opened_cps = rate;
        trial.passed = true;
        return trial;
    };
    EXPECT_EQ(search({}, interrupted), 2000);
}

}  // namespace
}  // namespace noclash::cpsload::pace_test
