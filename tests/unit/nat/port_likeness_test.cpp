// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <bit>
#include <set>

#include "nat/policy/port_set.hpp"
#include "tests/unit/nat/pipeline_fixture.hpp"

namespace noclash::nat::test::port_likeness_test {
namespace {

Rule<V4> masquerade_like(PortLikeness likeness, PortRange ports = {}) {
    Rule<V4> rule = masquerade(ports);
    rule.likeness = likeness;
    return rule;
}
constexpr PortLikeness preserving{.preservation = true};
constexpr PortLikeness keeping_parity{.parity = true};
constexpr PortLikeness both{.preservation = true, .parity = true};

/// The port that a new flow of the `number`-th host leaves with, to one destination for all; 0
/// when there is none left.
std::uint16_t port_of(TestGateway& gateway, std::uint32_t number, std::uint16_t own) {
    Bytes packet = udp({host("10.1.1.0") + number, host("192.0.2.1"), own, 53});
    const auto verdict = gateway.pass(packet);
    if (verdict.outcome == Outcome::transmit) return read(packet).tuple.source_port.host();
    EXPECT_EQ(verdict.reason, DropReason::exhausted);
    return 0;
}

TEST(PortSet, AgreesWithItselfHoweverItIsAsked) {
    for (const PortRange range : {PortRange{1, 2}, PortRange{62, 65}, PortRange{63, 64},
                                  PortRange{1024, 65535}, PortRange{5, 9}, PortRange{4, 200}}) {
        for (const PortSet set :
             {PortSet(range), PortSet::like(7, range), PortSet::like(8, range)}) {
            std::set<std::uint32_t> counted;
            for (std::uint32_t n = 0; n < set.size(); ++n)
                counted.insert(set[n]);
            std::set<std::uint32_t> contained;
            std::set<std::uint32_t> in_words;
            for (std::uint32_t port = 0; port <= 65535; ++port) {
                if (set.contains(static_cast<std::uint16_t>(port))) contained.insert(port);
                if ((set.bits(port / 64) >> port % 64 & 1U) != 0) in_words.insert(port);
            }
            EXPECT_EQ(counted, contained);
            EXPECT_EQ(counted, in_words);
            EXPECT_EQ(set.size(), counted.size());
        }
        EXPECT_EQ(PortSet::like(7, range).size() + PortSet::like(8, range).size(), range.size());
        EXPECT_EQ(PortSet::like(7, range)[0] % 2, 1);
        EXPECT_EQ(PortSet::like(8, range)[0] % 2, 0);
    }
}

TEST(PortPreservation, TheFirstKeepsItsPortAndTheNextGetsAnother) {
    TestGateway gateway({masquerade_like(preserving)});
    EXPECT_EQ(port_of(gateway, 0, 40000), 40000);
    const std::uint16_t other = port_of(gateway, 1, 40000);
    EXPECT_NE(other, 0);
    EXPECT_NE(other, 40000);
    EXPECT_EQ(port_of(gateway, 2, 40001), 40001);
}

TEST(PortPreservation, APortOutsideTheRangeIsReplaced) {
    TestGateway gateway({masquerade_like(preserving, {5000, 5999})});
    for (std::uint32_t i = 0; i < 50; ++i) {
        const std::uint16_t port = port_of(gateway, i, static_cast<std::uint16_t>(6000 + i));
        EXPECT_GE(port, 5000);
        EXPECT_LE(port, 5999);
    }
    EXPECT_EQ(port_of(gateway, 50, 5000), port_of(gateway, 50, 5000)) << "one flow, one port";
}

// [RFC 6888 REQ-13]
TEST(PortPreservation, EveryPortIsFoundThoughAllWantTheSame) {
    TestGateway gateway({masquerade_like(preserving, {5000, 5299})});
    std::set<std::uint16_t> used;
    for (std::uint32_t i = 0; i < 300; ++i)
        used.insert(port_of(gateway, i, 5000));
    EXPECT_EQ(used.size(), 300U);
    EXPECT_FALSE(used.contains(0));
    EXPECT_EQ(port_of(gateway, 300, 5000), 0);
}

TEST(PortPreservation, APortOfAServiceIsNotPreserved) {
    Rule<V4> service = node_port();
    service.protocol = ip_protocol::udp;
    service.to_port = PortRange{5000, 5000};
    TestGateway gateway({service, masquerade_like(preserving, {5000, 5001})});
    EXPECT_EQ(port_of(gateway, 0, 5000), 5001);
}

// [RFC 6056]: what is not preserved is drawn as if nothing were.
TEST(PortPreservation, IsNotTheDefault) {
    TestGateway gateway({masquerade()});
    int kept = 0;
    for (std::uint32_t i = 0; i < 100; ++i)
        kept += port_of(gateway, i, 40000) == 40000 ? 1 : 0;
    EXPECT_LT(kept, 3);
}

// [RFC 4787 REQ-4]
TEST(PortParity, EvenStaysEvenAndOddOdd) {
    for (const PortLikeness likeness : {keeping_parity, both}) {
        TestGateway gateway({masquerade_like(likeness)});
        for (std::uint32_t i = 0; i < 200; ++i) {
            const auto own = static_cast<std::uint16_t>(500 + i);
            EXPECT_EQ(port_of(gateway, i, own) % 2, own % 2);
        }
    }
}

// [RFC 4787 REQ-4] [RFC 6888 REQ-13]: of the ports of its parity, a client gets each.
TEST(PortParity, EveryPortOfAParityIsFoundBeforeExhausted) {
    TestGateway gateway({masquerade_like(keeping_parity, {5000, 6000})});
    std::set<std::uint16_t> even;
    for (std::uint32_t i = 0; i < 501; ++i)
        even.insert(port_of(gateway, i, 40000));
    EXPECT_EQ(even.size(), 501U);
    EXPECT_EQ(*even.begin(), 5000);
    EXPECT_EQ(*even.rbegin(), 6000);
    EXPECT_EQ(port_of(gateway, 501, 40000), 0) << "no odd port for an even one";
    std::set<std::uint16_t> odd;
    for (std::uint32_t i = 0; i < 500; ++i)
        odd.insert(port_of(gateway, i, 40001));
    EXPECT_EQ(odd.size(), 500U);
    EXPECT_EQ(*odd.begin(), 5001);
    EXPECT_EQ(*odd.rbegin(), 5999);
    EXPECT_EQ(port_of(gateway, 500, 40001), 0);
}

// [RFC 4787 REQ-4]: also the last port that comes free is found, by a client of its parity only.
TEST(PortParity, AFreedPortGoesToItsParity) {
    TestGateway gateway({masquerade_like(keeping_parity, {5000, 5099})});
    for (std::uint32_t i = 0; i < 100; ++i)
        ASSERT_NE(port_of(gateway, i, static_cast<std::uint16_t>(40000 + i % 2)), 0);
    ASSERT_EQ(port_of(gateway, 100, 40000), 0);
    ASSERT_EQ(port_of(gateway, 100, 40001), 0);
    const auto key =
        test::tuple({host("10.1.1.0") + 31, host("192.0.2.1"), 40001, 53}, ip_protocol::udp);
    const Found found = gateway.table.index().find(key, gateway.table.index().hash(key));
    ASSERT_TRUE(found);
    gateway.table.pool()[found.flow].expires.store(to_moment(gateway.now_ms));
    gateway.pass_time(11'000);
    EXPECT_EQ(port_of(gateway, 100, 40000), 0);
    EXPECT_NE(port_of(gateway, 100, 40001), 0);
}

TEST(PortParity, DrawsAreUniformOverThePortsOfAParity) {
    // Chi-square over 64 classes, each flow to a destination of its own: 137 is beyond one in 10^6.
    TestGateway gateway({masquerade_like(keeping_parity)}, 1, 40'000);
    std::array<double, 64> counts{};
    constexpr std::uint32_t draws = 64 * 500;
    for (std::uint32_t i = 0; i < draws; ++i) {
        Bytes packet = udp({host("10.1.0.7"), host("192.0.2.0") + i, 40001, 53});
        ASSERT_EQ(gateway.pass(packet).outcome, Outcome::transmit);
        counts[(read(packet).tuple.source_port.host() - 1024U) / 1008U] += 1;
    }
    double chi_square = 0;
    for (const double count : counts)
        chi_square += (count - 500) * (count - 500) / 500;
    EXPECT_LT(chi_square, 137);
}

// The draw from an occupancy map, too, is uniform: the last two ports of a parity that are free.
TEST(PortParity, AMapsDrawsAreUniform) {
    OccupancyMap<Production> map;
    RandomBuffer random;
    constexpr int draws = 4000;
    int first = 0;
    for (int i = 0; i < draws; ++i) {
        map.reset(PortSet::like(1, {5000, 5999}));
        for (std::uint32_t port = 5000; port < 6000; ++port)
            if (port != 5003 && port != 5997) map.take_out(port);
        const auto port = map.take(random);
        ASSERT_TRUE(port == 5003 || port == 5997);
        first += port == 5003 ? 1 : 0;
    }
    EXPECT_NEAR(first, draws / 2.0, 200);  // more than six standard deviations
}

}  // namespace
}  // namespace noclash::nat::test::port_likeness_test
