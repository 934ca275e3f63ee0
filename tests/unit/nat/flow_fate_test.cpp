// SPDX-License-Identifier: Apache-2.0
#include "nat/policy/flow_fate.hpp"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "tests/unit/nat/pipeline_fixture.hpp"

namespace noclash::nat::flow_fate_test {
namespace {

using namespace test;

using Rules = std::vector<Rule<V4>>;

constexpr FlowFate unchanged = FlowFate::unchanged, lives_on = FlowFate::lives_on,
                   ends = FlowFate::ends;

Rule<V4> forbidding(std::uint32_t from) {
    Rule<V4> rule;
    rule.name = "forbidding";
    rule.from = {{V4Address::from_host(from), 32}};
    rule.action = Action::drop;
    return rule;
}

/// What becomes of a flow of the first of `before` when `now` takes the place of these.
struct Change {
    Rules before;
    Rules now;
    std::uint8_t protocol = ip_protocol::tcp;
    bool own = true;

    [[nodiscard]] FlowFate fate(bool ends_stale = false) const {
        Identities identities{64};
        const Policy<V4> old({{}, before}, {}, {}, identities, nullptr);
        const Policy<V4> next({{}, now}, {}, {}, identities, &old);
        const bool forwards = before[0].action == Action::dnat;
        Tuple<V4> original = test::tuple(client, protocol);
        if (forwards) {
            original.source = ip("192.0.2.9");
            original.destination = ip("10.2.0.1");
            original.destination_port = Be16::from_host(30080);
        }
        Tuple<V4> reply = original.inverse();
        if (forwards) {
            reply.source = ip("10.2.0.2");
            reply.source_port = Be16::from_host(80);
        } else {
            reply.destination = ip("10.2.0.1");
        }
        const std::uint16_t ingress = forwards ? 1 : 0;
        return fate_of<V4>({original, reply, old.rules[0].id, ingress, own}, old, next, ends_stale);
    }
};

TEST(FlowFate, WhatTheFlowGoesByIsAsItWas) {
    EXPECT_EQ((Change{{masquerade()}, {masquerade()}}.fate(true)), unchanged);
    EXPECT_EQ((Change{{node_port()}, {masquerade(), node_port()}}.fate(true)), unchanged)
        << "the rule may move";
    Rule<V4> more = node_port();
    more.targets.insert(more.targets.begin(), {ip("10.2.0.3"), 80});
    EXPECT_EQ((Change{{node_port()}, {more}}.fate(true)), unchanged) << "targets may come";
    Rule<V4> other_ports = masquerade({2000, 3000});
    EXPECT_EQ((Change{{masquerade()}, {other_ports}}.fate(true)), unchanged)
        << "a flow keeps a port that others do not get any more";
}

TEST(FlowFate, ARuleThatIsGoneOrForbidsNowLetsItsFlowsLive) {
    Rule<V4> forbids = masquerade();
    forbids.action = Action::reject;
    for (const Rules& now :
         {Rules{}, Rules{forbids}, Rules{forbidding(client.source), masquerade()}}) {
        const Change change{{masquerade()}, now};
        EXPECT_EQ(change.fate(), lives_on);
        EXPECT_EQ(change.fate(true), ends);
    }
    EXPECT_EQ((Change{{masquerade()}, {forbidding(client.source + 1), masquerade()}}.fate(true)),
              unchanged)
        << "another host is forbidden";
}

TEST(FlowFate, ARuleMaySayThatItsFlowsEnd) {
    Rule<V4> strict = masquerade();
    strict.on_change = OnChange::end;
    EXPECT_EQ((Change{{strict}, {}}.fate()), ends);
    EXPECT_EQ((Change{{strict}, {forbidding(client.source), strict}}.fate()), ends);
    EXPECT_EQ((Change{{strict}, {strict}}.fate()), unchanged);
    EXPECT_EQ((Change{{strict}, {masquerade()}}.fate()), unchanged) << "what it allowed is allowed";
    Rule<V4> forbids = masquerade();
    forbids.action = Action::drop;
    EXPECT_EQ((Change{{strict}, {forbids}}.fate()), lives_on) << "today's rule says what it says";
}

TEST(FlowFate, DatagramsToATargetThatIsGoneEnd) {
    Rule<V4> other = node_port();
    other.protocol.reset();
    const Rule<V4> one = other;
    other.targets = {{ip("10.2.0.3"), 80}};
    EXPECT_EQ((Change{{one}, {other}, ip_protocol::udp}.fate()), ends);
    EXPECT_EQ((Change{{one}, {other}, ip_protocol::tcp}.fate()), lives_on);
    EXPECT_EQ((Change{{one}, {other}, ip_protocol::tcp}.fate(true)), ends);
    other.targets = {{ip("10.2.0.2"), 81}};
    EXPECT_EQ((Change{{one}, {other}, ip_protocol::udp}.fate()), ends) << "another port";
    other.targets = {{ip("10.2.0.2"), {}}};
    EXPECT_EQ((Change{{one}, {other}, ip_protocol::udp}.fate()), unchanged) << "any port";
    EXPECT_EQ((Change{{one}, {}, ip_protocol::udp}.fate()), lives_on) << "with its rule";
}

TEST(FlowFate, AnAddressThatIsGoneStaysForItsFlows) {
    const Change change{{masquerade()}, {masquerade()}, ip_protocol::tcp, false};
    EXPECT_EQ(change.fate(), lives_on);
    EXPECT_EQ(change.fate(true), ends);
}

/// What came in through a mapping never matched the rule of its mapping.
TEST(FlowFate, AFlowFromOutsideGoesByItsMappingsRule) {
    Identities identities{64};
    Rule<V4> closed;
    closed.name = "closed";
    closed.action = Action::drop;
    const Rules rules{masquerade(), closed};
    const Policy<V4> old({{}, rules}, {}, {}, identities, nullptr);
    const Policy<V4> next({{}, rules}, {}, {}, identities, &old);
    const Tuple<V4> original =
        test::tuple({host("192.0.2.9"), host("10.2.0.1"), 7, 40000}, ip_protocol::udp);
    EXPECT_EQ(
        fate_of<V4>({original, original.inverse(), old.rules[0].id, 1, true}, old, next, true),
        unchanged);
}

}  // namespace
}  // namespace noclash::nat::flow_fate_test
