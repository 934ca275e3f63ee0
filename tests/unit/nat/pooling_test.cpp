// SPDX-License-Identifier: Apache-2.0
#include "nat/policy/pooling.hpp"

#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <set>

#include "tests/unit/nat/pipeline_fixture.hpp"

namespace noclash::nat::test::pooling_test {
namespace {

Rule<V4> snat() {
    Rule<V4> rule = masquerade();
    rule.action = Action::snat;
    rule.source_nat = SourceNat::pool;
    return rule;
}

/// A pool of several ranges: eight addresses in three places.
Pool<V4> scattered(PortRange ports = {}) {
    Pool<V4> pool{"p", {}, ports};
    for (const char* first : {"203.0.113.7", "203.0.113.40", "198.51.100.3"})
        for (std::uint32_t i = 0; i < (host(first) == host("203.0.113.7") ? 2U : 3U); ++i)
            pool.addresses.push_back(V4Address::from_host(host(first) + i));
    return pool;
}

struct PairedGateway : TestGateway {
    explicit PairedGateway(Pool<V4> pool, std::uint32_t flows = 4096)
        : TestGateway({snat()}, 1, flows) {
        policy.pools = {std::move(pool)};
    }
    /// The address that a packet leaves with.
    V4Address leaves_with(Bytes packet) {
        EXPECT_EQ(pass(packet).outcome, Outcome::transmit);
        return read(packet).tuple.source;
    }
};

constexpr std::uint32_t inside = 0x0a010100;  // 10.1.1.0

TEST(SipHash, AsPublished) {
    // Aumasson and Bernstein, "SipHash: a fast short-input PRF", appendix A; and their
    // vectors.h for no bytes and for eight.
    std::array<std::uint8_t, 16> bytes{};
    std::iota(bytes.begin(), bytes.end(), std::uint8_t{0});
    constexpr std::array<std::uint64_t, 2> key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
    EXPECT_EQ(siphash(key, std::span(bytes).first(15)), 0xa129ca6149be45e5);
    EXPECT_EQ(siphash(key, std::span(bytes).first(0)), 0x726fdb47dd0e0e31);
    EXPECT_EQ(siphash(key, std::span(bytes).first(8)), 0x93f5f5799a932462);
}

// [RFC 4787 REQ-2] [RFC 6888 REQ-2]
TEST(Pooling, AHostKeepsItsAddressWhateverItSends) {
    PairedGateway gateway(scattered());
    for (std::uint32_t number = 0; number < 20; ++number) {
        const std::uint32_t from = inside + number;
        const V4Address first = gateway.leaves_with(udp({from, host("192.0.2.1"), 1000, 53}));
        for (std::uint32_t i = 0; i < 20; ++i) {
            const auto port = static_cast<std::uint16_t>(2000 + i);
            const std::uint32_t to = host("192.0.2.1") + i;
            EXPECT_EQ(gateway.leaves_with(udp({from, to, port, 53})), first);
            EXPECT_EQ(gateway.leaves_with(tcp({from, to, port, 80}, tcp_flag::syn)), first);
            EXPECT_EQ(gateway.leaves_with(icmp({from, to}, 8, 0, 0x50001U + (i << 16U))), first);
        }
    }
}

TEST(Pooling, EveryWorkerPairsAlike) {
    TestGateway gateway({snat()}, 2);
    gateway.policy.pools = {scattered()};
    for (std::uint32_t number = 0; number < 50; ++number) {
        Bytes one = udp({inside + number, host("192.0.2.1"), 1000, 53});
        Bytes other = udp({inside + number, host("192.0.2.1"), 1001, 53});
        ASSERT_EQ(gateway.pass(one, 0, 0).outcome, Outcome::transmit);
        ASSERT_EQ(gateway.pass(other, 0, 1).outcome, Outcome::transmit);
        EXPECT_EQ(read(one).tuple.source, read(other).tuple.source);
    }
}

TEST(Pooling, HostsAreSpreadEvenly) {
    // Neighbouring hosts, over eight addresses. Chi-square with 7 degrees of freedom: 45 is
    // beyond one in 10^6.
    constexpr std::uint32_t hosts = 16'000;
    constexpr double expected = hosts / 8.0;
    const Pairing pairing;
    std::array<double, 8> count{};
    for (std::uint32_t number = 0; number < hosts; ++number)
        count[pairing.choose(V4Address::from_host(inside + number), count.size())] += 1;
    double chi_square = 0;
    for (const double seen : count)
        chi_square += (seen - expected) * (seen - expected) / expected;
    EXPECT_LT(chi_square, 45);
}

TEST(Pooling, EveryAddressOfTheLargestPoolCanBeChosen) {
    constexpr std::size_t most = 65'536;
    const Pairing pairing;
    std::set<std::uint32_t> chosen;
    for (std::uint32_t number = 0; number < 20 * most; ++number)
        chosen.insert(pairing.choose(V4Address::from_host(inside + number), most));
    // So many draws miss e^-20 of the addresses on average: none, or one in 7,000 times.
    EXPECT_GE(chosen.size(), most - 4);
    EXPECT_LT(*chosen.rbegin(), most);
}

TEST(Pooling, AnotherKeyPairsOtherwise) {
    const Pairing one;
    const Pairing other;
    std::uint32_t alike = 0;
    for (std::uint32_t number = 0; number < 1000; ++number) {
        const auto address = V4Address::from_host(inside + number);
        alike += one.choose(address, 1000) == other.choose(address, 1000) ? 1U : 0U;
    }
    EXPECT_LT(alike, 30U);  // 1 on average
}

// [RFC 6888 REQ-13]
TEST(Pooling, APairedHostGetsEveryPortOfItsAddressAndNoneOfAnother) {
    // Eight addresses of 100 ports: a host has 100 flows to a destination, then it is refused,
    // while others still find room; and what it frees, it gets back.
    PairedGateway gateway(scattered({6000, 6099}));
    const auto flow = [](std::uint32_t from, std::uint32_t number) {
        return tcp({from, host("192.0.2.1"), static_cast<std::uint16_t>(20'000 + number), 80},
                   tcp_flag::syn);
    };
    std::set<std::uint16_t> ports;
    std::set<std::uint32_t> addresses;
    for (std::uint32_t i = 0; i < 100; ++i) {
        Bytes packet = flow(inside, i);
        ASSERT_EQ(gateway.pass(packet).outcome, Outcome::transmit) << i;
        ports.insert(read(packet).tuple.source_port.host());
        addresses.insert(read(packet).tuple.source.value.host());
    }
    EXPECT_EQ(ports.size(), 100U);
    EXPECT_EQ(addresses.size(), 1U);
    Bytes refused = flow(inside, 100);
    EXPECT_EQ(gateway.pass(refused).reason, DropReason::exhausted);
    // The same destination, by a host with another address.
    std::uint32_t other = inside + 1;
    while (gateway.snapshot->pools[0].pairing.choose(V4Address::from_host(other), 8) ==
           gateway.snapshot->pools[0].pairing.choose(V4Address::from_host(inside), 8))
        ++other;
    Bytes served = flow(other, 0);
    EXPECT_EQ(gateway.pass(served).outcome, Outcome::transmit);
    // The refused host, elsewhere: with its own address.
    EXPECT_EQ(gateway.leaves_with(tcp({inside, host("192.0.2.2"), 20'100, 80}, tcp_flag::syn))
                  .value.host(),
              *addresses.begin());
    gateway.pass_time(260'000);
    served = flow(inside, 101);
    ASSERT_EQ(gateway.pass(served).outcome, Outcome::transmit);
    EXPECT_EQ(read(served).tuple.source.value.host(), *addresses.begin());
}

TEST(Pooling, ArbitraryUsesAllAddressesForOneHost) {
    Pool<V4> pool = scattered({6000, 6099});
    pool.pooling = Pooling::arbitrary;
    PairedGateway gateway(std::move(pool));
    std::map<std::uint32_t, int> seen;
    for (std::uint16_t i = 0; i < 800; ++i)
        ++seen[gateway
                   .leaves_with(
                       tcp({inside, host("192.0.2.1"), static_cast<std::uint16_t>(20'000 + i), 80},
                           tcp_flag::syn))
                   .value.host()];
    EXPECT_EQ(seen.size(), 8U);
    for (const auto& [address, flows] : seen)
        EXPECT_EQ(flows, 100) << to_string<V4>(V4Address::from_host(address));
}

}  // namespace
}  // namespace noclash::nat::test::pooling_test
