// SPDX-License-Identifier: Apache-2.0
// Half-open connections from outside, and which of them have to go.

#include "nat/limits/half_open.hpp"

#include <gtest/gtest.h>

#include "tests/unit/nat/pipeline_fixture.hpp"

namespace noclash::nat::test::half_open_test {
namespace {

using tcp_flag::ack, tcp_flag::syn;

constexpr std::uint32_t share = 40;  // of connections, all rules together

PolicyConfig<V4> policy(std::vector<Rule<V4>> rules) {
    PolicyConfig<V4> made{{}, std::move(rules)};
    made.half_open_percent = 1;
    return made;
}

/// From outside; each from an address of its own.
Ends to_service(std::uint32_t number, std::uint16_t port = 30080) {
    return {host("192.0.2.1") + number, host("10.2.0.1"), 1000, port};
}

struct Flooded : testing::Test {
    explicit Flooded(std::vector<Rule<V4>> rules = {node_port(), masquerade()})
        : gateway(policy(std::move(rules)), 1, share * 100) {}

    Verdict sends(const Ends& ends, std::uint8_t flags, std::uint16_t port = 1) {
        Bytes packet = tcp(ends, flags);
        const Verdict verdict = gateway.pass(packet, port);
        if (verdict.transmits()) sent = read(packet).tuple;
        return verdict;
    }
    void flood(std::uint32_t first, std::uint32_t count, std::uint16_t port = 30080) {
        for (std::uint32_t i = first; i < first + count; ++i)
            ASSERT_TRUE(sends(to_service(i, port), syn).transmits()) << i;
    }
    /// Whether the client's connection goes on when its server answers.
    bool answered(const Tuple<V4>& there) {
        Bytes answer = tcp(answer_to(there), syn | ack);
        return gateway.pass(answer, 1).transmits() || gateway.pass(answer, 0).transmits();
    }
    std::uint64_t ended() const {
        return gateway.pipelines[0]->slow_path().half_open().ended().value();
    }
    std::uint32_t kept() const { return gateway.pipelines[0]->slow_path().half_open().length(); }
    std::uint64_t live() {
        const EngineCounters& counters = gateway.engines[0]->counters();
        return counters.insert.value() - counters.removed.value();
    }

