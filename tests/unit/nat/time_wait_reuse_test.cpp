// SPDX-License-Identifier: Apache-2.0

// New connections in the place of finished ones, through the pipeline.

#include "nat/reuse/time_wait_reuse.hpp"

#include <gtest/gtest.h>

#include <set>

#include "tests/unit/nat/pipeline_fixture.hpp"
#include "tests/unit/nat/spoken.hpp"

namespace noclash::nat::test::time_wait_reuse_test {
namespace {

constexpr std::uint8_t syn = tcp_flag::syn, ack = tcp_flag::ack, fin = tcp_flag::fin,
                       rst = tcp_flag::rst;
constexpr PortRange four_ports{5000, 5003};

using FlowRecord = FlowTable<V4>::Record;

FlowRecord& remembering(FlowRecord& flow, std::uint32_t end, std::uint32_t sent) {
    flow.memory[flow_memory::tcp_end(Direction::original)].store(end);
    flow.memory[flow_memory::timestamp_sent].store(sent);
    return flow;
}

struct Judged {
    std::uint32_t end, sent;
    OpeningSegment segment;
    AtServer as;
};

// [RFC 6191 section 2] "SYN in TIME_WAIT", case by case; numbers wrap.
TEST(TimeWaitReuse, JudgesByTimestampAndSequence) {
    using enum AtServer;
    constexpr Judged cases[]{
        {100, 500, {101, 501}, all_open},
        {100, 500, {100, 501}, opens},  // its last number again: the timestamp decides
        {100, 500, {50, 501}, opens},
        {100, 500, {101, 500}, all_open},  // the same tick
        {100, 500, {50, 500}, may_refuse},
        {100, 500, {101, 499}, may_refuse},  // PAWS
        {100, 500, {101, {}}, all_open},
        {100, 500, {50, {}}, may_refuse},
        {100, 0, {101, {}}, all_open},
        {100, 0, {101, 7}, all_open},
        {100, 0, {50, 7}, may_refuse},
        {0, 500, {101, 501}, opens},  // nobody followed its sequence numbers
        {0, 0, {101, {}}, may_refuse},
        {0xfffffff0, 0xfffffff0, {5, 5}, all_open},
        {100, 500, {0x80000065, 501}, opens},
    };
    for (const Judged& judged : cases) {
        FlowRecord flow;
        EXPECT_EQ(judge(remembering(flow, judged.end, judged.sent), judged.segment), judged.as)
            << judged.end << ' ' << judged.sent << ' ' << judged.segment.sequence;
    }
}

class TupleReuseTest : public ::testing::Test {
  protected:
    static constexpr std::uint32_t initial = 0x01020304;

    void start(TcpTimestamps mode = TcpTimestamps::preserve, TcpReuse reuse = TcpReuse::safe) {
        gateway = std::make_unique<TestGateway>(std::vector{masquerade(four_ports)}, 1, 4096, mode);
        gateway->policy.tcp_reuse = reuse;
    }
    /// Both sides begin with `initial`; of what a segment says, `sent` bytes were sent before it,
    /// and `got` are acknowledged.
    Verdict send(const Ends& from, std::uint8_t flags, std::uint32_t value, std::uint32_t sent = 1,
                 std::uint32_t got = 1) {
        const bool opens = flags == syn;
        Bytes packet = segment(from, {flags, initial + (opens ? 0 : sent),
                                      opens ? 0 : initial + got, 0, Stamp{value, 1}});
        const Verdict verdict = gateway->pass(packet);
        if (verdict.outcome == Outcome::transmit) outside = answer_to(read(packet).tuple);
        return verdict;
    }
    void answer(std::uint8_t flags, std::uint32_t sent = 1, std::uint32_t got = 1) {
        const bool opens = (flags & syn) != 0;
        Bytes packet = segment(
            outside, {flags, initial + (opens ? 0 : sent), initial + got, 0, Stamp{900, 1}});
        ASSERT_EQ(gateway->pass(packet, 1).outcome, Outcome::transmit);
    }
    /// A connection's whole life; the port that it had outside.
    std::uint16_t open_and_close(const Ends& from, std::uint32_t value) {
        EXPECT_EQ(send(from, syn, value).outcome, Outcome::transmit);
        answer(syn | ack);
        send(from, ack, value);
        answer(fin | ack);
        send(from, fin | ack, value + 2, 1, 2);
        answer(ack, 2, 2);
        gateway->now_ms += 10;
        return outside.destination_port;
    }
    /// All four ports are held by finished connections.
    std::vector<std::uint16_t> fill(std::uint32_t value) {
        std::vector<std::uint16_t> ports;
        for (std::uint16_t i = 0; i < 4; ++i)
            ports.push_back(open_and_close(client_at(i), value));
        return ports;
    }
    static Ends client_at(std::uint16_t number) {
        Ends ends = client;
        ends.source_port = static_cast<std::uint16_t>(1000 + number);
        return ends;
    }
    std::uint64_t reused() const {
        return gateway->pipelines[0]->slow_path().tuples_reused().value();
    }

