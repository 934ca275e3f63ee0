// SPDX-License-Identifier: Apache-2.0

// New connections in the place of finished ones, through the pipeline.

#include "nat/tuple_reuse.hpp"

#include <gtest/gtest.h>

#include <set>

#include "tests/unit/nat/pipeline_fixture.hpp"
#include "tests/unit/nat/stamped.hpp"

namespace noclash::nat::test {
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
TEST(TupleReuse, JudgesByTimestampAndSequence) {
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
    void start(TcpTimestamps mode = TcpTimestamps::preserve, TcpReuse reuse = TcpReuse::safe) {
        gateway = std::make_unique<TestGateway>(std::vector{masquerade(four_ports)}, 1, 4096, mode);
        gateway->policy.tcp_reuse = reuse;
    }
    Verdict send(const Ends& from, std::uint8_t flags, std::uint32_t value) {
        Bytes packet = stamped(from, flags, {value, 1});
        const Verdict verdict = gateway->pass(packet);
        if (verdict.outcome == Outcome::transmit) outside = answer_to(read(packet).tuple);
        return verdict;
    }
    void answer(std::uint8_t flags) {
        Bytes packet = stamped(outside, flags, {900, 1});
        ASSERT_EQ(gateway->pass(packet, 1).outcome, Outcome::transmit);
    }
    /// A connection's whole life; the port that it had outside.
    std::uint16_t open_and_close(const Ends& from, std::uint32_t value) {
        EXPECT_EQ(send(from, syn, value).outcome, Outcome::transmit);
        answer(syn | ack);
        send(from, ack, value);
        answer(fin | ack);
        send(from, fin | ack, value + 2);
        answer(ack);
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
        return gateway->pipelines[0]->first_packets().tuples_reused().value();
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
    // Of those that were succeeded, nothing is left.
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

// Whatever the clients' clocks say, and for as long as it takes: slots and records do not run out.
TEST_F(TupleReuseTest, NeverEndsWithNormalizedTimestamps) {
    start(TcpTimestamps::normalize);
    for (std::uint32_t i = 0; i < 10000; ++i) {
        const auto number = static_cast<std::uint16_t>(i % 7);  // the same clients again and again
        open_and_close(client_at(number), i * 2654435761U);
        if (HasFailure()) FAIL() << i;
        gateway->engines[0]->quiescent();
        gateway->pipelines[0]->maintain(gateway->now_ms, 64);
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
}  // namespace noclash::nat::test
