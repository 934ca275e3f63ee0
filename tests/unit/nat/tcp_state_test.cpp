// SPDX-License-Identifier: Apache-2.0
#include "nat/conntrack/tcp_state.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace noclash::nat::tcp_state_test {
namespace {

using namespace tcp_flag;
using enum TcpState;
constexpr auto there = Direction::original;
constexpr auto back = Direction::reply;
constexpr std::uint8_t syn_ack = syn | ack, fin_ack = fin | ack, rst_ack = rst | ack;

struct Step {
    Direction direction;
    std::uint8_t flags;
    TcpState expected;
};

void walk(TcpState state, const std::vector<Step>& steps) {
    for (std::size_t i = 0; i < steps.size(); ++i) {
        state = next_state(state, steps[i].direction, steps[i].flags);
        ASSERT_EQ(state, steps[i].expected) << "step " << i;
    }
}

// [RFC 5382 REQ-2]
TEST(TcpState, OpenAndTalk) {
    walk(none, {{there, syn, syn_sent},
                {there, syn, syn_sent},
                {back, syn_ack, syn_recv},
                {back, syn_ack, syn_recv},
                {there, ack, established},
                {there, ack | psh, established},
                {back, ack, established},
                {back, syn_ack, established}});
}

TEST(TcpState, FlagsAloneEndNothing) {
    for (const auto direction : {there, back}) {
        for (const auto state : {syn_recv, established, fin_wait, close_wait, last_ack})
            EXPECT_EQ(next_state(state, direction, fin_ack), by_fins);
        for (const auto state : {fin_wait, close_wait, last_ack})
            EXPECT_EQ(next_state(state, direction, ack), by_fins);
        walk(time_wait, {{direction, fin_ack, time_wait}, {direction, ack, time_wait}});
    }
}

TEST(TcpState, ProgressKeepsBitsBesideTheState) {
    const TcpProgress plain(fin_wait);
    const TcpProgress both =
        plain.with_fin(there, true).with_fin(back, true).with_incarnation(true);
    EXPECT_EQ(both.state(), fin_wait);
    EXPECT_TRUE(both.has_fin(there) && both.has_fin(back) && both.has_incarnation());
    EXPECT_EQ(both.with_state(last_ack).state(), last_ack);
    EXPECT_TRUE(both.with_state(last_ack).has_fin(back));
    EXPECT_FALSE(both.with_fin(there, false).has_fin(there));
    EXPECT_TRUE(both.with_fin(there, false).has_fin(back));
    EXPECT_EQ(both.with_fin(there, false).with_fin(back, false).with_incarnation(false), plain);
}

// [RFC 5382 REQ-2]; RFC 9293, figure 7.
TEST(TcpState, SimultaneousOpen) {
    walk(none, {{there, syn, syn_sent},
                {back, syn, syn_sent2},
                {there, syn, syn_sent2},
                {there, syn_ack, syn_recv},
                {back, syn_ack, syn_recv},
                {there, ack, established}});
    walk(syn_sent2, {{back, syn_ack, syn_recv}, {there, syn_ack, syn_recv}});
}

TEST(TcpState, HalfOpenConnectionRecovers) {  // RFC 9293, section 3.5.1.
    walk(syn_sent, {{back, ack, syn_sent},
                    {there, rst, close},
                    {there, syn, syn_sent},
                    {back, syn_ack, syn_recv}});
    // A SYN on a live connection is for the peer to judge (RFC 5961, section 4).
    walk(established, {{there, syn, established}, {back, ack, established}});
    walk(last_ack, {{there, syn, last_ack}});
}

TEST(TcpState, RstEndsAnythingButNothing) {
    for (const auto direction : {there, back}) {
        for (const auto flags : {rst, rst_ack}) {
            EXPECT_EQ(next_state(none, direction, flags), invalid);
            for (std::size_t i = 1; i < tcp_states; ++i) {
                EXPECT_EQ(next_state(static_cast<TcpState>(i), direction, flags), close);
            }
        }
    }
}

TEST(TcpState, OnlySynOpens) {
    for (const auto flags : {syn_ack, ack, fin_ack, rst}) {
        EXPECT_EQ(next_state(none, there, flags), invalid);
        EXPECT_EQ(next_state(none, back, flags), invalid);
    }
    EXPECT_EQ(next_state(none, back, syn), invalid);
    for (const auto state : {time_wait, close}) {
        EXPECT_EQ(next_state(state, there, syn), syn_sent);
        EXPECT_EQ(next_state(state, back, syn), invalid);
    }
}

TEST(TcpState, NothingPrecedesTheHandshake) {
    EXPECT_EQ(next_state(syn_sent, there, ack), invalid);
    EXPECT_EQ(next_state(syn_sent, there, syn_ack), invalid);
    EXPECT_EQ(next_state(syn_sent, there, fin_ack), invalid);
    EXPECT_EQ(next_state(syn_sent, back, fin_ack), invalid);
    EXPECT_EQ(next_state(established, there, syn_ack), invalid);
    EXPECT_EQ(next_state(established, back, syn), invalid);
}

TEST(TcpState, EveryEntryIsAState) {
    for (const auto direction : {there, back}) {
        for (const auto flags : {syn, syn_ack, fin_ack, ack, rst}) {
            for (std::size_t i = 0; i < tcp_states; ++i) {
                const TcpState next = next_state(static_cast<TcpState>(i), direction, flags);
                EXPECT_TRUE(static_cast<std::size_t>(next) <= tcp_states || next == by_fins);
                EXPECT_NE(next, none) << "a flow never falls back to nothing";
            }
        }
    }
}

TEST(TcpState, NamesAndTimeouts) {
    Timeouts timeouts;
    timeouts.tcp_syn_sent_s = 1;
    timeouts.tcp_syn_recv_s = 2;
    timeouts.tcp_established_s = 3;
    timeouts.tcp_fin_wait_s = 4;
    timeouts.tcp_close_wait_s = 5;
    timeouts.tcp_last_ack_s = 6;
    timeouts.tcp_time_wait_s = 7;
    timeouts.tcp_close_s = 8;
    const std::vector<std::pair<TcpState, const char*>> states{
        {syn_sent, "SYN_SENT"},       {syn_recv, "SYN_RECV"},
        {established, "ESTABLISHED"}, {fin_wait, "FIN_WAIT"},
        {close_wait, "CLOSE_WAIT"},   {last_ack, "LAST_ACK"},
        {time_wait, "TIME_WAIT"},     {close, "CLOSE"}};
    for (std::size_t i = 0; i < states.size(); ++i) {
        EXPECT_EQ(to_string(states[i].first), states[i].second);
        EXPECT_EQ(timeout_s(timeouts, states[i].first), i + 1);
    }
    EXPECT_EQ(to_string(syn_sent2), "SYN_SENT2");
    EXPECT_EQ(to_string(none), "NONE");
    EXPECT_EQ(timeout_s(timeouts, syn_sent2), 1U);
}

}  // namespace
}  // namespace noclash::nat::tcp_state_test
