// SPDX-License-Identifier: Apache-2.0

// Privileged source ports (below 1024) stay privileged, and ordinary ones ordinary.

#include <gtest/gtest.h>

#include <set>

#include "nat/policy/port_set.hpp"
#include "tests/unit/nat/pipeline_fixture.hpp"

namespace noclash::nat::test::port_classes_test {
namespace {

Rule<V4> masquerade_as(PortRange ports, PortLikeness likeness = {}, NatBehavior behavior = {}) {
    Rule<V4> rule = masquerade(ports);
    rule.likeness = likeness;
    rule.behavior = behavior;
    return rule;
}

/// The source port that a packet leaves with; 0 when no port is left for it.
std::uint16_t port_of(TestGateway& gateway, Bytes packet) {
    const auto verdict = gateway.pass(packet);
    if (verdict.outcome == Outcome::transmit) return read(packet).tuple.source_port.host();
    EXPECT_EQ(verdict.reason, DropReason::exhausted);
    return 0;
}
/// The port of a datagram of the `number`-th inside host, to one destination for all.
std::uint16_t port_of(TestGateway& gateway, std::uint32_t number, std::uint16_t own) {
    return port_of(gateway, udp({host("10.1.1.0") + number, host("192.0.2.1"), own, 2049}));
}

struct Numbers {
    std::uint32_t sequence, acknowledgment;
};
Bytes numbered(const Ends& ends, std::uint8_t flags, Numbers numbers) {
    Bytes packet = tcp(ends, flags);
    put32(packet, l4_offset(packet) + 4, numbers.sequence);
    put32(packet, l4_offset(packet) + 8, numbers.acknowledgment);
    fix_l4_checksum(packet);
    return packet;
}

constexpr bool privileged(std::uint16_t port) {
    return port < 1024;
}

// [RFC 4787 REQ-3 a]
TEST(PortClass, IsChosenByTheClientsPort) {
    constexpr PortRange both{1, 65535};
    static_assert(of_same_class(both, 0) == PortRange{1, 1023});
    static_assert(of_same_class(both, 1023) == PortRange{1, 1023});
    static_assert(of_same_class(both, 1024) == PortRange{1024, 65535});
    static_assert(of_same_class({1023, 1024}, 1) == PortRange{1023, 1023});
    static_assert(of_same_class({1023, 1024}, 5000) == PortRange{1024, 1024});
    // One class alone serves both.
    static_assert(of_same_class({}, 800) == PortRange{});
    static_assert(of_same_class({1, 1023}, 5000) == PortRange{1, 1023});
    static_assert(of_same_class({1024, 1024}, 5) == PortRange{1024, 1024});
}

// [RFC 4787 REQ-3 a]
TEST(PortClass, OfAPacketStays) {
    for (const PortLikeness likeness :
         {PortLikeness{}, PortLikeness{.preservation = true}, PortLikeness{.parity = true}}) {
        TestGateway gateway({masquerade_as({1, 65535}, likeness)});
        for (std::uint32_t i = 0; i < 300; ++i) {
            const auto own = static_cast<std::uint16_t>(i % 2 == 0 ? 600 + i : 50000 + i);
            const std::uint16_t port = port_of(gateway, i, own);
            EXPECT_EQ(privileged(port), privileged(own)) << own << " became " << port;
        }
    }
}

// [RFC 4787 REQ-3 a] [RFC 6888 REQ-13]
TEST(PortClass, EachIsUsedToItsLastPort) {
    TestGateway gateway({masquerade_as({1000, 1300})});
    std::set<std::uint16_t> low;
    for (std::uint32_t i = 0; i < 24; ++i)
        low.insert(port_of(gateway, i, 700));
    EXPECT_EQ(low.size(), 24U);
    EXPECT_EQ(*low.begin(), 1000);
    EXPECT_EQ(*low.rbegin(), 1023);
    EXPECT_EQ(port_of(gateway, 24, 700), 0) << "no ordinary port for a privileged one";
    std::set<std::uint16_t> high;
    for (std::uint32_t i = 0; i < 277; ++i)
        high.insert(port_of(gateway, i, 40000));
    EXPECT_EQ(high.size(), 277U);
    EXPECT_EQ(*high.begin(), 1024);
    EXPECT_EQ(*high.rbegin(), 1300);
    EXPECT_EQ(port_of(gateway, 277, 40000), 0) << "no privileged port for an ordinary one";
}

// [RFC 4787 REQ-3 a] [RFC 4787 REQ-4]
TEST(PortClass, AndParityTogether) {
    TestGateway gateway({masquerade_as({1000, 1300}, {.preservation = true, .parity = true})});
    std::set<std::uint16_t> used;
    for (std::uint32_t i = 0; i < 12; ++i)
        used.insert(port_of(gateway, i, 701));
    EXPECT_EQ(used.size(), 12U);
    EXPECT_EQ(*used.begin(), 1001);
    EXPECT_EQ(*used.rbegin(), 1023);
    EXPECT_EQ(port_of(gateway, 12, 701), 0);
    EXPECT_NE(port_of(gateway, 12, 700), 0) << "even ones are free";
}

// [RFC 4787 REQ-3 a]: also the last port that comes free is found, by a client of its class only.
TEST(PortClass, AFreedPortGoesToItsClass) {
    TestGateway gateway({masquerade_as({1000, 1047})});
    for (std::uint32_t i = 0; i < 48; ++i)
        ASSERT_NE(port_of(gateway, i, i % 2 == 0 ? 800 : 40000), 0);
    ASSERT_EQ(port_of(gateway, 48, 800), 0);
    ASSERT_EQ(port_of(gateway, 48, 40000), 0);
    const auto key =
        test::tuple({host("10.1.1.0") + 30, host("192.0.2.1"), 800, 2049}, ip_protocol::udp);
    const Found found = gateway.table.index().find(key, gateway.table.index().hash(key));
    ASSERT_TRUE(found);
    gateway.table.pool()[found.flow].expires.store(to_moment(gateway.now_ms));
    gateway.pass_time(11'000);
    EXPECT_EQ(port_of(gateway, 48, 40000), 0);
    EXPECT_NE(port_of(gateway, 48, 800), 0);
}

TEST(PortClass, ARangeOfOneClassServesBoth) {
    for (const PortRange range : {PortRange{5000, 5099}, PortRange{900, 999}}) {
        TestGateway gateway({masquerade_as(range)});
        std::set<std::uint16_t> used;
        for (std::uint32_t i = 0; i < 100; ++i)
            used.insert(port_of(gateway, i, i % 2 == 0 ? 800 : 40000));
        EXPECT_EQ(used.size(), 100U);
        EXPECT_FALSE(used.contains(0));
        EXPECT_EQ(port_of(gateway, 100, 800), 0);
    }
}

// [RFC 4787 REQ-3 a]: in endpoint-independent mappings.
TEST(PortClass, OfAMappingStays) {
    const NatBehavior eim{Mapping::endpoint_independent, Filtering::endpoint_independent};
    TestGateway gateway({masquerade_as({1000, 1300}, {}, eim)});
    std::set<std::uint16_t> low;
    for (std::uint32_t i = 0; i < 24; ++i) {
        const std::uint16_t port = port_of(gateway, i, 700);
        low.insert(port);
        EXPECT_EQ(port_of(gateway, udp({host("10.1.1.0") + i, host("198.51.100.1"), 700, 111})),
                  port);
    }
    EXPECT_EQ(low.size(), 24U);
    EXPECT_EQ(*low.rbegin(), 1023);
    EXPECT_EQ(port_of(gateway, 24, 700), 0);
    EXPECT_GE(port_of(gateway, 24, 1024), 1024);
}

// [RFC 4787 REQ-3 a]: a new connection takes over a closed one of its class, or none.
TEST(PortClass, OfATupleThatIsReusedStays) {
    using namespace tcp_flag;
    TestGateway gateway({masquerade_as({1023, 1024})});
    const auto pass = [&](const Ends& ends, std::uint8_t flags, Numbers numbers, std::uint16_t in) {
        Bytes packet = numbered(ends, flags, numbers);
        EXPECT_EQ(gateway.pass(packet, in).outcome, Outcome::transmit);
        return answer_to(read(packet).tuple);
    };
    const auto client_of = [](std::uint32_t number, std::uint16_t own) {
        return Ends{host("10.1.1.0") + number, host("192.0.2.1"), own, 514};
    };
    const auto open_and_close = [&](const Ends& client) {
        const Ends server = pass(client, syn, {1000, 0}, 0);
        pass(server, syn | ack, {7000, 1001}, 1);
        pass(client, ack, {1001, 7001}, 0);
        pass(client, fin | ack, {1001, 7001}, 0);
        pass(server, ack, {7001, 1002}, 1);
        pass(server, fin | ack, {7001, 1002}, 1);
        pass(client, ack, {1002, 7002}, 0);
        return server.destination_port;
    };
    ASSERT_EQ(open_and_close(client_of(0, 600)), 1023);
    ASSERT_EQ(open_and_close(client_of(0, 6000)), 1024);
    EXPECT_EQ(port_of(gateway, numbered(client_of(1, 601), syn, {90000, 0})), 1023);
    EXPECT_EQ(port_of(gateway, numbered(client_of(2, 602), syn, {90000, 0})), 0);
    EXPECT_EQ(port_of(gateway, numbered(client_of(1, 6001), syn, {90000, 0})), 1024);
    EXPECT_EQ(port_of(gateway, numbered(client_of(2, 6002), syn, {90000, 0})), 0);
}

// [RFC 4787 REQ-3 a]: a source that is kept, but whose tuple is taken.
TEST(PortClass, OfAPortThatHasToMoveStays) {
    Rule<V4> forward;
    forward.action = Action::forward;
    forward.ingress_port = 0;
    Rule<V4> moved;
    moved.action = Action::snat;
    moved.source_nat = SourceNat::pool;
    moved.from = {{ip("10.1.1.0"), 24}};
    Pool<V4> pool;
    pool.addresses = {ip("10.2.0.77")};
    for (const std::uint16_t own : {std::uint16_t{700}, std::uint16_t{40000}}) {
        pool.ports = {own, own};
        TestGateway gateway(PolicyConfig<V4>{{pool}, {moved, forward}}, 1, 4096);
        // The pool's address and this port towards the server are in use.
        ASSERT_EQ(port_of(gateway, 0, own), own);
        const std::uint16_t port =
            port_of(gateway, udp({host("10.2.0.77"), host("192.0.2.1"), own, 2049}));
        EXPECT_NE(port, own);
        EXPECT_NE(port, 0);
        EXPECT_EQ(privileged(port), privileged(own));
    }
}

// An identifier is no port: small ones, which Windows sends, get any.
TEST(PortClass, IcmpHasNone) {
    TestGateway gateway({masquerade_as({1000, 1300})});
    std::set<std::uint16_t> used;
    for (std::uint32_t i = 0; i < 301; ++i) {
        const Ends ends{host("10.1.1.0") + i, host("192.0.2.1"), 0, 0};
        used.insert(port_of(gateway, icmp(ends, 8, 0, 1U << 16U)));
    }
    EXPECT_EQ(used.size(), 301U);
    EXPECT_FALSE(used.contains(0));
}

}  // namespace
}  // namespace noclash::nat::test::port_classes_test
