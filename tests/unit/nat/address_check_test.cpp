// SPDX-License-Identifier: Apache-2.0
// Addresses that nothing from outside of the gateway may have.

#include "nat/address_check.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "tests/unit/nat/pipeline_fixture.hpp"

namespace noclash::nat::test::address_check_test {
namespace {

Rule<V4> forward_all(Tracking tracking = Tracking::flow) {
    Rule<V4> rule;
    rule.action = Action::forward;
    rule.tracking = tracking;
    return rule;
}
Rule<V4> reject_all() {
    Rule<V4> rule;
    rule.action = Action::reject;
    return rule;
}

/// Expects a refusal of any protocol, and before the time to live is looked at.
void expect_refused(TestGateway& gateway, const Ends& ends, std::uint16_t port, DropReason reason) {
    for (Bytes packet :
         {tcp(ends, tcp_flag::syn), tcp(ends, tcp_flag::ack, Bytes(4)), udp(ends),
          udp(ends, Bytes(2000)), icmp(ends, 8, 0, 0x00010001), ipv4(ends, 47, Bytes(20))}) {
        for (const std::uint8_t ttl : {std::uint8_t{64}, std::uint8_t{1}}) {
            packet[8] = ttl;
            fix_ip_checksum(packet);
            const std::string before = to_hex(packet);
            const Verdict verdict = gateway.pass(packet, port);
            EXPECT_EQ(verdict.outcome, Outcome::drop) << before << ": nobody may be told";
            EXPECT_EQ(to_string(verdict.reason), to_string(reason)) << before;
            EXPECT_EQ(to_hex(packet), before);
        }
    }
    EXPECT_EQ(gateway.table.index().occupancy().entries, 0U);
}

// [RFC 1812 section 5.3.5] [RFC 1812 section 4.3.2.7]
TEST(AddressCheck, DirectedBroadcastsGoNowhere) {
    for (const auto& rules : {std::vector{forward_all()},
                              {forward_all(Tracking::none)},
                              {masquerade()},
                              {reject_all()},
                              {}}) {
        for (const char* broadcast : {"10.1.255.255", "10.1.0.0", "10.2.0.255", "10.2.0.0"}) {
            TestGateway gateway(rules);
            expect_refused(gateway, {client.source, host(broadcast), 1, 2}, 0,
                           DropReason::directed_broadcast);
            expect_refused(gateway, {host(broadcast), client.destination, 1, 2}, 0,
                           DropReason::directed_broadcast);
            expect_refused(gateway, {host("192.0.2.80"), host(broadcast), 1, 2}, 1,
                           DropReason::directed_broadcast);
        }
    }
}

TEST(AddressCheck, ABroadcastIsNoServiceEither) {
    Rule<V4> service = node_port();
    service.to = {{ip("10.1.255.255"), 32}};
    TestGateway gateway({service});
    expect_refused(gateway, {client.source, host("10.1.255.255"), 1000, 30080}, 0,
                   DropReason::directed_broadcast);
}

TEST(AddressCheck, OwnAddressesSendNothing) {
    for (const auto& rules : {std::vector{forward_all()},
                              {forward_all(Tracking::none)},
                              {node_port(), masquerade()},
                              {reject_all()}}) {
        for (const char* own : {"10.1.0.1", "10.2.0.1"}) {
            TestGateway gateway(rules);
            expect_refused(gateway, {host(own), client.destination, 1000, 80}, 0,
                           DropReason::own_source);
            expect_refused(gateway, {host(own), client.source, 1000, 80}, 1,
                           DropReason::own_source);
        }
    }
    TestGateway gateway({node_port(), masquerade()});  // to a service, but on another address
    expect_refused(gateway, {host("10.2.0.1"), host("10.1.0.1"), 1000, 30080}, 0,
                   DropReason::own_source);
}

// [field d]
TEST(AddressCheck, AProbeFromTheServicesOwnAddressGetsThere) {
    TestGateway gateway({node_port(), masquerade()});
    Bytes probe = tcp({host("10.1.0.1"), host("10.1.0.1"), 1000, 30080}, tcp_flag::syn);
    ASSERT_EQ(gateway.pass(probe).outcome, Outcome::transmit);
    const Tuple<V4> there = read(probe).tuple;
    EXPECT_EQ(there.destination, ip("10.2.0.2"));
    Bytes answer = tcp(answer_to(there), tcp_flag::syn | tcp_flag::ack);
    ASSERT_EQ(gateway.pass(answer, 1).outcome, Outcome::transmit);
    EXPECT_EQ(read(answer).tuple,
              test::tuple({host("10.1.0.1"), host("10.1.0.1"), 30080, 1000}, ip_protocol::tcp));
    Bytes elsewhere = tcp({host("10.1.0.1"), host("10.1.0.1"), 1000, 30081}, tcp_flag::syn);
    EXPECT_EQ(gateway.pass(elsewhere).reason, DropReason::bad_address);
}

// [RFC 3704]
TEST(AddressCheck, TheWayBackIsAskedForWhereItIsWanted) {
    for (const Tracking tracking : {Tracking::flow, Tracking::none}) {
        TestGateway gateway({forward_all(tracking)});
        gateway.router.strict = true;
        const Ends forged{host("192.0.2.80"), host("198.51.100.1"), 1, 2};  // lives outside
        expect_refused(gateway, forged, 0, DropReason::reverse_path);
        expect_refused(gateway, {client.source, host("10.2.0.9"), 1, 2}, 1,
                       DropReason::reverse_path);
        expect_refused(gateway, {host("10.99.0.1"), client.source, 1, 2}, 1,
                       DropReason::reverse_path);  // no route at all
        Bytes good = udp(client);
        EXPECT_EQ(gateway.pass(good).outcome, Outcome::transmit);
        gateway.router.strict = false;
        Bytes unasked = udp(forged);
        EXPECT_EQ(gateway.pass(unasked).outcome, Outcome::transmit);
    }
}

TEST(AddressCheck, OfWhatHasAFlowNothingIsAsked) {
    TestGateway gateway({masquerade()});
    Bytes first = udp(client);
    ASSERT_EQ(gateway.pass(first).outcome, Outcome::transmit);
    gateway.router.strict = true;
    Bytes second = udp(client);
    EXPECT_EQ(gateway.pass(second, 1).outcome, Outcome::transmit) << "by another port";
}

TEST(AddressCheck, ErrorsAboutFlowsComeFromOthersOnly) {
    TestGateway gateway({masquerade()});
    Bytes out = udp(client);
    ASSERT_EQ(gateway.pass(out).outcome, Outcome::transmit);
    const auto error_from = [&](const char* sender, std::uint16_t port) {
        Bytes error = icmp({host(sender), host("10.2.0.1")}, 3, 1, 0, out);
        return to_string(gateway.pass(error, port).reason);
    };
    EXPECT_EQ(error_from("10.2.0.1", 1), "bad_address");  // to itself
    EXPECT_EQ(error_from("10.1.0.1", 1), "own_source");
    EXPECT_EQ(error_from("10.2.0.255", 1), "directed_broadcast");
    gateway.router.strict = true;
    EXPECT_EQ(error_from("10.1.0.9", 1), "reverse_path");
    EXPECT_EQ(error_from("198.51.100.9", 1), "none");
}

/// [RFC 1812 section 4.3.2.4]: of what the gateway itself says about a packet that it sent.
TEST(AddressCheck, OurOwnErrorComesFromThePortThatItLeavesBy) {
    TestGateway gateway({forward_all()});
    const Ends inward{host("192.0.2.80"), host("10.1.0.7"), 1000, 80};
    Bytes sent = udp(inward);
    ASSERT_EQ(gateway.pass(sent, 1).outcome, Outcome::transmit);
    Bytes error = icmp({host("10.1.0.1"), inward.source}, 3, 1, 0, sent);
    PacketContext<V4> context{};
    context.packet = view(error);
    context.ingress_port = no_port;
    gateway.process({&context, 1});
    ASSERT_EQ(context.verdict.outcome, Outcome::transmit);
    EXPECT_EQ(context.hop.port, 1);
    EXPECT_EQ(header<IpHeader<V4>>(context.packet, 0).source.get(), ip("10.2.0.1"));
    EXPECT_EQ(read(error).tuple, test::tuple(inward, ip_protocol::udp));
}

}  // namespace
}  // namespace noclash::nat::test::address_check_test
