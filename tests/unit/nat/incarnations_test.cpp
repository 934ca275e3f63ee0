// SPDX-License-Identifier: Apache-2.0

// Connections that both ends have forgotten, and that begin anew on the same tuple.

#include "nat/reuse/incarnations.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <utility>
#include <vector>

#include "tests/unit/nat/pipeline_fixture.hpp"
#include "tests/unit/nat/spoken.hpp"

namespace noclash::nat::test::incarnations_test {
namespace {

constexpr std::uint8_t syn = tcp_flag::syn, ack = tcp_flag::ack, fin = tcp_flag::fin,
                       rst = tcp_flag::rst, syn_ack = syn | ack, fin_ack = fin | ack,
                       rst_ack = rst | ack;
constexpr auto transmit = Outcome::transmit;

class Incarnations : public testing::TestWithParam<TcpWindow> {
  protected:
    void start(TcpTimestamps timestamps = TcpTimestamps::preserve, std::uint32_t flows = 4096) {
        PolicyConfig<V4> policy{{}, {masquerade({5000, 5000})}};
        policy.tcp.window = GetParam();
        gateway = std::make_unique<TestGateway>(policy, 1, flows, LimitsConfig<V4>{}, timestamps);
    }
    Verdict client_says(const Spoken& spoken) {
        packet = segment(client, spoken);
        const Verdict verdict = gateway->pass(packet);
        if (verdict.outcome == transmit) outside = answer_to(read(packet).tuple);
        return verdict;
    }
    Verdict server_says(const Spoken& spoken) {
        packet = segment(outside, spoken);
        return gateway->pass(packet, 1);
    }
    /// With numbers 1000 and 9000.
    void establish() {
        ASSERT_EQ(client_says({syn, 1000}).outcome, transmit);
        ASSERT_EQ(server_says({syn_ack, 9000, 1001}).outcome, transmit);
        ASSERT_EQ(client_says({ack, 1001, 9001}).outcome, transmit);
        ASSERT_EQ(state(), TcpState::established);
    }
    FlowTable<V4>::Record& flow() {
        const auto& index = gateway->table.index();
        const Tuple<V4> key = tuple(client, ip_protocol::tcp);
        return gateway->table.pool()[index.find(key, index.hash(key)).flow];
    }
    TcpState state() { return tcp_state(flow()); }
    std::int32_t left_ms() { return ms_between(to_moment(gateway->now_ms), flow().expires.load()); }
    std::size_t entries() { return gateway->table.index().occupancy().entries; }
    bool is_strict() const { return GetParam() == TcpWindow::strict; }

