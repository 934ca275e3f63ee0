// SPDX-License-Identifier: Apache-2.0
#include "nat/policy/inhibition.hpp"

#include <gtest/gtest.h>

namespace noclash::nat::inhibition_test {
namespace {

using enum InhibitionStep;

/// One backend, a clock, and a table that does what it is told.
struct Inhibited : testing::Test {
    InhibitionStep look(std::uint64_t later_ms = 0) {
        now_ms += later_ms;
        const InhibitionStep step =
            look_at_inhibition(rule, results, is_inhibited, is_active, now_ms);
        if (step != none) is_inhibited = step == begins;
        return step;
    }
    void fail(int times) {
        for (int i = 0; i < times; ++i)
            results.fail(now_ms);
    }
    std::uint64_t length_ms() const { return results.inhibition.until_ms - now_ms; }

    Inhibit rule{3, 10, 300};
    OpeningResults results;
    bool is_inhibited = false, is_active = true;
    std::uint64_t now_ms = 5'000'000;
};

TEST_F(Inhibited, ThreeFailuresInARow) {
    fail(2);
    EXPECT_EQ(look(), none);
    results.succeed();
    fail(2);
    EXPECT_EQ(look(), none) << "not in a row";
    fail(1);
    EXPECT_EQ(look(), begins);
    EXPECT_EQ(length_ms(), 10'000U);
    EXPECT_EQ(look(9'999), none);
    EXPECT_EQ(look(1), ends);
    EXPECT_EQ(look(1000), none) << "it is tried";
}

TEST_F(Inhibited, TheTimeDoublesUpToTheBound) {
    fail(3);
    EXPECT_EQ(look(), begins);
    for (const std::uint64_t expected_s : {20U, 40U, 80U, 160U, 300U, 300U}) {
        EXPECT_EQ(look(length_ms()), ends);
        EXPECT_EQ(look(1000), none);
        fail(1);
        ASSERT_EQ(look(), begins) << "one failure is enough";
        EXPECT_EQ(length_ms(), 1000 * expected_s);
    }
}

TEST_F(Inhibited, AnAnswerBeginsItAllAnew) {
    fail(3);
    EXPECT_EQ(look(), begins);
    EXPECT_EQ(look(length_ms()), ends);
    results.succeed();
    fail(1);
    EXPECT_EQ(look(), none);
    fail(2);
    EXPECT_EQ(look(), begins);
    EXPECT_EQ(length_ms(), 10'000U);
}

TEST_F(Inhibited, AnAnswerEndsItBeforeItsTime) {
    fail(3);
    EXPECT_EQ(look(), begins);
    fail(5);
    EXPECT_EQ(look(1000), none);
    results.succeed();
    EXPECT_EQ(look(1000), is_over);
    EXPECT_EQ(look(1000), none);
    fail(2);
    EXPECT_EQ(look(), none);
}

TEST_F(Inhibited, OpeningsFromBeforeItIsTriedAgainDoNotCount) {
    fail(3);
    EXPECT_EQ(look(), begins);
    const std::uint64_t begun_ms = now_ms + 5000;
    EXPECT_EQ(look(length_ms()), ends);
    results.fail(begun_ms);
    EXPECT_EQ(look(1000), none);
    results.fail(now_ms);
    EXPECT_EQ(look(), begins);
}

TEST_F(Inhibited, ACheckMayLiftIt) {
    fail(3);
    EXPECT_EQ(look(), begins);
    is_inhibited = false;
    EXPECT_EQ(look(1000), none);
    EXPECT_EQ(results.inhibition.until_ms, 0U);
    fail(1);
    EXPECT_EQ(look(1000), begins) << "it is on probation";
    EXPECT_EQ(length_ms(), 20'000U);
}

TEST_F(Inhibited, NobodyInhibits) {
    rule.failures = 0;
    fail(100);
    EXPECT_EQ(look(), none);
    rule.failures = 3;
    EXPECT_EQ(look(), begins);
    rule.failures = 0;
    EXPECT_EQ(look(1000), is_over);
    rule.failures = 3;
    EXPECT_EQ(look(1000), none);
}

TEST_F(Inhibited, OneFailureMayBeEnough) {
    rule = {1, 5, 5};
    fail(1);
    EXPECT_EQ(look(), begins);
    EXPECT_EQ(look(1000), none);
    EXPECT_EQ(look(4000), ends);
    EXPECT_EQ(look(1000), none);
    fail(1);
    EXPECT_EQ(look(), begins);
    EXPECT_EQ(length_ms(), 5000U);
}

TEST_F(Inhibited, WhoGetsNoFlowsIsLeftAlone) {
    is_active = false;
    fail(10);
    EXPECT_EQ(look(), none);
}

}  // namespace
}  // namespace noclash::nat::inhibition_test