    std::unique_ptr<TestGateway> gateway;
    Ends outside{};
};

// [field c]
TEST_F(TupleReuseTest, TakesTheOldestWhenItsTimestampIsAhead) {
    start();
    const auto ports = fill(1000);
    for (std::uint16_t i = 0; i < 4; ++i) {
        EXPECT_EQ(send(client_at(static_cast<std::uint16_t>(10 + i)), syn, 1003).outcome,
                  Outcome::transmit);
        EXPECT_EQ(outside.destination_port, ports[i]) << i;
        answer(syn | ack);
    }
    EXPECT_EQ(reused(), 4U);
    // They are open now: nobody can have them.
    EXPECT_EQ(send(client_at(20), syn, 5000).reason, DropReason::exhausted);
    // Nothing is left of the flows that were succeeded.
    EXPECT_EQ(send(client_at(0), ack, 1004).reason, DropReason::tcp_not_syn);
}

TEST_F(TupleReuseTest, PrefersAFreePort) {
    start();
    const std::uint16_t closed = open_and_close(client_at(0), 1000);
    for (std::uint16_t i = 1; i < 4; ++i) {
        ASSERT_EQ(send(client_at(i), syn, 5000).outcome, Outcome::transmit);
        EXPECT_NE(outside.destination_port, closed);
    }
    EXPECT_EQ(reused(), 0U);
}

TEST_F(TupleReuseTest, TakesNoneThatTheServerMightRefuse) {
    start();
    fill(1000);
    EXPECT_EQ(send(client_at(10), syn, 999).reason, DropReason::exhausted);
    EXPECT_EQ(send(client_at(10), syn, 1002).reason, DropReason::exhausted);  // said already
    Bytes bare = tcp(client_at(10), syn);
    EXPECT_EQ(gateway->pass(bare).reason, DropReason::exhausted);
    EXPECT_EQ(reused(), 0U);
}

TEST_F(TupleReuseTest, TakesNoneWhenToldNever) {
    start(TcpTimestamps::normalize, TcpReuse::never);
    fill(1000);
    EXPECT_EQ(send(client_at(10), syn, 5000).reason, DropReason::exhausted);
}

// Who resets and who believes it are not the same: a connection that goes on is left alone.
TEST_F(TupleReuseTest, TakesAConnectionThatWasResetWhenItIsSilent) {
    start();
    fill(1000);
    gateway->pass_time(250'000);  // all are gone
    for (std::uint16_t i = 0; i < 4; ++i) {
        ASSERT_EQ(send(client_at(i), syn, 1000).outcome, Outcome::transmit);
        answer(static_cast<std::uint8_t>(rst | ack));
    }
    EXPECT_EQ(send(client_at(10), syn, 1001).reason, DropReason::exhausted);
    gateway->pass_time(9'900);
    send(client_at(2), ack, 1000);
    gateway->pass_time(200);
    for (std::uint16_t i = 0; i < 3; ++i)
        EXPECT_EQ(send(client_at(static_cast<std::uint16_t>(10 + i)), syn, 1001).outcome,
                  Outcome::transmit);
    EXPECT_EQ(send(client_at(20), syn, 1001).reason, DropReason::exhausted);
    EXPECT_EQ(send(client_at(2), ack, 1000).outcome, Outcome::transmit);
}

/// Ways to look closed, and to live: each leaves a connection half-closed by one side, or not at
/// all.
class TupleReuseLive : public TupleReuseTest, public testing::WithParamInterface<int> {
  protected:
    void half_close() {
        ASSERT_EQ(send(client, syn, 1000).outcome, Outcome::transmit);
        quiet = outside;
        answer(syn | ack);
        send(client, ack, 1000);
        switch (GetParam()) {
            case 0:  // the same FIN again
                send(client, fin | ack, 1001);
                send(client, fin | ack, 1001);
                return answer(ack, 1, 2);
            case 1:  // the server first
                answer(fin | ack);
                answer(fin | ack);
                send(client, ack, 1001, 1, 2);
                return;
            case 2:  // before the FIN something was lost
                send(client, fin | ack, 1001, 501);
                answer(fin | ack, 1, 1);
                send(client, ack, 1001, 502, 2);
                return answer(ack, 2, 1);
            case 3:  // an older acknowledgment
                send(client, fin | ack, 1001);
                answer(fin | ack, 1, 1);
                answer(ack, 2, 1);
                send(client, ack, 1002, 2, 2);
                return;
            default:  // a RST that is for the server to judge
                answer(rst, 400);
        }
    }
    Ends quiet{};
};

// Connections that are closed in order are given away, never the one that is quiet
// [RFC 9293 section 3.6].
TEST_P(TupleReuseLive, NeverGivesALiveOneAway) {
    for (const auto window : {TcpWindow::liberal, TcpWindow::strict, TcpWindow::off}) {
        if (window == TcpWindow::off && GetParam() == 4) continue;  // any RST closes then
        for (const auto mode : {TcpTimestamps::preserve, TcpTimestamps::normalize}) {
            PolicyConfig<V4> policy{{}, {masquerade({5000, 5039})}};
            policy.tcp.window = window;
            gateway = std::make_unique<TestGateway>(policy, 1, 4096, LimitsConfig<V4>{}, mode);
            half_close();
            gateway->now_ms += 15'000;  // the quietest of all
            for (std::uint16_t i = 0; i < 39; ++i)
                open_and_close(client_at(i), 1000);
            for (std::uint16_t i = 0; i < 60; ++i) {
                const Verdict verdict =
                    send(client_at(static_cast<std::uint16_t>(100 + i)), syn, 5000 + i);
                if (verdict.outcome != Outcome::transmit) break;
                EXPECT_NE(outside.destination_port, quiet.destination_port);
                answer(syn | ack);
            }
            EXPECT_EQ(reused(), 39U);
            outside = quiet;
            Bytes last = segment(quiet, {ack, initial + 1, initial + 1, 0, {}});
            ASSERT_EQ(gateway->pass(last, 1).outcome, Outcome::transmit);
            EXPECT_EQ(read(last).tuple.destination_port.host(), client.source_port);
        }
    }
}
INSTANTIATE_TEST_SUITE_P(Ways, TupleReuseLive, testing::Range(0, 5));

// Slots and records do not run out, whatever the clients' clocks say, and for as long as it takes.
TEST_F(TupleReuseTest, NeverEndsWithNormalizedTimestamps) {
    start(TcpTimestamps::normalize);
    for (std::uint32_t i = 0; i < 10000; ++i) {
        const auto number = static_cast<std::uint16_t>(i % 7);  // the same clients again and again
        open_and_close(client_at(number), i * 2654435761U);
        if (HasFailure()) FAIL() << i;
        gateway->engines[0]->quiescent();
        gateway->maintain(64);
    }
    EXPECT_GT(reused(), 1000U);
    gateway->pass_time(300'000);
    EXPECT_EQ(gateway->table.index().occupancy().entries, 0U);
    EXPECT_EQ(gateway->engines[0]->counters().insert.value(),
              gateway->engines[0]->counters().removed.value());
}

// A map of a crowded destination knows what became of the ports afterwards.
TEST_F(TupleReuseTest, LeavesPortsToBeFoundWhenItIsOver) {
    start();
    fill(1000);
    for (std::uint16_t i = 0; i < 4; ++i)
        send(client_at(static_cast<std::uint16_t>(10 + i)), syn, 5000);
    ASSERT_EQ(reused(), 4U);
    gateway->pass_time(300'000);
    std::set<std::uint16_t> ports;
    for (std::uint16_t i = 0; i < 4; ++i) {
        ASSERT_EQ(send(client_at(i), syn, 1).outcome, Outcome::transmit);
        ports.insert(outside.destination_port);
    }
    EXPECT_EQ(ports.size(), 4U);
    EXPECT_EQ(reused(), 4U);
}

}  // namespace
}  // namespace noclash::nat::test::time_wait_reuse_test
