// SPDX-License-Identifier: Apache-2.0
#include "nat/policy/policy_snapshot.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <vector>

#include "tests/unit/nat/pipeline_fixture.hpp"

namespace noclash::nat {
namespace {

using namespace test;
using tcp_flag::ack, tcp_flag::syn;

Rule<V4> named(Rule<V4> rule, const char* name) {
    rule.name = name;
    return rule;
}

Found find(TestGateway& gateway, const Tuple<V4>& key) {
    return gateway.table.index().find(key, gateway.table.index().hash(key));
}

TEST(Names, KeepTheirNumber) {
    Names names(3);
    EXPECT_EQ(names.id_of("a"), 0);
    EXPECT_EQ(names.id_of("b"), 1);
    EXPECT_EQ(names.id_of("a"), 0);
    EXPECT_EQ(names.name_of(1), "b");
    EXPECT_EQ(names.id_of("c"), 2);
    EXPECT_THROW((void)names.id_of("d"), std::length_error);
    EXPECT_EQ(names.id_of("c"), 2) << "what has a number keeps it";
    EXPECT_EQ(names.size(), 3U);
}

TEST(Names, MayBeGivenBack) {
    Names names(3);
    for (const char* name : {"a", "b", "c"})
        (void)names.id_of(name);
    EXPECT_EQ(names.left(), 0U);
    auto given = names.give_back({false, true});
    std::ranges::sort(given);
    EXPECT_EQ(given, (std::vector<std::uint16_t>{0, 2}));
    EXPECT_EQ(names.left(), 2U);
    EXPECT_EQ(names.name_of(0), "");
    const std::uint16_t d = names.id_of("d"), e = names.id_of("e");
    EXPECT_EQ(d + e, 2) << "0 and 2, in either order";
    EXPECT_EQ(names.id_of("b"), 1);
    EXPECT_EQ(names.name_of(d), "d");
    EXPECT_THROW((void)names.id_of("f"), std::length_error);
    EXPECT_TRUE(names.give_back({true, true, true}).empty());
}

TEST(Identities, APoolThatKeepsItsNameKeepsItsPairs) {
    Identities identities;
    Pool<V4> pool{"p", {ip("198.51.100.1"), ip("198.51.100.2")}, {}};
    const auto pairs = [&](Pool<V4> with) {
        const Policy<V4> policy({{std::move(with)}, {}}, {}, {}, identities, nullptr);
        std::vector<std::uint32_t> chosen;
        for (std::uint32_t i = 0; i < 64; ++i)
            chosen.push_back(
                policy.pools[0].pairing.choose(V4Address::from_host(0x0a010000 + i), 2));
        return chosen;
    };
    const auto first = pairs(pool);
    EXPECT_EQ(pairs(pool), first);
    pool.name = "q";
    EXPECT_NE(pairs(pool), first) << "another pool pairs otherwise";
}

TEST(PolicySnapshot, FindsARuleByItsNumberWhereverItStands) {
    Identities identities;
    const Policy<V4> before({{}, {named(node_port(), "a"), named(masquerade(), "b")}}, {}, {},
                            identities, nullptr);
    const Policy<V4> after({{}, {named(masquerade(), "b"), named(masquerade(), "c")}}, {}, {},
                           identities, &before);
    EXPECT_EQ(after.find_rule(before.rules[1].id), after.rules.data());
    EXPECT_EQ(after.find_rule(before.rules[0].id), nullptr);
    EXPECT_EQ(after.place_of(*after.find_rule(after.rules[1].id)), 1U);
    EXPECT_EQ(after.find_rule(60000), nullptr);
}

/// A flow counts for its rule, wherever the rule stands by then.
TEST(PolicySnapshot, RulesMayMoveWhileFlowsLive) {
    TestGateway gateway({masquerade()});
    Bytes packet = tcp(client, syn);
    ASSERT_EQ(gateway.pass(packet).outcome, Outcome::transmit);
    const Tuple<V4> sent = read(packet).tuple;
    const RuleId rule = gateway.id_of(0);

    gateway.policy.rules.insert(gateway.policy.rules.begin(), node_port());
    EXPECT_EQ(gateway.id_of(1), rule);
    Bytes answer = tcp(answer_to(sent), syn | ack);
    EXPECT_EQ(gateway.pass(answer, 1).outcome, Outcome::transmit);
    EXPECT_EQ(gateway.table.pool()[find(gateway, test::tuple(client, ip_protocol::tcp)).flow].rule,
              rule);
    Bytes other = tcp({client.source, client.destination, 40001, 80}, syn);
    EXPECT_EQ(gateway.pass(other).outcome, Outcome::transmit);
    EXPECT_EQ(gateway.pipelines[0]->rule_hits(rule), 2U);
}

/// As in netfilter: what no rule would let in any more lives on; a new one is refused.
TEST(PolicySnapshot, AFlowOutlivesItsRule) {
    TestGateway gateway({masquerade()});
    Bytes packet = tcp(client, syn);
    ASSERT_EQ(gateway.pass(packet).outcome, Outcome::transmit);
    const Tuple<V4> sent = read(packet).tuple;

    gateway.policy.rules.clear();
    Bytes answer = tcp(answer_to(sent), syn | ack);
    EXPECT_EQ(gateway.pass(answer, 1).outcome, Outcome::transmit);
    Bytes again = tcp(client, syn);
    EXPECT_EQ(gateway.pass(again).outcome, Outcome::transmit);
    Bytes other = tcp({client.source, client.destination, 40001, 80}, syn);
    EXPECT_EQ(gateway.pass(other).reason, DropReason::no_rule);
    gateway.pass_time(gateway.timeouts.tcp_syn_recv_s * 1000ULL + 20'000);
    EXPECT_FALSE(find(gateway, test::tuple(client, ip_protocol::tcp)));
    EXPECT_EQ(gateway.table.index().occupancy().entries, 0U);
}

/// Its flows keep a mapping; but a remote that it has no flow with finds no rule.
TEST(PolicySnapshot, AMappingOutlivesItsRuleForItsFlowsAlone) {
    Rule<V4> cone = masquerade();
    cone.behavior = {Mapping::endpoint_independent, Filtering::endpoint_independent};
    TestGateway gateway({named(node_port(), "other"), cone});
    const Ends ends{client.source, client.destination, 5000, 53};
    Bytes packet = udp(ends);
    ASSERT_EQ(gateway.pass(packet).outcome, Outcome::transmit);
    const Tuple<V4> sent = read(packet).tuple;
    const Ends stranger{host("192.0.2.99"), sent.source.value.host(), 7, sent.source_port.host()};
    Bytes from_stranger = udp(stranger);
    ASSERT_EQ(gateway.pass(from_stranger, 1).outcome, Outcome::transmit);

    gateway.policy.rules = {named(cone, "its successor")};
    Bytes answer = udp(answer_to(sent));
    EXPECT_EQ(gateway.pass(answer, 1).outcome, Outcome::transmit);
    Bytes known = udp(stranger);
    EXPECT_EQ(gateway.pass(known, 1).outcome, Outcome::transmit);
    Bytes unknown = udp({host("192.0.2.98"), sent.source.value.host(), 7, sent.source_port.host()});
    EXPECT_EQ(gateway.pass(unknown, 1).reason, DropReason::no_rule);
    // The inside endpoint has one outside endpoint for as long as its flows live [RFC 4787 REQ-1].
    Bytes elsewhere = udp({client.source, host("192.0.2.97"), 5000, 53});
    ASSERT_EQ(gateway.pass(elsewhere).outcome, Outcome::transmit);
    EXPECT_EQ(read(elsewhere).tuple.source_port, sent.source_port);
}

/// A count under one policy is taken off under another, though its rule would not count the flow.
TEST(PolicySnapshot, CountsAreTakenOffWhateverTheRulesSayByThen) {
    LimitsConfig<V4> most;
    most.most[static_cast<std::size_t>(Quota::flows)] = 10;
    most.most[static_cast<std::size_t>(Quota::tcp_ports)] = 10;
    most.half_open_per_service = 5;
    TestGateway gateway({node_port(SourceNat::keep), masquerade()}, 1, 4096, most);
    Bytes outward = tcp(client, syn);
    ASSERT_EQ(gateway.pass(outward).outcome, Outcome::transmit);
    Bytes inward = tcp({host("10.1.0.9"), host("10.1.0.1"), 40000, 30080}, syn);
    ASSERT_EQ(gateway.pass(inward).outcome, Outcome::transmit);
    const RuleId service = gateway.id_of(0);
    const auto used = [&](Quota quota) {
        std::uint32_t sum = 0;
        gateway.limits.sources()->for_each(
            [&](const auto& source) { sum += source.used[static_cast<std::size_t>(quota)]; });
        return sum;
    };
    EXPECT_EQ(used(Quota::flows), 1U);
    EXPECT_EQ(used(Quota::tcp_ports), 1U);
    EXPECT_EQ(gateway.limits.services().half_open(service), 1U);

    // Neither rule is there; the one that has the name of the second translates nothing.
    Rule<V4> forward = masquerade();
    forward.action = Action::forward;
    forward.source_nat = SourceNat::keep;
    gateway.policy.rules = {forward};
    gateway.limits_config = {};
    gateway.pass_time(gateway.timeouts.tcp_syn_sent_s * 1000ULL + 20'000);
    EXPECT_EQ(gateway.table.index().occupancy().entries, 0U);
    EXPECT_EQ(used(Quota::flows), 0U);
    EXPECT_EQ(used(Quota::tcp_ports), 0U);
    EXPECT_EQ(gateway.limits.services().half_open(service), 0U);
}

TEST(Backends, ATargetThatStaysKeepsItsCounter) {
    Identities identities;
    Rule<V4> service = node_port();
    service.targets = {{ip("10.2.0.2"), 80}, {ip("10.2.0.3"), 80}};
    auto before = std::make_unique<const Policy<V4>>(PolicyConfig<V4>{{}, {service}}, Timeouts{},
                                                     LimitsConfig<V4>{}, identities, nullptr);
    Tuple<V4> reply{};
    reply.source = ip("10.2.0.3");
    reply.source_port = Be16::from_host(80);
    before->backends.ended_unanswered(0, reply);
    service.targets = {{ip("10.2.0.4"), 80}, {ip("10.2.0.3"), 80}, {ip("10.2.0.3"), 81}};
    const Policy<V4> after({{}, {named(masquerade(), "first"), service}}, {}, {}, identities,
                           before.get());
    before.reset();
    EXPECT_EQ(after.backends.unanswered(1, 0), 0U);
    EXPECT_EQ(after.backends.unanswered(1, 1), 1U);
    EXPECT_EQ(after.backends.unanswered(1, 2), 0U);
}

/// Ports that a new rule reserves are proposed to nobody; those of a rule that is gone are free.
TEST(PolicySnapshot, ReservedPortsFollowTheRules) {
    Rule<V4> one = masquerade({5000, 5000});
    Rule<V4> service = node_port();
    service.to_port = PortRange{5000, 5000};
    TestGateway gateway({service, one});
    Bytes packet = tcp(client, syn);
    EXPECT_EQ(gateway.pass(packet).reason, DropReason::exhausted);
    gateway.policy.rules = {one};
    packet = tcp(client, syn);
    EXPECT_EQ(gateway.pass(packet).outcome, Outcome::transmit) << "towards the same destination";
    gateway.policy.rules = {service, one};
    packet = tcp({client.source, host("192.0.2.82"), 40000, 80}, syn);
    EXPECT_EQ(gateway.pass(packet).reason, DropReason::exhausted);
}

/// The flow's remote keeps it until it ends; everybody else reaches the service.
TEST(PolicySnapshot, APortThatBecomesReservedStaysWithTheFlowThatHasIt) {
    Rule<V4> cone = masquerade({5000, 5000});
    cone.behavior = {Mapping::endpoint_independent, Filtering::endpoint_independent};
    TestGateway gateway({cone});
    Bytes packet = tcp(client, syn);
    ASSERT_EQ(gateway.pass(packet).outcome, Outcome::transmit);
    const Tuple<V4> sent = read(packet).tuple;

    Rule<V4> service = node_port(SourceNat::keep);
    service.to_port = PortRange{5000, 5000};
    gateway.policy.rules = {service, cone};
    Bytes answer = tcp(answer_to(sent), syn | ack);
    ASSERT_EQ(gateway.pass(answer, 1).outcome, Outcome::transmit);
    EXPECT_EQ(read(answer).tuple.destination.value.host(), client.source);
    Bytes stranger = tcp({host("192.0.2.99"), host("10.2.0.1"), 7, 5000}, syn);
    ASSERT_EQ(gateway.pass(stranger, 1).outcome, Outcome::transmit);
    EXPECT_EQ(read(stranger).tuple.destination, ip("10.2.0.2")) << "the service's target";
}

/// The table of sources is made when the first policy comes that limits any.
TEST(PolicySnapshot, LimitsMayComeAndGo) {
    TestGateway gateway({masquerade()});
    const auto open = [&](std::uint16_t port) {
        Bytes packet = tcp({client.source, client.destination, port, 80}, syn);
        return gateway.pass(packet).reason;
    };
    EXPECT_EQ(open(1), DropReason::none);
    EXPECT_EQ(gateway.limits.sources(), nullptr);
    gateway.limits_config.most[static_cast<std::size_t>(Quota::flows)] = 2;
    EXPECT_EQ(open(2), DropReason::none) << "what was there before is not counted";
    EXPECT_EQ(open(3), DropReason::none);
    EXPECT_EQ(open(4), DropReason::subscriber_flows);
    gateway.limits_config = {};
    EXPECT_EQ(open(5), DropReason::none);
    gateway.pass_time(gateway.timeouts.tcp_syn_sent_s * 1000ULL + 20'000);
    std::uint32_t counted = 0;
    gateway.limits.sources()->for_each([&](const auto& source) {
        counted += source.used[static_cast<std::size_t>(Quota::flows)];
    });
    EXPECT_EQ(counted, 0U);
}

}  // namespace
}  // namespace noclash::nat
