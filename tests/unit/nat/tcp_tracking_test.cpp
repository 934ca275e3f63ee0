// SPDX-License-Identifier: Apache-2.0
#include "nat/conntrack/tcp_tracking.hpp"

#include <gtest/gtest.h>

#include <array>
#include <utility>

#include "tests/unit/nat/conversation.hpp"

namespace noclash::nat::tcp_tracking_test {
namespace {

using namespace test;
using namespace tcp_flag;
using enum TcpState;

/// The rules that may never depend on the mode: nothing valid is dropped, and all of it counts.
class TcpTracking : public testing::TestWithParam<TcpWindow> {
  protected:
    Conversation talk{GetParam()};
    /// The result of a segment out of the window.
    [[nodiscard]] DropReason strays() const {
        return GetParam() == TcpWindow::strict ? DropReason::tcp_window : DropReason::none;
    }
};

// [RFC 5382 REQ-2]
TEST_P(TcpTracking, OpenTalkClose) {
    EXPECT_EQ(talk.open({syn}), syn_sent);
    talk.goes(back, {syn_ack, 0, 1}, syn_recv, __LINE__);
    talk.goes(back, {syn_ack, 0, 1}, syn_recv, __LINE__);
    talk.goes(there, {ack, 1, 1}, established, __LINE__);
    for (std::uint32_t i = 0; i < 1000; ++i) {  // over the wrap of either side's numbers
        talk.goes(there, {ack, 1 + 500 * i, 1 + 300 * i, 500}, established, __LINE__);
        talk.goes(back, {ack, 1 + 300 * i, 1 + 500 * (i + 1), 300}, established, __LINE__);
    }
    talk.goes(there, {fin_ack, 500'001, 300'001}, fin_wait, __LINE__);
    talk.goes(back, {ack, 300'001, 500'002}, close_wait, __LINE__);
    talk.goes(back, {ack, 300'001, 500'002, 700}, close_wait, __LINE__);  // half-closed
    talk.goes(there, {ack, 500'002, 300'701}, close_wait, __LINE__);
    talk.goes(back, {fin_ack, 300'701, 500'002}, last_ack, __LINE__);
    talk.goes(there, {ack, 500'002, 300'702}, time_wait, __LINE__);
    talk.goes(back, {fin_ack, 300'701, 500'002}, time_wait, __LINE__);
}

// [RFC 5382 REQ-2]
TEST_P(TcpTracking, SimultaneousOpen) {
    talk.open({syn, 0, 0, 0, 1000, 7});
    talk.goes(back, {syn, 0, 0, 0, 1000, 3}, syn_sent2, __LINE__);
    talk.goes(there, {syn_ack, 0, 1, 0, 1000, 7}, syn_recv, __LINE__);
    talk.goes(back, {syn_ack, 0, 1, 0, 1000, 3}, syn_recv, __LINE__);
    talk.goes(there, {ack, 1, 1, 0, 100}, established, __LINE__);
    talk.goes(back, {ack, 1, 1, 500, 500}, established, __LINE__);
    EXPECT_EQ(talk.path(there).receiver_window, 500U << 3);
    EXPECT_EQ(talk.path(back).receiver_window, 100U << 7);
}

TEST_P(TcpTracking, DataInTheSyn) {  // RFC 7413
    talk.open({syn, 0, 0, 1200});
    talk.goes(back, {syn_ack, 0, 1201}, syn_recv, __LINE__);
    talk.goes(back, {ack, 1, 1201, 500}, syn_recv, __LINE__);  // before the opener's first ACK
    talk.goes(there, {ack, 1201, 501}, established, __LINE__);
    Conversation refused(GetParam());
    refused.open({syn, 0, 0, 1200});
    refused.goes(back, {syn_ack, 0, 1}, syn_recv, __LINE__);
    refused.goes(there, {ack, 1, 1, 1200}, established, __LINE__);
}

TEST_P(TcpTracking, LostDelayedAndRepeatedSegments) {
    talk.establish();
    talk.goes(there, {ack, 501, 1, 500}, established, __LINE__);  // the one before was lost
    talk.goes(back, {ack, 1, 1}, established, __LINE__);          // so it is asked for
    talk.goes(there, {ack, 1, 1, 500}, established, __LINE__);
    talk.goes(back, {ack, 1, 1001}, established, __LINE__);
    talk.goes(there, {ack, 501, 1, 500}, established, __LINE__);   // a copy
    talk.goes(back, {ack, 1, 501}, established, __LINE__);         // an ACK that was overtaken
    talk.goes(there, {ack, 1000, 1}, established, __LINE__);       // keep-alive
    talk.goes(there, {ack, 1000, 1, 1}, established, __LINE__);    // and an old kind
    talk.goes(back, {ack, 1, 1001, 0, 0}, established, __LINE__);  // the window closes
    talk.goes(there, {ack, 1001, 1, 1}, established, __LINE__);    // and is probed
    EXPECT_EQ(talk.path(there).acknowledged, 0xffff'ff00 + 1001);
    EXPECT_EQ(talk.path(there).end, 0xffff'ff00 + 1002);
}

TEST_P(TcpTracking, WindowsAreScaledWhereBothSidesScale) {
    for (const auto& [opener, answerer] :
         {std::pair<std::optional<std::uint8_t>, std::optional<std::uint8_t>>{7, 9},
          {7, {}},
          {{}, 9},
          {{}, {}},
          {14, 255},
          {0, 0}}) {
        Conversation scaled(GetParam());
        scaled.establish(opener, answerer);
        const bool both = opener && answerer;
        scaled.goes(there, {ack, 1, 1, 0, 50'000}, established, __LINE__);
        scaled.goes(back, {ack, 1, 1, 0, 60'000}, established, __LINE__);
        EXPECT_EQ(scaled.path(back).receiver_window, 50'000U << (both ? *opener : 0));
        EXPECT_EQ(scaled.path(there).receiver_window,
                  60'000U << (both ? std::min<unsigned>(*answerer, 14) : 0));
    }
}

TEST_P(TcpTracking, WindowsOfSynsAreNeverScaled) {
    talk.establish(7, 7);  // 1,000 bytes each
    EXPECT_EQ(talk.path(there).receiver_window, 1024U) << "rounded up to the scale";
}

TEST_P(TcpTracking, ALargeWindowMayBeFilled) {
    talk.establish(14, 14);
    talk.goes(back, {ack, 1, 1, 0, 65535}, established, __LINE__);
    const std::uint32_t window = 65535U << 14;
    talk.goes(there, {ack, window - 1000, 1, 1000}, established, __LINE__);
    talk.goes(there, {ack, 1, 1, 1000}, established, __LINE__);
    talk.moves_nothing(there, {ack, window + 2, 1, 1}, strays(), __LINE__);
}

// [field h]
TEST_P(TcpTracking, WhatIsOutOfTheWindowMovesNothing) {
    talk.establish();
    for (const auto direction : {there, back}) {
        for (const std::uint32_t far : {70'000U, 0x4000'0000U, 0x8000'0100U, 0xc000'0000U}) {
            talk.moves_nothing(direction, {ack, far, 1, 100}, strays(), __LINE__);
            talk.moves_nothing(direction, {fin_ack, far, 1}, strays(), __LINE__);
            talk.moves_nothing(direction, {fin_ack, far, far}, strays(), __LINE__);
        }
        EXPECT_EQ(talk.say(direction, {fin_ack, 1, 70'000}), strays());
        EXPECT_EQ(talk.state(), established) << "it acknowledges what was never sent";
    }
    talk.moves_nothing(there, {syn, 5'000'000}, DropReason::none, __LINE__);
    talk.moves_nothing(back, {syn_ack, 5'000'000, 1}, DropReason::none, __LINE__);
}

// [field h] [RFC 7857 section 2.2]
TEST_P(TcpTracking, ASweepOfBlindResetsClosesNothing) {
    talk.establish(7, 7);
    EXPECT_EQ(talk.path(back).receiver_window, 128'000U);
    std::uint64_t dropped = 0;
    std::uint64_t passed = 0;
    // In steps of an eighth of the window, so that some do hit it; begun beside what is exact.
    for (std::uint64_t guess = 7; guess < (std::uint64_t{1} << 32); guess += 16'000) {
        for (const std::uint8_t flags : {rst, rst_ack}) {
            const auto reason = talk.say(back, {flags, static_cast<std::uint32_t>(guess)});
            ++(reason == DropReason::none ? passed : dropped);
            ASSERT_TRUE(reason == DropReason::none || reason == DropReason::tcp_reset);
            ASSERT_EQ(talk.state(), established) << guess;
        }
    }
    // Two windows of 128,000 bytes, and twice 1 MiB before them.
    EXPECT_GE(passed, 2U * (8 + 65)) << "what may be in the window is for the receiver to judge";
    EXPECT_LE(passed, 2U * (8 + 66));
    EXPECT_GT(dropped, 500'000U);
    talk.goes(back, {rst, 1}, close, __LINE__);
}

TEST_P(TcpTracking, ARealResetCloses) {
    struct Case {
        Direction direction;
        Say reset;
    };
    for (const Case& end : {Case{there, {rst_ack, 501, 1}},  // abort
                            Case{there, {rst, 501}},         // abort
                            Case{there, {rst, 1}},           // answers an old ACK, or a challenge
                            Case{back, {rst, 1}}, Case{back, {rst_ack, 1, 501}}}) {
        Conversation aborted(GetParam());
        aborted.establish();
        aborted.goes(there, {ack, 1, 1, 500}, established, __LINE__);
        aborted.goes(end.direction, end.reset, close, __LINE__);
    }
}

TEST_P(TcpTracking, AChallengedResetEndsInAnExactOne) {  // RFC 5961, section 3.2
    talk.establish();
    talk.goes(there, {ack, 1, 1, 500}, established, __LINE__);
    talk.moves_nothing(there, {rst, 200}, DropReason::none, __LINE__);
    talk.goes(back, {ack, 1, 301}, established, __LINE__);  // the challenge
    talk.goes(there, {rst, 301}, close, __LINE__);
}

TEST_P(TcpTracking, AResetToASynHasToAcknowledgeIt) {
    Conversation refused(GetParam());
    refused.open({syn});
    refused.moves_nothing(back, {rst, 0}, DropReason::tcp_reset, __LINE__);
    refused.moves_nothing(back, {rst_ack, 0, 0}, DropReason::tcp_reset, __LINE__);
    refused.moves_nothing(back, {rst_ack, 0, 2}, DropReason::tcp_reset, __LINE__);
    refused.goes(back, {rst_ack, 0x8000'0200, 1}, close, __LINE__);  // of sequence number 0
    // With data in the SYN, either all of it or only the SYN.
    for (const std::uint32_t acknowledgment : {1U, 1201U}) {
        Conversation with_data(GetParam());
        with_data.open({syn, 0, 0, 1200});
        with_data.goes(back, {rst_ack, 77, acknowledgment}, close, __LINE__);
    }
    // A copy of the SYN reaches a server that has gone.
    talk.open({syn});
    talk.goes(back, {syn_ack, 0, 1}, syn_recv, __LINE__);
    talk.moves_nothing(back, {rst_ack, 0x8000'0200, 2}, DropReason::tcp_reset, __LINE__);
    talk.goes(back, {rst_ack, 0x8000'0200, 1}, close, __LINE__);
}

TEST_P(TcpTracking, AHalfOpenConnectionRecovers) {  // RFC 9293, section 3.5.1
    talk.open({syn});
    talk.moves_nothing(back, {ack, 5'000'000, 6'000'000}, DropReason::none, __LINE__);
    talk.moves_nothing(there, {rst, 6'000'000}, DropReason::none, __LINE__);
    talk.goes(there, {syn}, syn_sent, __LINE__);
    talk.goes(back, {syn_ack, 0, 1}, syn_recv, __LINE__);
    // The opener crashed, and asks anew: the challenge makes it end what the server still has.
    talk.goes(there, {ack, 1, 1}, established, __LINE__);
    talk.moves_nothing(there, {syn, 5'000'000}, DropReason::none, __LINE__);
    talk.goes(back, {ack, 1, 1}, established, __LINE__);
    talk.goes(there, {rst, 1}, close, __LINE__);
    talk.goes(there, {syn, 5'000'000}, syn_sent, __LINE__);
    talk.goes(back, {syn_ack, 9'000'000, 5'000'001}, syn_recv, __LINE__);
    talk.goes(there, {ack, 5'000'001, 9'000'001}, established, __LINE__);
}

TEST_P(TcpTracking, TheLatestSynAckCounts) {  // of SYN cookies
    talk.open({syn});
    talk.goes(back, {syn_ack, 0, 1}, syn_recv, __LINE__);
    talk.goes(back, {syn_ack, 3'000'000, 1}, syn_recv, __LINE__);
    talk.moves_nothing(back, {syn_ack, 4'000'000, 70}, strays(), __LINE__);
    talk.goes(there, {ack, 1, 3'000'001}, established, __LINE__);
}

TEST_P(TcpTracking, OnlyTheSynAcksReceiverCompletesTheOpening) {
    talk.open({syn});
    talk.goes(back, {syn_ack, 0, 1}, syn_recv, __LINE__);
    EXPECT_EQ(talk.say(there, {ack, 1, 0x1234'5678}), strays());
    EXPECT_EQ(talk.state(), syn_recv) << "who has not seen the SYN-ACK cannot acknowledge it";
    talk.goes(there, {ack, 1, 1}, established, __LINE__);
}

TEST_P(TcpTracking, AConnectionIsPickedUpInItsMidst) {
    EXPECT_EQ(talk.open({ack, 1000, 2000, 500}), established);
    talk.goes(back, {ack, 2000, 1500, 1400}, established, __LINE__);
    talk.goes(there, {ack, 20'001'500, 3400, 1}, established, __LINE__);  // a large window
    talk.goes(back, {ack, 3400, 1500}, established, __LINE__);
    talk.goes(there, {ack, 1500, 3400, 1400}, established, __LINE__);
    talk.moves_nothing(back, {rst, 0x8000'0000}, DropReason::tcp_reset, __LINE__);
    talk.moves_nothing(back, {rst, 3500}, DropReason::none, __LINE__);
    talk.goes(back, {rst, 3400}, close, __LINE__);
}

/// A worker that was preempted in the midst of an update puts the words of its direction back to
/// what they were long ago: the next segment of that direction makes them right.
TEST(TcpTrackingRace, WordsThatWentBackHeal) {
    for (const auto direction : {there, back}) {
        Conversation talk(TcpWindow::liberal);
        talk.establish();
        const std::uint32_t end = talk.flow.memory[flow_memory::tcp_end(direction)];
        const std::uint32_t acknowledged =
            talk.flow.memory[flow_memory::tcp_acknowledged(direction)];
        for (std::uint32_t i = 0; i < 1000; ++i) {
            talk.goes(there, {ack, 1 + 500 * i, 1 + 500 * i, 500}, established, __LINE__);
            talk.goes(back, {ack, 1 + 500 * i, 1 + 500 * (i + 1), 500}, established, __LINE__);
        }
        talk.flow.memory[flow_memory::tcp_end(direction)] = end;
        talk.flow.memory[flow_memory::tcp_acknowledged(direction)] = acknowledged;
        constexpr std::uint32_t sent = 500'001;
        talk.goes(direction, {ack, sent, 500'001, 500}, established, __LINE__);
        talk.goes(opposite(direction), {ack, 500'001, 500'501, 500}, established, __LINE__);
        EXPECT_EQ(talk.path(there).end - talk.path(there).acknowledged,
                  direction == there ? 0 : 500);
        talk.goes(opposite(direction), {fin_ack, 500'501, 500'501}, fin_wait, __LINE__);
        talk.goes(direction, {rst, 500'501}, close, __LINE__);
    }
}

TEST(TcpTrackingOff, FlagsAloneMoveTheState) {
    Conversation talk(TcpWindow::off);
    talk.open({syn});
    EXPECT_EQ(talk.say(back, {syn_ack, 0, 99}), DropReason::none);
    EXPECT_EQ(talk.say(there, {ack, 3'000'000, 9}), DropReason::none);
    EXPECT_EQ(talk.state(), established);
    EXPECT_EQ(talk.say(back, {rst, 0x4000'0000}), DropReason::none);
    EXPECT_EQ(talk.state(), close);
}

INSTANTIATE_TEST_SUITE_P(Modes, TcpTracking, testing::Values(TcpWindow::liberal, TcpWindow::strict),
                         [](const auto& mode) {
                             return mode.param == TcpWindow::strict ? "Strict" : "Liberal";
                         });

}  // namespace
}  // namespace noclash::nat::tcp_tracking_test
