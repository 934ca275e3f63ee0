// SPDX-License-Identifier: Apache-2.0
#include "tools/cpsload/verdict.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/unit/cpsload/wire.hpp"
#include "tools/cpsload/outcome.hpp"
#include "tools/cpsload/progress.hpp"
#include "tools/cpsload/race.hpp"

namespace noclash::cpsload::verdict_test {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

class Verdicts : public testing::Test {
  protected:
    Verdicts() {
        options.profile = "tcp-crr";
        outcome.counters.opened = outcome.counters.completed = 10;
    }
    [[nodiscard]] Verdict verdict() const { return judge(outcome.findings(options.measure)); }
    [[nodiscard]] nlohmann::json json() const {
        return nlohmann::json::parse(as_json(options, outcome));
    }
    /// A row of the report that begins with these words.
    [[nodiscard]] std::string row(const std::string& name) const {
        const std::string text = as_text(options, outcome);
        const auto at = text.find("\n  " + name);
        if (at == std::string::npos) return {};
        return text.substr(at + 1, text.find('\n', at + 1) - at - 1);
    }
    [[nodiscard]] std::string progress() const {
        return progress_line("run", {.counters = outcome.counters,
                                     .in_flight = 3,
                                     .lost_by_tester = outcome.lost_by_tester});
    }