    TestGateway gateway;
    Tuple<V4> sent{};  ///< what became of the latest packet
};

// [field e]
TEST_F(Flooded, TheyTakeTheirShareAndTheOldestGoes) {
    sends(to_service(0), syn);
    const Tuple<V4> first = sent;
    flood(1, share - 1);
    EXPECT_EQ(ended(), 0U);
    sends(to_service(1000), syn);
    const Tuple<V4> last = sent;
    EXPECT_EQ(ended(), 1U);
    EXPECT_FALSE(answered(first));
    flood(2000, 500);
    EXPECT_EQ(live(), share);
    EXPECT_EQ(ended(), 501U);
    EXPECT_FALSE(answered(last));
    EXPECT_TRUE(answered(sent)) << "who answers in time";
}

TEST_F(Flooded, WhatComesFromInsideIsNoneOfThem) {
    flood(0, 200);
    for (std::uint16_t port = 1; port <= 200; ++port)
        EXPECT_TRUE(sends({client.source, client.destination, port, 80}, syn, 0).transmits());
    EXPECT_EQ(live(), share + 200);
    flood(300, 200);
    EXPECT_EQ(live(), share + 200);
}

TEST_F(Flooded, WhatIsEstablishedStays) {
    std::vector<Tuple<V4>> established;
    for (std::uint32_t i = 0; i < 3 * share; ++i) {
        sends(to_service(i), syn);
        const Tuple<V4> there = sent;
        ASSERT_TRUE(answered(there));
        ASSERT_TRUE(sends(to_service(i), ack).transmits());
        established.push_back(there);
    }
    EXPECT_EQ(ended(), 0U);
    flood(5000, 500);
    EXPECT_EQ(live(), 4 * share);
    for (const Tuple<V4>& there : established)
        EXPECT_TRUE(answered(there));
}

TEST_F(Flooded, TheWheelGetsThemWithinTwoSeconds) {
    sends(to_service(0), syn);
    answered(sent);
    sends(to_service(0), ack);
    flood(1, 5);
    gateway.pass_time(2000);
    EXPECT_EQ(kept(), 5U);
    gateway.pass_time(gateway.timeouts.tcp_syn_sent_s * 1000ULL + 2000);
    EXPECT_EQ(kept(), 0U);
    EXPECT_EQ(live(), 1U) << "nobody has answered the others in time";
    EXPECT_EQ(ended(), 0U);
}

TEST_F(Flooded, WhatOthersHaveEndedIsReclaimed) {
    flood(0, 10);
    auto& table = gateway.table;
    for (FlowId id = 1; id <= table.pool().last_id(); ++id)
        table.release(id, gateway.engines[0]->counters(), [](auto&) {});
    table.hurry_reclamation();
    gateway.pass_time(200);
    EXPECT_EQ(kept(), 0U);
    flood(100, 1000);
    EXPECT_EQ(live(), share);
}

struct FloodedByOneRule : Flooded {
    static Rule<V4> other() {
        Rule<V4> rule = node_port();
        rule.to_port = PortRange{30081, 30081};
        return rule;
    }
    FloodedByOneRule() : Flooded({node_port(), other(), masquerade()}) {}
};

TEST_F(FloodedByOneRule, TheOthersKeepTheirs) {
    sends(to_service(0, 30081), syn);
    const Tuple<V4> other = sent;
    flood(1, 1000);
    EXPECT_TRUE(answered(other));
}

struct FloodedStraight : Flooded {
    static Rule<V4> forward() {
        Rule<V4> rule;
        rule.action = Action::forward;
        return rule;
    }
    FloodedStraight() : Flooded({forward()}) {}
};

TEST_F(FloodedStraight, WhatIsForwardedAsItIsCountsToo) {
    for (std::uint32_t i = 0; i < 300; ++i)
        sends({host("192.0.2.1") + i, host("10.1.0.7"), 1000, 80}, syn);
    EXPECT_EQ(live(), share);
    for (std::uint16_t port = 1; port <= 300; ++port) {
        Bytes datagram = udp({client.source, client.destination, port, 80});
        EXPECT_TRUE(gateway.pass(datagram).transmits());
    }
    EXPECT_EQ(live(), share + 300);
}

TEST(HalfOpen, AServiceWithoutPortsGivesUpItsOldest) {
    Rule<V4> service = node_port();
    service.ports = PortRange{5000, 5299};
    TestGateway gateway({service, masquerade()});
    std::uint32_t parked = 0;
    for (std::uint32_t i = 0; i < 1000; ++i) {
        Bytes packet = tcp(to_service(i), syn);
        Verdict verdict = gateway.pass(packet, 1);
        for (int visits = 0; verdict.outcome == Outcome::park && visits < 5; ++visits) {
            ++parked;
            gateway.engines[0]->quiescent();
            gateway.maintain(256);
            verdict = gateway.pass(packet, 1);
        }
        ASSERT_TRUE(verdict.transmits()) << i << to_string(verdict.reason);
    }
    EXPECT_GE(parked, 700U);
    EXPECT_EQ(gateway.engines[0]->counters().insert.value() -
                  gateway.engines[0]->counters().removed.value(),
              300U);
}

TEST(HalfOpen, AFewThatHavePortsMayBeHonest) {
    Rule<V4> service = node_port();
    service.ports = PortRange{5000, 5049};
    TestGateway gateway({service, masquerade()});
    for (std::uint32_t i = 0; i < 100; ++i) {
        Bytes packet = tcp(to_service(i), syn);
        EXPECT_EQ(gateway.pass(packet, 1).reason,
                  i < 50 ? DropReason::none : DropReason::exhausted);
    }
}

}  // namespace
}  // namespace noclash::nat::test::half_open_test
