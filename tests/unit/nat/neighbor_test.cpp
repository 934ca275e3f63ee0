// SPDX-License-Identifier: Apache-2.0
#include "dpdk/neighbor.hpp"

#include <gtest/gtest.h>

#include <set>

namespace noclash::dpdk {
namespace {

using nat::MacAddress;

constexpr MacAddress mac_a{{2, 0, 0, 0, 0, 0xaa}};
constexpr MacAddress mac_b{{2, 0, 0, 0, 0, 0xbb}};
constexpr V4Address address = V4Address::from_host(0xc0000202);
constexpr std::uint64_t refresh_ms = 15'000;

class NeighborTest : public ::testing::Test {
  protected:
    /// As a worker asks for the next packet: found anew, then resolved.
    Resolution resolve(std::uint64_t now_ms, V4Address ip = address) {
        const auto id = table_.find_or_add(0, ip, now_ms);
        EXPECT_TRUE(id);
        return table_.resolve(*id, now_ms);
    }
    void expect(std::uint64_t now_ms, NeighborState state, bool ask_now) {
        const Resolution resolution = resolve(now_ms);
        EXPECT_EQ(to_string(resolution.state), to_string(state)) << "at " << now_ms << " ms";
        EXPECT_EQ(resolution.ask_now, ask_now) << "at " << now_ms << " ms";
    }
    void learn(std::uint64_t now_ms, const MacAddress& mac,
               LearnMode mode = LearnMode::create_or_update) {
        table_.learn(0, address, mac, now_ms, mode);
    }

    NeighborTable table_{NeighborConfig{}, 1};
};

TEST_F(NeighborTest, AsksOnceASecondThreeTimesThenFailsThenBeginsAnew) {
    expect(1000, NeighborState::incomplete, true);
    expect(1000, NeighborState::incomplete, false);
    expect(1999, NeighborState::incomplete, false);
    expect(2000, NeighborState::incomplete, true);
    expect(3000, NeighborState::incomplete, true);
    expect(3999, NeighborState::incomplete, false);
    expect(4000, NeighborState::failed, false);
    expect(4999, NeighborState::failed, false);
    expect(5000, NeighborState::incomplete, true);
    expect(6000, NeighborState::incomplete, true);
    expect(7000, NeighborState::incomplete, true);
    expect(8000, NeighborState::failed, false);
}

TEST_F(NeighborTest, AnAnswerMakesItReachable) {
    expect(1000, NeighborState::incomplete, true);
    learn(1500, mac_a);
    EXPECT_EQ(resolve(1500).mac, mac_a);
    expect(1500 + refresh_ms - 1, NeighborState::reachable, false);
}

TEST_F(NeighborTest, AnAnswerAfterFailureCountsToo) {
    for (const std::uint64_t now_ms : {1000U, 2000U, 3000U, 4000U})
        (void)resolve(now_ms);
    expect(4100, NeighborState::failed, false);
    learn(4200, mac_a);
    expect(4200, NeighborState::reachable, false);
}

TEST_F(NeighborTest, InUseItIsAskedAgainAndKeepsItsAddressMeanwhile) {
    learn(0, mac_a);
    expect(refresh_ms, NeighborState::reachable, true);
    expect(refresh_ms + 1, NeighborState::reachable, false);
    EXPECT_EQ(resolve(refresh_ms + 1).mac, mac_a);
    learn(refresh_ms + 2, mac_a);
    expect(2 * refresh_ms + 1, NeighborState::reachable, false);
    expect(2 * refresh_ms + 2, NeighborState::reachable, true);
}

// [field j]
TEST_F(NeighborTest, ASilentlyChangedAddressRecovers) {
    learn(0, mac_a);
    expect(refresh_ms, NeighborState::reachable, true);
    learn(refresh_ms + 1, mac_b);  // The broadcast reaches the new owner.
    EXPECT_EQ(resolve(refresh_ms + 1).mac, mac_b);
}

TEST_F(NeighborTest, SilenceEndsReachability) {
    learn(0, mac_a);
    expect(refresh_ms, NeighborState::reachable, true);
    expect(refresh_ms + 1000, NeighborState::reachable, true);
    expect(refresh_ms + 2000, NeighborState::reachable, true);
    expect(refresh_ms + 3000, NeighborState::failed, false);
    expect(refresh_ms + 4000, NeighborState::incomplete, true);
}

TEST_F(NeighborTest, AnnouncementsUpdateButDoNotAdd) {
    learn(0, mac_a, LearnMode::update_existing);
    EXPECT_TRUE(table_.snapshot().empty());
    expect(0, NeighborState::incomplete, true);
    learn(1, mac_a, LearnMode::update_existing);
    EXPECT_EQ(resolve(1).mac, mac_a);
    learn(2, mac_b, LearnMode::update_existing);
    EXPECT_EQ(resolve(2).mac, mac_b);
}

TEST_F(NeighborTest, PortsAreApart) {
    const auto here = table_.find_or_add(0, address, 0);
    const auto there = table_.find_or_add(1, address, 0);
    ASSERT_TRUE(here && there);
    EXPECT_NE(*here, *there);
    EXPECT_EQ(table_.find_or_add(0, address, 0), here);
    table_.learn(1, address, mac_a, 0, LearnMode::create_or_update);
    EXPECT_EQ(table_.resolve(*here, 0).state, NeighborState::incomplete);
    EXPECT_EQ(table_.resolve(*there, 0).mac, mac_a);
}

TEST_F(NeighborTest, Snapshot) {
    learn(5, mac_a);
    table_.learn(3, V4Address::from_host(7), mac_b, 6, LearnMode::create_or_update);
    (void)table_.find_or_add(4, V4Address::from_host(8), 7);
    const auto entries = table_.snapshot();
    ASSERT_EQ(entries.size(), 3U);
    for (const auto& entry : entries) {
        if (entry.port == 0) {
            EXPECT_EQ(entry.address, address);
            EXPECT_EQ(entry.state, NeighborState::reachable);
            EXPECT_EQ(entry.mac, mac_a);
            EXPECT_EQ(entry.last_used_ms, 5U);
        } else if (entry.port == 3) {
            EXPECT_EQ(entry.mac, mac_b);
        } else {
            EXPECT_EQ(entry.port, 4);
            EXPECT_EQ(entry.state, NeighborState::incomplete);
            EXPECT_EQ(entry.mac, MacAddress{});
        }
    }
}

TEST(NeighborTable, HoldsItsCapacity) {
    NeighborTable table(NeighborConfig{15, 256, 4096}, 1);
    for (std::uint32_t i = 1; i <= 4096; ++i) {
        ASSERT_TRUE(table.find_or_add(0, V4Address::from_host(i), 0)) << i;
    }
    EXPECT_EQ(table.snapshot().size(), 4096U);
}

/// A table of one window: every neighbour may lie in every slot.
class FullNeighborTest : public ::testing::Test {
  protected:
    static constexpr std::uint32_t slots = NeighborTable::window;