    std::unique_ptr<TestGateway> gateway;
    Bytes packet;
    Ends outside{};
};

// [RFC 9293 section 3.5.1]
TEST_P(Incarnations, WhatBothEndsBeganIsTheConnection) {
    start();
    establish();
    EXPECT_EQ(client_says({syn, 0x5000'0000}).outcome, transmit);
    EXPECT_EQ(state(), TcpState::established);
    EXPECT_EQ(server_says({syn_ack, 0xa000'0000, 0x5000'0001}).outcome, transmit);
    EXPECT_EQ(client_says({ack, 0x5000'0001, 0xa000'0001}).outcome, transmit);
    EXPECT_EQ(state(), TcpState::established);
    for (std::uint32_t i = 0; i < 100; ++i) {
        EXPECT_EQ(client_says({ack, 0x5000'0001 + 500 * i, 0xa000'0001, 500}).outcome, transmit);
        EXPECT_EQ(server_says({ack, 0xa000'0001, 0x5000'0001 + 500 * (i + 1)}).outcome, transmit);
    }
    // Its numbers count: of what is exact now, and of how it ends.
    EXPECT_EQ(client_says({fin_ack, 0x5000'0001 + 50'000, 0xa000'0001}).outcome, transmit);
    EXPECT_EQ(state(), TcpState::fin_wait);
    EXPECT_EQ(server_says({fin_ack, 0xa000'0001, 0x5000'0002 + 50'000}).outcome, transmit);
    EXPECT_EQ(client_says({ack, 0x5000'0002 + 50'000, 0xa000'0002}).outcome, transmit);
    EXPECT_EQ(state(), TcpState::time_wait);
    gateway->pass_time(260'000);
    EXPECT_EQ(entries(), 0U) << "nothing of it stays";
}

TEST_P(Incarnations, TheServersExactResetEndsIt) {
    start();
    establish();
    client_says({syn, 0x5000'0000});
    server_says({syn_ack, 0xa000'0000, 0x5000'0001});
    client_says({ack, 0x5000'0001, 0xa000'0001});
    EXPECT_EQ(server_says({rst, 0xa000'0001}).outcome, transmit);
    EXPECT_EQ(state(), TcpState::close);
}

TEST_P(Incarnations, EveryStateHasAWayBack) {
    const auto to_syn_recv = [this] {
        client_says({syn, 1000});
        server_says({syn_ack, 9000, 1001});
    };
    const auto to_fin_wait = [this] {
        establish();
        client_says({fin_ack, 1001, 9001});
    };
    const auto to_close_wait = [&] {
        to_fin_wait();
        server_says({ack, 9001, 1002});
    };
    const auto to_last_ack = [&] {
        to_close_wait();
        server_says({fin_ack, 9001, 1002});
    };
    const std::vector<std::pair<TcpState, std::function<void()>>> ways{
        {TcpState::syn_recv, to_syn_recv},
        {TcpState::fin_wait, to_fin_wait},
        {TcpState::close_wait, to_close_wait},
        {TcpState::last_ack, to_last_ack}};
    for (const auto& [stale, get_there] : ways) {
        start();
        get_there();
        ASSERT_EQ(state(), stale);
        EXPECT_EQ(client_says({syn, 0x5000'0000}).outcome, transmit);
        EXPECT_EQ(state(), stale);
        EXPECT_EQ(server_says({syn_ack, 0xa000'0000, 0x5000'0001}).outcome, transmit);
        EXPECT_EQ(client_says({ack, 0x5000'0001, 0xa000'0001}).outcome, transmit);
        EXPECT_EQ(state(), TcpState::established);
        EXPECT_EQ(client_says({ack, 0x5000'0001, 0xa000'0001, 500}).outcome, transmit);
        EXPECT_EQ(server_says({fin_ack, 0xa000'0001, 0x5000'01f5}).outcome, transmit);
        EXPECT_EQ(state(), TcpState::fin_wait);
    }
}

TEST_P(Incarnations, UntilTheClientAgreesBothCount) {
    start();
    establish();
    client_says({syn, 0x5000'0000});
    EXPECT_EQ(client_says({ack, 1001, 9001, 100}).outcome, transmit);
    EXPECT_EQ(server_says({ack, 9001, 1101, 50}).outcome, transmit);
    // Who forges the server only, or the client only, gets nowhere.
    server_says({syn_ack, 0xa000'0000, 0x5000'0777});
    client_says({ack, 0x5000'0001, 0xa000'0001});
    server_says({syn_ack, 0xa000'0000, 0x5000'0001});
    client_says({ack, 0x5000'0001, 0xbbbb'0001});
    EXPECT_EQ(client_says({ack, 1101, 9051, 100}).outcome, transmit);
    EXPECT_EQ(server_says({ack, 9051, 1201}).outcome, transmit);
    EXPECT_EQ(client_says({fin_ack, 1201, 9051}).outcome, transmit);
    EXPECT_EQ(state(), TcpState::fin_wait);
    EXPECT_EQ(server_says({fin_ack, 9051, 1202}).outcome, transmit);
    EXPECT_EQ(client_says({ack, 1202, 9052}).outcome, transmit);
    EXPECT_EQ(state(), TcpState::time_wait);
}

TEST_P(Incarnations, AServerThatRemembersChallenges) {
    start();
    establish();
    client_says({syn, 0x5000'0000});
    EXPECT_EQ(server_says({ack, 9001, 1001}).outcome, transmit);
    EXPECT_EQ(client_says({rst, 1001}).outcome, transmit);
    EXPECT_EQ(state(), TcpState::close);
    EXPECT_EQ(client_says({syn, 0x5000'0000}).outcome, transmit);
    EXPECT_EQ(server_says({syn_ack, 0xa000'0000, 0x5000'0001}).outcome, transmit);
    EXPECT_EQ(client_says({ack, 0x5000'0001, 0xa000'0001}).outcome, transmit);
    EXPECT_EQ(state(), TcpState::established);
}

TEST_P(Incarnations, AServerThatRefusesClosesIt) {
    start();
    establish();
    client_says({syn, 0x5000'0000});
    if (GetParam() != TcpWindow::off) {
        EXPECT_NE(server_says({rst_ack, 0x4000'0000, 0x5000'0777}).outcome, transmit);
        EXPECT_EQ(state(), TcpState::established);
    }
    EXPECT_EQ(server_says({rst_ack, 0, 0x5000'0001}).outcome, transmit);
    EXPECT_EQ(state(), TcpState::close);
    EXPECT_LE(left_ms(), 240'000);
}

TEST_P(Incarnations, AClientThatRefusesTheAnswerKeepsTheOld) {
    start();
    establish();
    client_says({syn, 0x5000'0000});  // not the client's own
    server_says({syn_ack, 0xa000'0000, 0x5000'0001});
    EXPECT_EQ(client_says({rst, 0x5000'0001}).outcome, transmit);
    EXPECT_EQ(state(), TcpState::established);
    EXPECT_EQ(client_says({ack, 1001, 9001, 100}).outcome, transmit);
}

TEST_P(Incarnations, SynsAloneRenewNothing) {
    start();
    establish();
    const std::int32_t left = left_ms();
    gateway->pass_time(5'000);
    for (std::uint32_t i = 0; i < 10; ++i) {
        EXPECT_EQ(client_says({syn, 0x5000'0000 + 1'000'000 * (i / 2)}).outcome, transmit);
        gateway->pass_time(1'000);
    }
    EXPECT_EQ(left_ms(), left - 15'000);
    EXPECT_EQ(entries(), 4U) << "one record beside the flow's, however many SYNs";
    gateway->pass_time(400'000);
    EXPECT_EQ(entries(), 2U) << "it has had its time";
    EXPECT_EQ(client_says({ack, 1001, 9001}).outcome, transmit);
    EXPECT_EQ(tcp_progress(flow()), TcpProgress(TcpState::established)) << "plain again";
}

TEST_P(Incarnations, TheLatestSynCounts) {
    start();
    establish();
    client_says({syn, 0x5000'0000});
    client_says({syn, 0x6000'0000});
    EXPECT_EQ(server_says({syn_ack, 0xa000'0000, 0x6000'0001}).outcome, transmit);
    EXPECT_EQ(client_says({syn, 0x6000'0000}).outcome, transmit);  // a copy that was late
    EXPECT_EQ(client_says({ack, 0x6000'0001, 0xa000'0001}).outcome, transmit);
    EXPECT_EQ(server_says({ack, 0xa000'0001, 0x6000'0001, 700}).outcome, transmit);
    EXPECT_EQ(client_says({fin_ack, 0x6000'0001, 0xa000'0001}).outcome, transmit);
    EXPECT_EQ(state(), TcpState::fin_wait);
}

TEST_P(Incarnations, TimestampsBeginAnew) {
    start(TcpTimestamps::normalize);
    Stamp sent{};
    const auto say = [&](const Spoken& spoken) {
        EXPECT_EQ(client_says(spoken).outcome, transmit);
        sent = *stamp_of(packet);
    };
    const auto answer = [&](const Spoken& spoken) {
        EXPECT_EQ(server_says(spoken).outcome, transmit);
        return stamp_of(packet)->echo;
    };
    say({syn, 1000, 0, 0, Stamp{5'000, 0}});
    const std::uint32_t clock = sent.value;
    EXPECT_EQ(answer({syn_ack, 9000, 1001, 0, Stamp{77, sent.value}}), 5'000U);
    say({ack, 1001, 9001, 0, Stamp{5'000, 77}});
    gateway->now_ms += 10;
    // The client's clock is another one now; the address' clock is not.
    say({syn, 0x5000'0000, 0, 0, Stamp{4'000'000'000U, 0}});
    EXPECT_LE(sent.value - clock, 20U);
    EXPECT_EQ(answer({syn_ack, 0xa000'0000, 0x5000'0001, 0, Stamp{99, sent.value}}),
              4'000'000'000U);
    say({ack, 0x5000'0001, 0xa000'0001, 0, Stamp{4'000'000'001U, 99}});
    EXPECT_LE(sent.value - clock, 20U);
    EXPECT_EQ(answer({ack, 0xa000'0001, 0x5000'0001, 0, Stamp{100, sent.value}}), 4'000'000'001U);
}

// [RFC 5927]
TEST_P(Incarnations, ErrorsAboutItsSynAreTrue) {
    start();
    establish();
    client_says({syn, 0x5000'0000});
    const auto error_about = [&](std::uint32_t sequence) {
        Bytes quoted = packet;
        put32(quoted, 24, sequence);
        Bytes error = icmp({host("198.51.100.9"), outside.destination}, 3, 1, 0, quoted);
        return gateway->pass(error, 1).reason;
    };
    EXPECT_EQ(error_about(0x5000'0000), DropReason::none);
    EXPECT_EQ(error_about(1001), DropReason::none) << "the connection's own";
    const DropReason of_guess =
        GetParam() == TcpWindow::off ? DropReason::none : DropReason::icmp_sequence;
    EXPECT_EQ(error_about(0x6000'0000), of_guess);
}

TEST_P(Incarnations, ItEndsWithItsFlow) {
    start();
    establish();
    client_says({syn, 0x5000'0000});
    ASSERT_EQ(entries(), 4U);
    flow().expires.store(to_moment(gateway->now_ms));
    gateway->pass_time(20'000);
    EXPECT_EQ(entries(), 0U);
}

TEST_P(Incarnations, WithoutRoomTheSynGoesOn) {
    start(TcpTimestamps::preserve, 64);
    establish();
    Ends filler = client;
    for (filler.source_port = 1; filler.source_port < 2000; ++filler.source_port) {
        filler.destination_port = filler.source_port;
        Bytes other = segment(filler, {syn, 1});
        gateway->pass(other);
        gateway->pass_time(100);
    }
    EXPECT_EQ(client_says({syn, 0x5000'0000}).outcome, transmit);
    EXPECT_EQ(client_says({ack, 1001, 9001, 100}).outcome, transmit);
    EXPECT_EQ(state(), TcpState::established);
}

INSTANTIATE_TEST_SUITE_P(Modes, Incarnations,
                         testing::Values(TcpWindow::off, TcpWindow::liberal, TcpWindow::strict),
                         [](const auto& mode) {
                             return mode.param == TcpWindow::off       ? "Off"
                                    : mode.param == TcpWindow::liberal ? "Liberal"
                                                                       : "Strict";
                         });

}  // namespace
}  // namespace noclash::nat::test::incarnations_test
