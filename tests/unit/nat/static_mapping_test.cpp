// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <set>

#include "tests/unit/nat/pipeline_fixture.hpp"

namespace noclash::nat::test::static_mapping_test {
namespace {

constexpr std::uint16_t inside_port = 0;  // of the gateway
constexpr std::uint16_t outside_port = 1;

const std::uint32_t server = host("10.1.0.9");
const std::uint32_t other = host("10.1.0.10");
const std::uint32_t public_server = host("203.0.113.9");
const std::uint32_t public_other = host("203.0.113.10");
const std::uint32_t remote = host("192.0.2.80");

Rule<V4> bound(std::uint32_t inside, std::uint32_t outside) {
    Rule<V4> rule;
    rule.name = "static";
    rule.action = Action::bind;
    rule.mapping =
        StaticMapping<V4>{{V4Address::from_host(inside), {}}, {V4Address::from_host(outside), {}}};
    return rule;
}
Rule<V4> bound(std::uint32_t inside, std::uint16_t port, std::uint32_t outside,
               std::uint16_t public_port, std::uint8_t protocol = ip_protocol::udp) {
    Rule<V4> rule = bound(inside, outside);
    rule.protocol = protocol;
    rule.mapping->inside.port = port;
    rule.mapping->outside.port = public_port;
    return rule;
}

/// How a packet gets to the other side; no addresses when it does not.
Ends crossing(TestGateway& gateway, Bytes packet, std::uint16_t ingress) {
    const auto verdict = gateway.pass(packet, ingress);
    EXPECT_EQ(verdict.outcome, Outcome::transmit) << to_string(verdict.reason);
    if (verdict.outcome != Outcome::transmit) return {0, 0, 0, 0};
    const auto t = read(packet).tuple;
    return {t.source.value.host(), t.destination.value.host(), t.source_port.host(),
            t.destination_port.host()};
}
void expect_crosses(TestGateway& gateway, std::uint16_t ingress, const Ends& sent,
                    const Ends& seen) {
    for (const bool tcp_too : {false, true}) {
        const Ends got = crossing(gateway, tcp_too ? tcp(sent, tcp_flag::syn) : udp(sent), ingress);
        EXPECT_EQ(test::tuple(got, 0), test::tuple(seen, 0))
            << to_string<V4>(V4Address::from_host(got.source)) << ":" << got.source_port << " -> "
            << to_string<V4>(V4Address::from_host(got.destination)) << ":" << got.destination_port;
    }
}

TEST(StaticMapping, AWholeAddressInBothDirections) {
    TestGateway gateway({bound(server, public_server), masquerade()});
    expect_crosses(gateway, inside_port, {server, remote, 4000, 80},
                   {public_server, remote, 4000, 80});
    expect_crosses(gateway, outside_port, {remote, public_server, 80, 4000},
                   {remote, server, 80, 4000});
    // Either side may begin.
    expect_crosses(gateway, outside_port, {remote, public_server, 5555, 22},
                   {remote, server, 5555, 22});
    expect_crosses(gateway, inside_port, {server, remote, 22, 5555},
                   {public_server, remote, 22, 5555});
    EXPECT_EQ(gateway.pipelines[0]->slow_path().rule_hits(0), 4U)
        << "two connections of each protocol";
}

TEST(StaticMapping, PingsOfAWholeAddress) {
    TestGateway gateway({bound(server, public_server)});
    Bytes ping = icmp({remote, public_server}, 8, 0, 0x00070001);
    ASSERT_EQ(gateway.pass(ping, outside_port).outcome, Outcome::transmit);
    EXPECT_EQ(read(ping).tuple.destination.value.host(), server);
    Bytes answer = icmp({server, remote}, 0, 0, 0x00070001);
    ASSERT_EQ(gateway.pass(answer, inside_port).outcome, Outcome::transmit);
    EXPECT_EQ(read(answer).tuple.source.value.host(), public_server);
    ping = icmp({server, remote}, 8, 0, 0x00090001);
    ASSERT_EQ(gateway.pass(ping, inside_port).outcome, Outcome::transmit);
    EXPECT_EQ(read(ping).tuple.source.value.host(), public_server);
    EXPECT_EQ(read(ping).tuple.source_port.host(), 9) << "the identifier stays";
}

TEST(StaticMapping, AnEndpointOfOneProtocol) {
    TestGateway gateway({bound(server, 8080, public_server, 80), masquerade({5000, 5999})});
    EXPECT_EQ(test::tuple(crossing(gateway, udp({remote, public_server, 7, 80}), outside_port), 0),
              test::tuple({remote, server, 7, 8080}, 0));
    EXPECT_EQ(test::tuple(crossing(gateway, udp({server, remote, 8080, 9}), inside_port), 0),
              test::tuple({public_server, remote, 80, 9}, 0));
    // Another port, another protocol, another port of the outside address.
    EXPECT_EQ(crossing(gateway, udp({server, remote, 8081, 9}), inside_port).source,
              host("10.2.0.1"));
    EXPECT_EQ(crossing(gateway, tcp({server, remote, 8080, 9}, tcp_flag::syn), inside_port).source,
              host("10.2.0.1"));
    Bytes elsewhere = udp({remote, public_server, 7, 81});
    EXPECT_EQ(gateway.pass(elsewhere, outside_port).reason, DropReason::no_rule);
}

TEST(StaticMapping, ItsPortIsProposedToNobodyElse) {
    for (const bool preserved : {false, true}) {
        Rule<V4> others = masquerade({5000, 5001});
        others.likeness.preservation = preserved;
        TestGateway gateway({bound(server, 8080, host("10.2.0.1"), 5000), others});
        EXPECT_EQ(crossing(gateway, udp({other, remote, 5000, 9}), inside_port).source_port, 5001);
        Bytes refused = udp({other, remote, 4001, 9});
        EXPECT_EQ(gateway.pass(refused).reason, DropReason::exhausted);
        // It is the static mapping's still.
        EXPECT_EQ(crossing(gateway, udp({server, remote, 8080, 9}), inside_port).source_port, 5000);
        // The same port of the other protocol is anybody's.
        std::set<std::uint16_t> ports;
        for (std::uint16_t port = 1; port <= 2; ++port)
            ports.insert(
                crossing(gateway, tcp({other, remote, port, 9}, tcp_flag::syn), inside_port)
                    .source_port);
        EXPECT_EQ(ports, (std::set<std::uint16_t>{5000, 5001}));
    }
}

TEST(StaticMapping, ATakenTupleIsNotEvadedByAnotherPort) {
    // A host that has the public address for its own, and is not translated, was first.
    Rule<V4> forward;
    forward.name = "as it is";
    forward.action = Action::forward;
    forward.from = {{V4Address::from_host(public_server), 32}};
    TestGateway gateway({forward, bound(server, public_server)});
    crossing(gateway, udp({public_server, remote, 4000, 80}), inside_port);
    Bytes refused = udp({server, remote, 4000, 80});
    EXPECT_EQ(gateway.pass(refused).reason, DropReason::exhausted);
    EXPECT_EQ(crossing(gateway, udp({server, remote, 4001, 80}), inside_port).source_port, 4001);
}

// (RFC 4787 REQ-9)
TEST(StaticMapping, InsideHostsMeetByTheirOutsideAddresses) {
    TestGateway gateway({bound(server, public_server), bound(other, public_other)});
    expect_crosses(gateway, inside_port, {server, public_other, 4000, 80},
                   {public_server, other, 4000, 80});
    expect_crosses(gateway, inside_port, {other, public_server, 80, 4000},
                   {public_other, server, 80, 4000});
}

TEST(StaticMapping, ARuleBeforeItDecides) {
    Rule<V4> drop;
    drop.name = "no telnet";
    drop.action = Action::drop;
    drop.protocol = ip_protocol::tcp;
    drop.to_port = PortRange{23, 23};
    TestGateway gateway({drop, bound(server, public_server)});
    Bytes telnet = tcp({remote, public_server, 4000, 23}, tcp_flag::syn);
    EXPECT_EQ(gateway.pass(telnet, outside_port).reason, DropReason::rule);
    EXPECT_EQ(crossing(gateway, tcp({remote, public_server, 4000, 22}, tcp_flag::syn), outside_port)
                  .destination,
              server);
}

TEST(StaticMapping, TheGatewayItselfIsStillThere) {
    TestGateway gateway({bound(server, public_server)});
    Bytes ping = icmp({server, host("10.1.0.1")}, 8, 0, 0x00070001);
    ASSERT_EQ(gateway.pass(ping).outcome, Outcome::transmit);
    EXPECT_EQ(read(ping).kind, PacketKind::icmp_reply);
    EXPECT_EQ(read(ping).tuple.destination.value.host(), server);
}

}  // namespace
}  // namespace noclash::nat::test::static_mapping_test
