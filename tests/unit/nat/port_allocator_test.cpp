// SPDX-License-Identifier: Apache-2.0
#include "nat/ports/port_allocator.hpp"

#include <gtest/gtest.h>

#include <set>

#include "tests/unit/nat/pipeline_fixture.hpp"

namespace noclash::nat::test::port_allocator_test {
namespace {

Bytes open_from(std::uint32_t number) {
    return tcp({host("10.1.0.0") + 256 + number, client.destination, 40000, 80}, tcp_flag::syn);
}

// [RFC 6888 REQ-13] [RFC 4787 REQ-11]
TEST(PortAllocator, EveryPortIsFoundBeforeExhausted) {
    constexpr std::uint32_t ports = 2000;
    TestGateway gateway({masquerade({5000, 5000 + ports - 1})});
    std::set<std::uint16_t> used;
    for (std::uint32_t i = 0; i < ports; ++i) {
        Bytes packet = open_from(i);
        ASSERT_EQ(gateway.pass(packet).outcome, Outcome::transmit) << i;
        const std::uint16_t port = read(packet).tuple.source_port.host();
        ASSERT_TRUE(used.insert(port).second) << port << " twice";
    }
    EXPECT_EQ(*used.begin(), 5000);
    EXPECT_EQ(*used.rbegin(), 5000 + ports - 1);
    Bytes one_more = open_from(ports);
    EXPECT_EQ(gateway.pass(one_more).reason, DropReason::exhausted);
    // Another destination has all ports still.
    Bytes elsewhere = tcp({host("10.1.0.7"), host("192.0.2.81"), 1, 80}, tcp_flag::syn);
    EXPECT_EQ(gateway.pass(elsewhere).outcome, Outcome::transmit);
}

TEST(PortAllocator, TheOneFreedPortIsFound) {
    constexpr std::uint32_t ports = 500;
    TestGateway gateway({masquerade({5000, 5000 + ports - 1})});
    gateway.timeouts.tcp_syn_sent_s = 432'000;
    std::vector<std::uint16_t> port_of;
    for (std::uint32_t i = 0; i < ports; ++i) {
        Bytes packet = open_from(i);
        ASSERT_EQ(gateway.pass(packet).outcome, Outcome::transmit);
        port_of.push_back(read(packet).tuple.source_port.host());
    }
    for (std::uint32_t i = 0; i < 50; ++i) {
        Bytes refused = open_from(ports + i);
        ASSERT_EQ(gateway.pass(refused).reason, DropReason::exhausted);
        const auto key = test::tuple({host("10.1.0.0") + 256 + i, client.destination, 40000, 80},
                                     ip_protocol::tcp);
        const Found found = gateway.table.index().find(key, gateway.table.index().hash(key));
        ASSERT_TRUE(found);
        gateway.table.pool()[found.flow].expires.store(to_moment(gateway.now_ms));
        gateway.pass_time(11'000);
        Bytes served = open_from(ports + i);
        ASSERT_EQ(gateway.pass(served).outcome, Outcome::transmit) << i;
        EXPECT_EQ(read(served).tuple.source_port.host(), port_of[i]);
    }
}

TEST(PortAllocator, PortsOfServicesAreNeverProposed) {
    Rule<V4> service = node_port();
    service.to_port = PortRange{5000, 5008};
    TestGateway gateway({service, masquerade({5000, 5009})});
    Bytes packet = open_from(0);
    ASSERT_EQ(gateway.pass(packet).outcome, Outcome::transmit);
    EXPECT_EQ(read(packet).tuple.source_port.host(), 5009);
    packet = open_from(1);
    EXPECT_EQ(gateway.pass(packet).reason, DropReason::exhausted);
}

TEST(PortAllocator, APoolIsUsedToTheLastPortOfTheLastAddress) {
    Rule<V4> rule = masquerade();
    rule.action = Action::snat;
    rule.source_nat = SourceNat::pool;
    TestGateway gateway({rule});
    gateway.policy.pools = {{"p",
                             {ip("203.0.113.1"), ip("203.0.113.7"), ip("198.51.100.3")},
                             {6000, 6099},
                             Pooling::arbitrary}};
    std::set<std::pair<std::uint32_t, std::uint16_t>> used;
    for (std::uint32_t i = 0; i < 300; ++i) {
        Bytes packet = open_from(i);
        ASSERT_EQ(gateway.pass(packet).outcome, Outcome::transmit) << i;
        const auto t = read(packet).tuple;
        used.emplace(t.source.value.host(), t.source_port.host());
    }
    EXPECT_EQ(used.size(), 300U);
    Bytes one_more = open_from(300);
    EXPECT_EQ(gateway.pass(one_more).reason, DropReason::exhausted);
}

TEST(PortAllocator, ALongSearchIsDoneInVisits) {
    // A destination that has used up 20,000 ports: the search for one more is spread over visits of
    // the same packet, each of bounded work, and ends with the right answer.
    constexpr std::uint32_t ports = 20'000;
    TestGateway gateway({masquerade({5000, 5000 + ports - 1})}, 1, 2 * ports);
    std::uint32_t visits = 0;
    const auto decide = [&](Bytes& packet) {
        for (visits = 1;; ++visits) {
            const std::uint64_t found_before = gateway.engines[0]->counters().found.value();
            const auto verdict = gateway.pass(packet);
            EXPECT_LE(gateway.engines[0]->counters().found.value() - found_before, 600U);
            if (verdict.outcome != Outcome::park) return verdict;
            EXPECT_EQ(verdict.reason, DropReason::search_timeout);
            EXPECT_TRUE(verdict.tells_when_late());  // [RFC 6888 REQ-11]
            gateway.engines[0]->quiescent();
            gateway.maintain(1000);
        }
    };
    for (std::uint32_t i = 0; i < ports; ++i) {
        Bytes packet = open_from(i);
        ASSERT_EQ(decide(packet).outcome, Outcome::transmit) << i;
    }
    Bytes one_more = open_from(ports);
    EXPECT_EQ(decide(one_more).reason, DropReason::exhausted);
    one_more = open_from(ports);
    EXPECT_EQ(decide(one_more).reason, DropReason::exhausted);
    EXPECT_EQ(visits, 1U) << "what is known to be exhausted needs no second search";
}

// [RFC 6056]
TEST(PortAllocator, DrawsAreUniformOverTheRange) {
    // Each flow to a destination of its own, so that no draw meets a taken tuple. Chi-square with
    // 63 degrees of freedom: 137 is beyond one in 10^6.
    TestGateway gateway({masquerade({1024, 65535})}, 1, 70000);
    std::vector<double> counts(64);
    constexpr int draws = 64 * 1000;
    for (int i = 0; i < draws; ++i) {
        Bytes packet =
            udp({host("10.1.0.7"), host("192.0.2.0") + static_cast<std::uint32_t>(i), 40000, 53});
        ASSERT_EQ(gateway.pass(packet).outcome, Outcome::transmit);
        counts[(read(packet).tuple.source_port.host() - 1024U) / 1008U] += 1;
    }
    double chi_square = 0;
    for (const double count : counts)
        chi_square += (count - 1000) * (count - 1000) / 1000;
    EXPECT_LT(chi_square, 137);
}

}  // namespace
}  // namespace noclash::nat::test::port_allocator_test
