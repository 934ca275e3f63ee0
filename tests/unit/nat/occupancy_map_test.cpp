// SPDX-License-Identifier: Apache-2.0
#include "nat/ports/occupancy_map.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <thread>

#include "engine/production.hpp"
#include "nat/ports/occupancy_maps.hpp"
#include "tests/unit/nat/packets.hpp"

namespace noclash::nat::test::occupancy_map_test {
namespace {

using Map = OccupancyMap<Production>;
constexpr auto as_it_is = [](Map&) {};

TEST(OccupancyMap, TakesEachPortOnceAndThenNone) {
    const auto map = std::make_unique<Map>();
    const auto random = std::make_unique<RandomBuffer>();
    map->reset({1024, 65535});
    map->exclude({8080, 8080});
    std::set<std::uint16_t> taken;
    while (const auto port = map->take(*random))
        ASSERT_TRUE(taken.insert(*port).second);
    EXPECT_EQ(taken.size(), 64511U);
    EXPECT_FALSE(taken.contains(8080));
    EXPECT_EQ(*taken.begin(), 1024);
    EXPECT_EQ(*taken.rbegin(), 65535);
    map->give(4711);
    map->give(4711);
    EXPECT_EQ(map->size(), 1U);
    EXPECT_EQ(map->take(*random), 4711);
    EXPECT_EQ(map->take(*random), std::nullopt);
}

TEST(OccupancyMap, LooksWithoutTaking) {
    const auto map = std::make_unique<Map>();
    const auto random = std::make_unique<RandomBuffer>();
    map->reset({1000, 1001});
    std::set<std::uint16_t> seen;
    for (int i = 0; i < 200; ++i)  // that one is never seen: once in 2^199 times
        if (const auto port = map->look(*random)) seen.insert(*port);
    EXPECT_EQ(seen, (std::set<std::uint16_t>{1000, 1001}));
    EXPECT_EQ(map->size(), 2U);
    EXPECT_TRUE(map->take_out(1001));
    EXPECT_FALSE(map->take_out(1001));
    EXPECT_EQ(map->look(*random), 1000);
    EXPECT_EQ(map->take(*random), 1000);
    EXPECT_EQ(map->look(*random), std::nullopt);
}

TEST(OccupancyMap, IsUniformOverWhatIsLeft) {
    const auto map = std::make_unique<Map>();
    const auto random = std::make_unique<RandomBuffer>();
    const std::vector<std::uint16_t> left{1, 64, 2047, 2048, 40000, 40001, 65535};
    map->reset({1, 65535});
    map->exclude({0, 65535});
    for (const std::uint16_t port : left)
        map->give(port);
    std::map<std::uint16_t, double> counts;
    constexpr int draws = 70'000;
    for (int i = 0; i < draws; ++i) {
        const auto port = map->take(*random);
        ASSERT_TRUE(port);
        counts[*port] += 1;
        map->give(*port);
    }
    double chi_square = 0;  // 6 degrees of freedom: 39 is beyond one in 10^6
    for (const std::uint16_t port : left)
        chi_square += (counts[port] - 10'000) * (counts[port] - 10'000) / 10'000;
    EXPECT_LT(chi_square, 39);
}

TEST(OccupancyMap, ThreadsLoseNoPort) {
    const auto map = std::make_unique<Map>();
    map->reset({1000, 1099});
    std::vector<std::thread> threads;
    for (int i = 0; i < 6; ++i)
        threads.emplace_back([&map] {
            const auto random = std::make_unique<RandomBuffer>();
            for (int round = 0; round < 20'000; ++round) {
                const auto port = map->take(*random);
                if (port) map->give(*port);
            }
        });
    for (auto& thread : threads)
        thread.join();
    EXPECT_EQ(map->size(), 100U);
    const auto random = std::make_unique<RandomBuffer>();
    for (int i = 0; i < 100; ++i)
        ASSERT_TRUE(map->take(*random)) << i;
    EXPECT_FALSE(map->take(*random));
}

TEST(OccupancyMaps, AMapIsKeptWhileItIsUsedAndGivenUpWhenIdle) {
    FlowTable<V4> table(64, 1, 1);
    table.quiescence().online(0);
    OccupancyMaps<V4, Production> crowded(table);
    const auto reply = [](std::uint32_t number) { return test::tuple({number, 2, 80, 1}, 6); };
    auto* map = crowded.acquire(reply(1), {1, 100}, 0, as_it_is);
    ASSERT_NE(map, nullptr);
    auto other_port = reply(1);
    other_port.destination_port = Be16::from_host(77);
    EXPECT_EQ(crowded.acquire(other_port, {1, 100}, 0, as_it_is), map);
    EXPECT_NE(crowded.acquire(reply(1), {1, 50}, 0, as_it_is), map);

    // Far more destinations than places: some find none, until others have been idle long enough.
    std::uint32_t refused = 0;
    for (std::uint32_t i = 2; i < 5000; ++i)
        refused += crowded.acquire(reply(i), {1, 100}, 0, as_it_is) == nullptr ? 1U : 0U;
    EXPECT_GT(refused, 0U);
    std::uint32_t served = 0;
    for (std::uint32_t i = 6000; i < 6100; ++i) {
        for (int visit = 0; visit < 3; ++visit) {
            if (crowded.acquire(reply(i), {1, 100}, 5000, as_it_is) != nullptr) {
                ++served;
                break;
            }
            table.quiescence().quiescent(0);
        }
    }
    EXPECT_GT(served, 60U);
}

/// When other ports are reserved, maps are made anew: the ports that an old one left out may be
/// free.
TEST(OccupancyMaps, EachEditionOfTheReservedPortsHasMapsOfItsOwn) {
    FlowTable<V4> table(64, 1, 1);
    table.quiescence().online(0);
    OccupancyMaps<V4, Production> crowded(table);
    const auto reply = test::tuple({1, 2, 80, 7}, 6);
    const auto without_7 = [](auto& map) { map.exclude({7, 7}); };
    auto* before = crowded.acquire(reply, {1, 100}, 0, without_7, 1);
    auto* after = crowded.acquire(reply, {1, 100}, 0, as_it_is, 2);
    ASSERT_NE(before, nullptr);
    ASSERT_NE(after, nullptr);
    EXPECT_NE(before, after);
    EXPECT_EQ(crowded.find(reply, {1, 100}, 0, 1), before);
    EXPECT_EQ(crowded.find(reply, {1, 100}, 0, 3), nullptr);
    EXPECT_EQ(before->size(), 99U);
    EXPECT_EQ(after->size(), 100U);
    ASSERT_TRUE(before->take_out(8) && after->take_out(8));
    auto ended = reply;
    ended.destination_port = Be16::from_host(8);
    crowded.ended(ended);
    EXPECT_TRUE(before->take_out(8)) << "workers may still go by the former policy";
    EXPECT_TRUE(after->take_out(8));
}

TEST(OccupancyMaps, AnEndedFlowsPortComesBack) {
    FlowTable<V4> table(64, 1, 1);
    table.quiescence().online(0);
    OccupancyMaps<V4, Production> crowded(table);
    const auto random = std::make_unique<RandomBuffer>();
    auto reply = test::tuple({1, 2, 80, 50}, 6);
    auto* map = crowded.acquire(reply, {50, 50}, 0, as_it_is);
    ASSERT_EQ(map->take(*random), 50);
    EXPECT_EQ(map->take(*random), std::nullopt);
    crowded.ended(reply);
    EXPECT_EQ(map->take(*random), 50);
}

}  // namespace
}  // namespace noclash::nat::test::occupancy_map_test
