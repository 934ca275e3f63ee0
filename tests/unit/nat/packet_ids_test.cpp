// SPDX-License-Identifier: Apache-2.0
#include "nat/packet/packet_ids.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "tests/unit/nat/packets.hpp"

namespace noclash::nat::packet_ids_test {
namespace {

constexpr V4Address here = V4Address::from_host(0xcb007102);
constexpr std::uint8_t udp = 17;

V4Address server(std::uint32_t number) {
    return V4Address::from_host(0xc6336400 + number);
}

// [RFC 6864 section 5.3.1]
TEST(PacketIds, ComeAgainAfterAllOthers) {
    const auto ids = std::make_unique<PacketIds<V4>>();
    std::set<std::uint16_t> seen;
    for (int i = 0; i < 65536; ++i)
        seen.insert(static_cast<std::uint16_t>(ids->next(here, server(1), udp)));
    EXPECT_EQ(seen.size(), 65536U);
}

// [RFC 6864 section 5.3.1]
TEST(PacketIds, AreTheirOwnWhateverTheWorker) {
    const auto ids = std::make_unique<PacketIds<V4>>();
    constexpr int each = 16384;
    std::vector<std::vector<std::uint32_t>> got(4);
    {
        std::vector<std::jthread> workers;
        for (auto& mine : got)
            workers.emplace_back([&ids, &mine] {
                for (int i = 0; i < each; ++i)
                    mine.push_back(ids->next(here, server(1), udp));
            });
    }
    std::set<std::uint16_t> seen;
    for (const auto& mine : got)
        for (const std::uint32_t id : mine)
            seen.insert(static_cast<std::uint16_t>(id));
    EXPECT_EQ(seen.size(), 4U * each);
}

// Nobody can tell from the ids that he is given where those of others begin.
TEST(PacketIds, BeginAnywhere) {
    std::set<std::uint32_t> of_servers, of_starts;
    const auto ids = std::make_unique<PacketIds<V4>>();
    for (std::uint32_t i = 0; i < 200; ++i) {
        of_servers.insert(ids->next(here, server(i), udp));
        of_starts.insert(std::make_unique<PacketIds<V4>>()->next(here, server(0), udp));
    }
    EXPECT_GT(of_servers.size(), 190U);
    EXPECT_GT(of_starts.size(), 190U);
    EXPECT_NE(ids->next(here, server(1), udp) + 1, ids->next(here, server(1), 1));
}

TEST(PacketIds, LeaveTheChecksumRight) {
    test::Bytes packet = test::udp({}, test::Bytes(20));
    for (const std::uint32_t id : {0U, 1U, 0xffffU, 0x12340000U, 0x5678abcdU}) {
        set_identification(test::view(packet), id);
        EXPECT_EQ(test::get16(packet, 4), id & 0xffffU);
        EXPECT_EQ(test::slow_sum(std::span(packet).first(20)), 0xffff);
    }
}

}  // namespace
}  // namespace noclash::nat::packet_ids_test