    Options options;
    Outcome outcome;
};

TEST_F(Verdicts, NothingLost) {
    EXPECT_EQ(verdict(), Verdict::fine);
    EXPECT_EQ(exit_status(verdict()), 0);
    EXPECT_THAT(row("verdict"), HasSubstr("nothing lost, duplicated or mistranslated"));
    EXPECT_EQ(row("the tester lost"), "");
    EXPECT_THAT(progress(), Not(HasSubstr("the tester lost")));
    EXPECT_TRUE(json()["fine"]);
}

TEST_F(Verdicts, NoneWhereTheTesterLostPackets) {
    outcome.lost_by_tester = {.client = 3, .server = 20'761};
    outcome.counters.lost = 1;
    EXPECT_EQ(verdict(), Verdict::none);
    EXPECT_EQ(exit_status(verdict()), 4);
    EXPECT_THAT(row("verdict"), HasSubstr("no verdict: the tester lost 20764 packets"));
    EXPECT_THAT(row("the tester lost"), HasSubstr("3 packets at the client, 20761 at the server"));
    EXPECT_THAT(progress(), HasSubstr("no verdict: the tester lost 20764 packets"));
    EXPECT_FALSE(json()["fine"]);
    EXPECT_EQ(json()["verdict"], "none");
    EXPECT_EQ(json()["lost_by_tester"]["server"], 20'761);
}

/// Also where everything that it lost was made good for.
TEST_F(Verdicts, NoneThoughEverythingWasCompleted) {
    outcome.lost_by_tester.client = 1;
    EXPECT_EQ(verdict(), Verdict::none);
}

TEST_F(Verdicts, DelayedWhereASynHadToBeRepeated) {
    outcome.counters.retransmissions = 5;
    outcome.counters.troubled = 4;
    outcome.counters.delayed_openings = 2;
    EXPECT_EQ(verdict(), Verdict::delayed);
    EXPECT_EQ(exit_status(verdict()), 0);
    EXPECT_THAT(row("verdict"), Not(HasSubstr("nothing lost")));
    EXPECT_THAT(row("verdict"), HasSubstr("4 delayed: 5 packets had to be repeated, among "
                                          "them the first packet of 2 connections"));
    EXPECT_THAT(row("delayed connections"), HasSubstr("4, 2 of them by the first packet"));
    EXPECT_EQ(json()["verdict"], "delayed");
    EXPECT_EQ(json()["delayed_openings"], 2);
}

/// A connection that is lost or reset is not called delayed as well.
TEST_F(Verdicts, LostIsNotDelayed) {
    outcome.counters.retransmissions = 6;
    outcome.counters.troubled = 3;
    outcome.counters.lost = outcome.counters.reset = 1;
    EXPECT_EQ(verdict(), Verdict::faults);
    EXPECT_EQ(outcome.counters.delayed(), 1U);
}

TEST_F(Verdicts, ProgressAndReportUseTheSameWords) {
    outcome.counters.lost = 11;
    outcome.counters.reset = 22;
    outcome.counters.retransmissions = 33;
    EXPECT_THAT(progress(), HasSubstr("  lost 11  reset 22  repeated packets 33  "));
    EXPECT_THAT(row("lost "), MatchesRegex("  lost +11"));
    EXPECT_THAT(row("reset"), MatchesRegex("  reset +22"));
    EXPECT_THAT(row("repeated packets"), MatchesRegex("  repeated packets +33"));
}

TEST_F(Verdicts, ASearchIsNotSaidToHaveLostNothing) {
    options.measure = Measure::search;
    outcome.counters.lost = 100;
    outcome.lost_by_tester.client = 7;  // at rates that were too high
    EXPECT_EQ(verdict(), Verdict::fine);
    EXPECT_THAT(row("verdict"), HasSubstr("nothing duplicated or mistranslated"));
    outcome.limited_by_tester = true;
    EXPECT_EQ(verdict(), Verdict::none);
    EXPECT_THAT(row("verdict"), HasSubstr("the tester lost 7 packets"));
}

TEST_F(Verdicts, TheCeilingSaysWhatItContains) {
    outcome.ceiling = {.cps = 1e6, .with_devices = false};
    EXPECT_THAT(row("the tester's own ceiling"), HasSubstr("1000000/s, without its devices"));
    EXPECT_FALSE(json()["ceiling_includes_devices"]);
    outcome.ceiling.with_devices = true;
    EXPECT_THAT(row("the tester's own ceiling"), HasSubstr("1000000/s, its two devices included"));
    EXPECT_TRUE(json()["ceiling_includes_devices"]);
}

TEST_F(Verdicts, LbSaysWhereItDoesNotRace) {
    options.client.device = "af_packet:lb0";
    EXPECT_EQ(row("race for tuples"), "");
    options.profile = "lb";
    EXPECT_THAT(row("race for tuples"), HasSubstr("none: one thread sends, and af_packet"));
    EXPECT_THAT(json()["no_race"], HasSubstr("one thread sends"));
    options.client.device = "pci:0000:03:00.0";
    EXPECT_EQ(row("race for tuples"), "");
}

/// The first packets that a gateway drops are repeated, and counted as such.
class FirstPacket : public testing::TestWithParam<Kind> {};
INSTANTIATE_TEST_SUITE_P(Kinds, FirstPacket,
                         testing::Values(Kind::crr, Kind::syn, Kind::udp, Kind::dns));

TEST_P(FirstPacket, LostDelaysTheOpening) {
    Wire wire(settings_for(GetParam()), [seen = 0](const Frame& frame, Way) mutable {
        return seen++ == 0 ? std::vector<Frame>{} : std::vector<Frame>{frame};
    });
    wire.open(1);
    wire.wait(second);
    const Counters& counters = wire.ledger.counters;
    EXPECT_EQ(counters.completed, 1U);
    EXPECT_GE(counters.retransmissions, 1U);
    EXPECT_EQ(counters.delayed(), 1U);
    // The other one of two DNS queries has been answered.
    EXPECT_EQ(counters.delayed_openings, 1U);
    EXPECT_EQ(judge({.counters = counters, .lost_by_tester = {}}), Verdict::delayed);
}

TEST(FirstPacketOfTcp, LaterOnesDelayNoOpening) {
    Wire wire(settings_for(Kind::crr), [seen = 0](const Frame& frame, Way) mutable {
        return seen++ == 2 ? std::vector<Frame>{} : std::vector<Frame>{frame};
    });
    wire.open(1);
    wire.wait(second);
    EXPECT_EQ(wire.ledger.counters.delayed(), 1U);
    EXPECT_EQ(wire.ledger.counters.delayed_openings, 0U);
}

Trial trial(double wanted, bool passed, std::uint64_t lost_by_tester = 0) {
    Trial result;
    result.wanted_cps = wanted;
    result.passed = passed;
    result.attained = passed || lost_by_tester == 0;
    result.lost_by_tester = lost_by_tester;
    return result;
}

TEST(LimitedByTester, IsDecidedByTheLowestRateThatFailed) {
    EXPECT_FALSE(limited_by_tester({trial(1000, true), trial(2000, true)}));
    EXPECT_FALSE(limited_by_tester({trial(1000, true), trial(2000, false)}));
    EXPECT_TRUE(limited_by_tester({trial(1000, true), trial(2000, false, 5)}));
    // The tester was overrun far above, and the gateway failed below.
    EXPECT_FALSE(limited_by_tester(
        {trial(1000, true), trial(2000, true), trial(4000, false, 5), trial(3000, false)}));
    // The last one of several attempts counts, and a rate that passed at last has not failed.
    EXPECT_FALSE(limited_by_tester({trial(1000, false, 5), trial(1000, true)}));
    EXPECT_TRUE(limited_by_tester({trial(2000, false), trial(2000, false, 5)}));
}

}  // namespace
}  // namespace noclash::cpsload::verdict_test