    static V4Address ip(std::uint32_t i) { return V4Address::from_host(0x0a000000 + i); }
    static MacAddress mac(std::uint32_t i) {
        return {{2, 0, 0, 0, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i)}};
    }
    void learn(std::uint32_t i, std::uint64_t now_ms) {
        table_.learn(0, ip(i), mac(i), now_ms, LearnMode::create_or_update);
    }

    NeighborTable table_{NeighborConfig{15, 256, 1}, 1};
};

TEST_F(FullNeighborTest, NeighborsInUseAreNotReclaimed) {
    for (std::uint32_t i = 0; i < slots; ++i)
        learn(i, 0);
    const auto first = table_.find_or_add(0, ip(0), 0);
    (void)table_.resolve(*first, NeighborTable::idle_resolved_ms - 1000);
    EXPECT_FALSE(table_.find_or_add(0, ip(slots), NeighborTable::idle_resolved_ms - 1));
    for (std::uint32_t i = slots; i < 2 * slots - 1; ++i) {
        EXPECT_TRUE(table_.find_or_add(0, ip(i), NeighborTable::idle_resolved_ms)) << i;
    }
    EXPECT_FALSE(table_.find_or_add(0, ip(2 * slots), NeighborTable::idle_resolved_ms));
    EXPECT_EQ(table_.resolve(*first, NeighborTable::idle_resolved_ms).mac, mac(0));
}

TEST_F(FullNeighborTest, UnansweredNeighborsAreReclaimedSooner) {
    for (std::uint32_t i = 0; i < slots; ++i)
        (void)table_.find_or_add(0, ip(i), 0);
    EXPECT_FALSE(table_.find_or_add(0, ip(slots), NeighborTable::idle_unresolved_ms - 1));
    EXPECT_TRUE(table_.find_or_add(0, ip(slots), NeighborTable::idle_unresolved_ms));
}

TEST_F(FullNeighborTest, AReclaimedSlotTellsNothingOfItsFormerNeighbor) {
    for (std::uint32_t i = 0; i < slots; ++i)
        learn(i, 0);
    std::vector<NeighborId> old_ids;
    for (std::uint32_t i = 0; i < slots; ++i)
        old_ids.push_back(*table_.find_or_add(0, ip(i), 0));

    const std::uint64_t later_ms = NeighborTable::idle_resolved_ms;
    for (std::uint32_t i = slots; i < 2 * slots; ++i) {
        const auto id = table_.find_or_add(0, ip(i), later_ms);
        ASSERT_TRUE(id);
        const Resolution fresh = table_.resolve(*id, later_ms);
        EXPECT_EQ(fresh.state, NeighborState::incomplete);
        EXPECT_TRUE(fresh.ask_now);
        learn(i, later_ms);
        EXPECT_EQ(table_.resolve(*id, later_ms).mac, mac(i));
    }
    for (const NeighborId id : old_ids) {
        EXPECT_EQ(table_.resolve(id, later_ms).state, NeighborState::gone);
    }
    for (const auto& entry : table_.snapshot())
        EXPECT_GE(entry.address.value.host(), 0x0a000020U);
}

TEST_F(FullNeighborTest, GenerationsGoRound) {
    std::uint64_t now_ms = 0;
    for (std::uint32_t i = 0; i < 70'000 * slots; i += slots) {
        now_ms += NeighborTable::idle_unresolved_ms;
        ASSERT_TRUE(table_.find_or_add(0, ip(i & 0xffffff), now_ms));
        if (i == 0) {  // Fill the table; from here on every addition reclaims.
            for (std::uint32_t j = 1; j < slots; ++j)
                (void)table_.find_or_add(0, ip(j), now_ms);
        }
    }
    EXPECT_EQ(table_.snapshot().size(), slots);
}

}  // namespace
}  // namespace noclash::dpdk
