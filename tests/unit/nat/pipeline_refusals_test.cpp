// SPDX-License-Identifier: Apache-2.0
// Packets that go no further, and the hosts that are told why.

#include "nat/pipeline.hpp"

#include <gtest/gtest.h>

#include <utility>

#include "tests/unit/nat/pipeline_fixture.hpp"

namespace noclash::nat::test::pipeline_refusals_test {
namespace {

using tcp_flag::ack, tcp_flag::fin, tcp_flag::rst, tcp_flag::syn;

TEST(Pipeline, WhatComesForUsWithoutAFlowIsNotForwarded) {
    Rule<V4> forward;  // even when a rule would forward anything
    forward.action = Action::forward;
    TestGateway gateway({forward});
    Bytes probe = tcp({host("192.0.2.80"), host("10.2.0.1"), 80, 40000}, syn);
    EXPECT_EQ(gateway.pass(probe, 1).reason, DropReason::unsolicited);
    Bytes ping = icmp({host("10.1.0.7"), host("10.1.0.1")}, 8, 0, 0x00010001);
    ASSERT_EQ(gateway.pass(ping).outcome, Outcome::transmit);
    EXPECT_EQ(read(ping).kind, PacketKind::icmp_reply);
    EXPECT_EQ(read(ping).tuple.destination, ip("10.1.0.7"));
}

TEST(Pipeline, AMiddleOfAConnectionOpensNoFlow) {
    TestGateway gateway({masquerade()});
    for (const std::uint8_t flags : {ack, std::uint8_t(syn | ack), std::uint8_t(fin | ack), rst}) {
        Bytes packet = tcp(client, flags);
        EXPECT_EQ(gateway.pass(packet).reason, DropReason::tcp_not_syn);
    }
    EXPECT_EQ(gateway.table.index().occupancy().entries, 0U);
}

TEST(Pipeline, ACorruptedFirstPacketMakesNoState) {
    TestGateway gateway({masquerade()});
    Bytes packet = tcp(client, syn, {1, 2, 3});
    packet.back() ^= 1;
    EXPECT_EQ(gateway.pass(packet).reason, DropReason::bad_l4_checksum);
    EXPECT_EQ(gateway.table.index().occupancy().entries, 0U);
}

TEST(Pipeline, TimeToLiveEndsBeforeAnythingIsSetUp) {
    TestGateway gateway({masquerade()});
    Bytes packet = udp(client);
    packet[8] = 1;
    fix_ip_checksum(packet);
    const Bytes before = packet;
    const auto verdict = gateway.pass(packet);
    EXPECT_EQ(verdict.outcome, Outcome::reject);
    EXPECT_EQ(verdict.reason, DropReason::ttl);
    EXPECT_EQ(verdict.error.type, 11);
    EXPECT_EQ(packet, before) << "the error quotes the packet as it came";
    EXPECT_EQ(gateway.table.index().occupancy().entries, 0U);
}

// [RFC 4787 REQ-13]
TEST(Pipeline, TooBigIsToldWithTheMtu) {
    TestGateway gateway({masquerade()});
    gateway.router.outside_mtu = 1000;
    Bytes packet = udp(client, Bytes(1200));
    packet[6] |= 0x40;
    fix_ip_checksum(packet);
    const auto verdict = gateway.pass(packet);
    EXPECT_EQ(verdict.outcome, Outcome::reject);
    EXPECT_EQ(verdict.error.type, 3);
    EXPECT_EQ(verdict.error.code, 4);
    EXPECT_EQ(verdict.error.mtu, 1000);
}

// [RFC 4787 REQ-13]
TEST(Pipeline, TooBigGoesInFragmentsWhereItMay) {
    TestGateway gateway({masquerade()});
    gateway.router.outside_mtu = 1000;
    for (int i = 0; i < 2; ++i) {  // the first of a flow, and one that follows
        Bytes packet = udp(client, Bytes(1200));
        const auto context = gateway.decide(packet);
        EXPECT_EQ(context.verdict.outcome, Outcome::fragment);
        EXPECT_EQ(context.hop.mtu, 1000);
        EXPECT_EQ(read(packet).tuple.source, ip("10.2.0.1"));
    }
    Bytes what_fits = udp(client, Bytes(1000 - 28));
    EXPECT_EQ(gateway.pass(what_fits).outcome, Outcome::transmit);
    auto& index = gateway.table.index();
    const Tuple<V4> tuple = test::tuple(client, ip_protocol::udp);
    const Found flow = index.find(tuple, index.hash(tuple));
    EXPECT_EQ(gateway.table.pool()[flow.flow].counter(Direction::original).packets.load(), 3U);
}

TEST(Pipeline, TooBigIsToldApartForWhatTheGatewaySaysItself) {
    TestGateway gateway({masquerade()});
    gateway.router.outside_mtu = 1000;
    for (const auto& [size, outcome] :
         {std::pair{1000, Outcome::transmit}, {1001, Outcome::fragment}}) {
        Bytes ping = icmp({host("192.0.2.80"), host("10.2.0.1")}, 8, 0, 0x00010001,
                          Bytes(static_cast<std::size_t>(size) - 28));
        EXPECT_EQ(gateway.pass(ping, 1).outcome, outcome) << size;
    }
}

TEST(Pipeline, AnErrorThatIsTooBigGoesInFragments) {
    TestGateway gateway({masquerade()});
    Bytes out = udp(client);
    ASSERT_EQ(gateway.pass(out).outcome, Outcome::transmit);
    Bytes answer = udp(answer_to(read(out).tuple), Bytes(300));
    ASSERT_EQ(gateway.pass(answer, 1).outcome, Outcome::transmit);
    gateway.router.outside_mtu = 200;
    Bytes error = icmp({host("10.1.0.99"), client.destination}, 3, 1, 0, answer);
    EXPECT_EQ(gateway.pass(error).outcome, Outcome::fragment);
}

TEST(Pipeline, TooBigAndDamagedGoesNowhere) {
    TestGateway gateway({masquerade()});
    Bytes opening = tcp(client, tcp_flag::syn);
    ASSERT_EQ(gateway.pass(opening).outcome, Outcome::transmit);
    gateway.router.outside_mtu = 1000;
    Bytes packet = tcp(client, tcp_flag::rst | tcp_flag::ack, Bytes(1200));
    packet.back() ^= 1;
    const auto verdict = gateway.pass(packet);
    EXPECT_EQ(verdict.outcome, Outcome::drop);
    EXPECT_EQ(verdict.reason, DropReason::bad_l4_checksum);
}

// [RFC 4787 REQ-13]: where each of the fragments that it came in fits.
TEST(Pipeline, DontFragmentBindsFragmentsNotWhatTheyMake) {
    TestGateway gateway({masquerade()});
    gateway.router.outside_mtu = 1000;
    for (const auto& [largest, outcome] :
         {std::pair{999, Outcome::fragment}, {1000, Outcome::fragment}, {1001, Outcome::reject}}) {
        Bytes packet = udp(client, Bytes(1200));
        packet[6] |= 0x40;
        fix_ip_checksum(packet);
        PacketContext<V4> context{};
        context.packet = view(packet);
        context.packet.largest_fragment = static_cast<std::uint16_t>(largest);
        gateway.process({&context, 1});
        EXPECT_EQ(context.verdict.outcome, outcome) << largest;
    }
}

TEST(Pipeline, NoRouteIsTold) {
    TestGateway gateway({masquerade()});
    Bytes packet = udp({client.source, host("10.99.0.1"), 1, 2});
    const auto verdict = gateway.pass(packet);
    EXPECT_EQ(verdict.outcome, Outcome::reject);
    EXPECT_EQ(verdict.reason, DropReason::no_route);
}

TEST(Pipeline, ACorruptedResetEndsNothing) {
    TestGateway gateway({masquerade()});
    Bytes out = tcp(client, syn);
    ASSERT_EQ(gateway.pass(out).outcome, Outcome::transmit);
    Bytes reset = tcp(answer_to(read(out).tuple), rst | ack);
    reset[36] ^= 0x55;  // its checksum
    EXPECT_EQ(gateway.pass(reset, 1).reason, DropReason::bad_l4_checksum);
    const auto key = test::tuple(client, ip_protocol::tcp);
    const Found found = gateway.table.index().find(key, gateway.table.index().hash(key));
    EXPECT_EQ(gateway.table.pool()[found.flow].protocol_state.load(),
              static_cast<std::uint8_t>(TcpState::syn_sent));
}

TEST(Pipeline, ADropRuleHoldsForOurOwnAddressesToo) {
    Rule<V4> drop;
    drop.name = "drop";
    TestGateway gateway({drop});
    Bytes ping = icmp({host("10.1.0.7"), host("10.1.0.1")}, 8, 0, 0x00010001);
    EXPECT_EQ(gateway.pass(ping).reason, DropReason::rule);
    EXPECT_EQ(gateway.pipelines[0]->slow_path().rule_hits(0), 1U);
}

// [RFC 5508 REQ-8]
TEST(Pipeline, ARejectRuleTellsTheSender) {
    Rule<V4> reject;
    reject.name = "reject";
    reject.action = Action::reject;
    TestGateway gateway({reject, masquerade()});
    for (Bytes packet : {udp(client), tcp(client, tcp_flag::syn)}) {
        const Bytes before = packet;
        const auto verdict = gateway.pass(packet);
        EXPECT_EQ(verdict.reason, DropReason::rejected);
        EXPECT_EQ(verdict.outcome, Outcome::reject);
        EXPECT_EQ(verdict.error.code, icmp_error::admin_prohibited.code);
        EXPECT_EQ(packet, before);
    }
    EXPECT_EQ(gateway.pipelines[0]->slow_path().rule_hits(0), 2U);
    EXPECT_EQ(gateway.engines[0]->counters().insert.value(), 0U);
}

// [RFC 6888 REQ-11] [RFC 5508 REQ-8]
TEST(Pipeline, WhoeverFindsNoFreePortIsToldAsConfigured) {
    for (const auto& error :
         {std::optional(icmp_error::host_unreachable), std::optional(icmp_error::admin_prohibited),
          std::optional<IcmpError>()}) {
        TestGateway gateway({masquerade({5000, 5000})});
        gateway.policy.no_room_error = error;
        Bytes first = udp(client);
        ASSERT_EQ(gateway.pass(first).outcome, Outcome::transmit);
        Bytes second = udp({host("10.1.0.8"), client.destination, 40000, 80});
        const Bytes before = second;
        const auto verdict = gateway.pass(second);
        EXPECT_EQ(verdict.reason, DropReason::exhausted);
        EXPECT_EQ(verdict.outcome, error ? Outcome::reject : Outcome::drop);
        if (error) {
            EXPECT_EQ(verdict.error.code, error->code);
        }
        EXPECT_EQ(second, before) << "the error quotes the packet as it came";
        Bytes again = udp(client);
        EXPECT_EQ(gateway.pass(again).outcome, Outcome::transmit) << "the first flow lives on";
    }
}

}  // namespace
}  // namespace noclash::nat::test::pipeline_refusals_test
