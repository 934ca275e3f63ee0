// SPDX-License-Identifier: Apache-2.0

// SYNs to whose tuple a flow exists that has nothing to say any more: the side that was the server
// opens the next connection, or nobody has answered in time.

#include <gtest/gtest.h>

#include <set>

#include "tests/unit/nat/pipeline_fixture.hpp"
#include "tests/unit/nat/spoken.hpp"

namespace noclash::nat::test::role_switch_test {
namespace {

constexpr std::uint8_t syn = tcp_flag::syn, ack = tcp_flag::ack, fin = tcp_flag::fin,
                       rst = tcp_flag::rst, syn_ack = syn | ack, fin_ack = fin | ack;
constexpr auto transmit = Outcome::transmit;

Rule<V4> forwarding() {
    Rule<V4> rule;
    rule.name = "forward";
    rule.action = Action::forward;
    return rule;
}

Rule<V4> one_to_one() {
    Rule<V4> rule;
    rule.name = "one-to-one";
    rule.action = Action::bind;
    rule.mapping = StaticMapping<V4>{{ip("10.1.0.7"), {}}, {ip("10.2.0.9"), {}}};
    return rule;
}

class RoleSwitch : public testing::Test {
  protected:
    void start(std::vector<Rule<V4>> rules) {
        gateway = std::make_unique<TestGateway>(std::move(rules), 1);
    }
    Verdict client_says(const Spoken& spoken) {
        Bytes packet = segment(client, spoken);
        const Verdict verdict = gateway->pass(packet);
        if (verdict.outcome == transmit) outside = answer_to(read(packet).tuple);
        return verdict;
    }
    Verdict server_says(const Spoken& spoken) {
        Bytes packet = segment(outside, spoken);
        const Verdict verdict = gateway->pass(packet, 1);
        if (verdict.outcome == transmit) inside = read(packet).tuple;
        return verdict;
    }
    void open() {
        ASSERT_EQ(client_says({syn, 1000}).outcome, transmit);
        ASSERT_EQ(server_says({syn_ack, 9000, 1001}).outcome, transmit);
        ASSERT_EQ(client_says({ack, 1001, 9001}).outcome, transmit);
    }
    void close() {
        ASSERT_EQ(client_says({fin_ack, 1001, 9001}).outcome, transmit);
        ASSERT_EQ(server_says({fin_ack, 9001, 1002}).outcome, transmit);
        ASSERT_EQ(client_says({ack, 1002, 9002}).outcome, transmit);
    }
    void reset() { ASSERT_EQ(server_says({rst, 9001, 0}).outcome, transmit); }
    /// The server opens, and the client answers.
    void switches() {
        ASSERT_EQ(server_says({syn, 7'000'000}).outcome, transmit);
        EXPECT_EQ(inside.destination, ip("10.1.0.7"));
        EXPECT_EQ(inside.destination_port.host(), client.source_port);
        EXPECT_EQ(client_says({syn_ack, 4'000'000, 7'000'001}).outcome, transmit);
        EXPECT_EQ(server_says({ack, 7'000'001, 4'000'001}).outcome, transmit);
        EXPECT_EQ(client_says({ack, 4'000'001, 7'000'001, 99}).outcome, transmit);
    }
    std::uint64_t live() const {
        const EngineCounters& counters = gateway->engines[0]->counters();
        return counters.insert.value() - counters.removed.value();
    }
    TcpState state_of(const Ends& ends) const {
        const auto& index = gateway->table.index();
        const Tuple<V4> key = tuple(ends, ip_protocol::tcp);
        const Found found = index.find(key, index.hash(key));
        return found ? tcp_state(gateway->table.pool()[found.flow]) : TcpState::none;
    }

