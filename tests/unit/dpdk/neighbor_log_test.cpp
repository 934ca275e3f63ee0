// SPDX-License-Identifier: Apache-2.0
#include "dpdk/control/neighbor_log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dpdk/datapath/address_defense.hpp"

namespace noclash::dpdk::neighbor_log_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr nat::MacAddress ours{{2, 0, 0, 0, 0, 1}};
constexpr nat::MacAddress theirs{{2, 0, 0, 0, 0, 2}};

NeighborEvent event(NeighborNews news, std::uint32_t address = 0x0a010009) {
    return {news, 0, V4Address::from_host(address), ours, theirs};
}

class NeighborLogTest : public ::testing::Test {
  protected:
    std::vector<PortConfig> ports_{{"lan", "null:a", {}, 24, 1500, 64}};
    NeighborLog log_{ports_};
};

TEST_F(NeighborLogTest, BothAddressesAreNamed) {
    log_.add(event(NeighborNews::moved));
    EXPECT_THAT(log_.lines(1000), ElementsAre("port lan: neighbour 10.1.0.9 moved from "
                                              "02:00:00:00:00:01 to 02:00:00:00:00:02"));
    for (const auto news : {NeighborNews::kept, NeighborNews::refused, NeighborNews::conflict}) {
        log_.add(event(news));
        EXPECT_THAT(log_.lines(1000), ElementsAre(AllOf(HasSubstr("lan"), HasSubstr("10.1.0.9"),
                                                        HasSubstr("02:00:00:00:00:01"),
                                                        HasSubstr("02:00:00:00:00:02"))));
    }
    EXPECT_THAT(log_.lines(1000), IsEmpty());
}

TEST_F(NeighborLogTest, AFloodIsAFewLines) {
    std::size_t lines = 0;
    for (std::uint64_t second = 1; second <= 120; ++second) {
        for (std::uint32_t i = 0; i < 50; ++i)
            log_.add(event(NeighborNews::kept));
        lines += log_.lines(second * 1000).size();
    }
    EXPECT_LE(lines, 5U);  // two a minute, and what was left out
    EXPECT_GE(lines, 3U);
    for (std::uint32_t i = 0; i < 1000; ++i)
        log_.add(event(NeighborNews::moved, i));
    EXPECT_LE(log_.lines(200'000).size(), NeighborLog::most + 1);
}

TEST_F(NeighborLogTest, WhatWasLeftOutIsCounted) {
    log_.add_missed(7);
    EXPECT_THAT(log_.lines(100'000), ElementsAre(HasSubstr("7 more events")));
}

TEST(NeighborEvents, AreBoundedAndComeInOrder) {
    NeighborEvents events;
    for (std::uint32_t i = 0; i < NeighborEvents::room + 5; ++i)
        events.push(event(NeighborNews::moved, i));
    std::uint32_t next = 0;
    const auto take = [&](const NeighborEvent& one) {
        EXPECT_EQ(one, event(NeighborNews::moved, next));
        ++next;
    };
    EXPECT_EQ(events.drain(take), 5U);
    EXPECT_EQ(next, NeighborEvents::room);
    events.push(event(NeighborNews::moved, next));
    EXPECT_EQ(events.drain(take), 0U);
    EXPECT_EQ(next, NeighborEvents::room + 1);
}

// [RFC 5227 section 2.4]
TEST(AddressDefense, IsOnceInAnInterval) {
    AddressDefense defense;
    const V4Address address = V4Address::from_host(0x0a010001);
    EXPECT_TRUE(defense.due(address, 5));
    EXPECT_FALSE(defense.due(address, 5));
    EXPECT_FALSE(defense.due(address, 4 + AddressDefense::interval_ms));
    EXPECT_TRUE(defense.due(address, 5 + AddressDefense::interval_ms));
    EXPECT_TRUE(defense.due(V4Address::from_host(0x0a010002), 6));
}

}  // namespace
}  // namespace noclash::dpdk::neighbor_log_test