    std::unique_ptr<TestGateway> gateway;
    Ends outside{};
    Tuple<V4> inside{};
};

TEST_F(RoleSwitch, ThroughAPlainRouter) {
    for (const bool orderly : {true, false}) {
        start({forwarding()});
        open();
        orderly ? close() : reset();
        switches();
        EXPECT_EQ(live(), 1U);
        EXPECT_EQ(state_of(outside), TcpState::established);
    }
}

TEST_F(RoleSwitch, ThroughAStaticMapping) {
    for (const bool orderly : {true, false}) {
        start({one_to_one()});
        open();
        EXPECT_EQ(outside.destination, host("10.2.0.9"));
        orderly ? close() : reset();
        switches();
    }
}

TEST_F(RoleSwitch, ToAMappingThatLetsAnybodyIn) {
    for (const bool orderly : {true, false}) {
        Rule<V4> rule = masquerade();
        rule.behavior = {Mapping::endpoint_independent, Filtering::endpoint_independent};
        start({rule});
        open();
        const auto& counters = gateway->pipelines[0]->slow_path().mappings().counters();
        orderly ? close() : reset();
        switches();
        EXPECT_EQ(counters.mappings_opened.value(), 1U) << "the mapping has lived on";
        EXPECT_EQ(counters.mappings_ended.value(), 0U);
        gateway->pass_time(500'000'000);
        EXPECT_EQ(live(), 0U) << "and no reference too many has been taken";
    }
}

TEST_F(RoleSwitch, ToAMappingThatLetsInWhoWasSentTo) {
    Rule<V4> rule = masquerade();
    rule.behavior = {Mapping::endpoint_independent, Filtering::address_dependent};
    start({rule});
    open();
    close();
    switches();
    gateway->pass_time(500'000'000);
    EXPECT_EQ(live(), 0U);
}

// [RFC 5382 REQ-3]: what may not open a connection ends none.
TEST_F(RoleSwitch, IsAskedAnew) {
    start({masquerade()});
    open();
    close();
    EXPECT_EQ(server_says({syn, 7'000'000}).reason, DropReason::unsolicited);
    EXPECT_EQ(state_of(client), TcpState::time_wait);
    Rule<V4> outbound = forwarding();
    outbound.ingress_port = 0;
    start({outbound});
    open();
    close();
    EXPECT_EQ(server_says({syn, 7'000'000}).reason, DropReason::no_rule);
    EXPECT_EQ(state_of(client), TcpState::time_wait);
}

TEST_F(RoleSwitch, NotWhileTheConnectionLives) {
    start({forwarding()});
    open();
    EXPECT_EQ(server_says({syn, 7'000'000}).reason, DropReason::tcp_invalid);
    client_says({fin_ack, 1001, 9001});
    client_says({fin_ack, 1001, 9001});
    server_says({ack, 9001, 1002});
    EXPECT_EQ(server_says({syn, 7'000'000}).reason, DropReason::tcp_invalid);
    EXPECT_EQ(state_of(client), TcpState::close_wait);
}

// A flow that was reset by flags alone may live.
TEST_F(RoleSwitch, NotAfterAResetThatNobodyHasLookedAt) {
    PolicyConfig<V4> policy{{}, {forwarding()}};
    policy.tcp.window = TcpWindow::off;
    gateway = std::make_unique<TestGateway>(policy, 1, 4096);
    open();
    EXPECT_EQ(server_says({rst, 0x4000'0000}).outcome, transmit);
    EXPECT_EQ(server_says({syn, 7'000'000}).reason, DropReason::tcp_invalid);
    EXPECT_EQ(client_says({ack, 1001, 9001, 10}).outcome, transmit);
}

TEST_F(RoleSwitch, BothSidesMayOpenAtOnce) {
    start({forwarding()});
    open();
    close();
    EXPECT_EQ(client_says({syn, 5'000'000}).outcome, transmit);
    EXPECT_EQ(server_says({syn, 7'000'000}).outcome, transmit);
    EXPECT_EQ(state_of(client), TcpState::syn_sent2);
}

/// A client that always comes from one port, and a target that does not answer.
class Unanswered : public RoleSwitch {
  protected:
    static constexpr Ends node{0x0a010007, 0x0a010001, 40000, 30080};
    void SetUp() override {
        Rule<V4> rule = node_port();
        rule.targets = {{ip("10.2.0.2"), 80}, {ip("10.2.0.3"), 80}};
        start({rule});
    }
    /// Whom the SYN goes to; nobody: dropped.
    V4Address asks(std::uint32_t sequence) {
        Bytes packet = segment(node, {syn, sequence});
        if (gateway->pass(packet).outcome != transmit) return {};
        return read(packet).tuple.destination;
    }
};

TEST_F(Unanswered, ALaterSynChoosesAgain) {
    std::set<std::uint32_t> asked;
    for (std::uint32_t opening = 0; opening < 40; ++opening) {
        const V4Address target = asks(opening);
        asked.insert(target.value.host());
        const std::uint64_t begun = gateway->now_ms;
        gateway->engines[0]->quiescent();
        gateway->maintain(64);  // reclaims the one before
        while (gateway->now_ms < begun + 239'000) {
            gateway->now_ms += 3'000;
            if (gateway->now_ms >= begun + 240'000) break;  // it has had its time
            ASSERT_EQ(asks(opening), target);
        }
        gateway->now_ms = begun + 240'000;
    }
    EXPECT_EQ(asked.size(), 2U);
    EXPECT_EQ(live(), 1U);
}

TEST_F(Unanswered, AnAnswerGivesItTime) {
    const V4Address target = asks(1000);
    gateway->now_ms += 239'000;
    ASSERT_EQ(asks(1000), target);
    const auto& index = gateway->table.index();
    const Tuple<V4> key = tuple(node, ip_protocol::tcp);
    const auto& flow = gateway->table.pool()[index.find(key, index.hash(key)).flow];
    Bytes answer =
        segment(answer_to(flow.tuple(Direction::reply).inverse()), {syn_ack, 9000, 1001});
    ASSERT_EQ(gateway->pass(answer, 1).outcome, transmit);
    gateway->now_ms += 239'000;
    ASSERT_EQ(asks(1000), target);
}

}  // namespace
}  // namespace noclash::nat::test::role_switch_test
