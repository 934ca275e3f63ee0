// SPDX-License-Identifier: Apache-2.0
#include "dpdk/datapath/neighbor.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace noclash::dpdk::neighbor_test {
namespace {

using nat::MacAddress;

constexpr MacAddress mac_a{{2, 0, 0, 0, 0, 0xaa}};
constexpr MacAddress mac_b{{2, 0, 0, 0, 0, 0xbb}};
constexpr V4Address address = V4Address::from_host(0xc0000202);
constexpr MacAddress mac_c{{2, 0, 0, 0, 0, 0xcc}};
constexpr std::uint64_t refresh_ms = 15'000;

/// As many as a test has, with a subnet that bounds no table.
std::vector<PortConfig> ports(std::size_t count, std::uint8_t prefix_length = 8) {
    std::vector<PortConfig> made(count);
    for (PortConfig& port : made)
        port.prefix_length = prefix_length;
    return made;
}

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
    Learned learn(std::uint64_t now_ms, const MacAddress& mac,
                  LearnMode mode = LearnMode::create_or_update) {
        return table_.learn(0, address, mac, now_ms, mode);
    }
    /// A step that asks, and whom.
    void expect_ask(std::uint64_t now_ms, const MacAddress& at) {
        const Resolution resolution = resolve(now_ms);
        EXPECT_TRUE(resolution.ask_now) << "at " << now_ms << " ms";
        EXPECT_EQ(nat::to_string(resolution.ask_at), nat::to_string(at)) << now_ms << " ms";
    }
    /// A neighbour in use, at `mac_a`, that another station claims to be at 1,000 ms.
    void doubt() {
        learn(0, mac_a);
        EXPECT_EQ(resolve(0).mac, mac_a);
        const Learned learned = learn(1000, mac_b);
        EXPECT_EQ(learned.outcome, Learning::doubted);
        EXPECT_EQ(learned.known, mac_a);
    }

    NeighborTable table_{NeighborConfig{}, ports(5), {}, 1};
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

// [field j] [RFC 1122 section 2.3.2.1]
TEST_F(NeighborTest, ASilentlyChangedAddressRecovers) {
    learn(0, mac_a);
    expect_ask(refresh_ms, mac_a);
    expect_ask(refresh_ms + 500, nat::broadcast_mac);  // The known station is gone.
    const Learned learned = learn(refresh_ms + 501, mac_b);
    EXPECT_EQ(learned.outcome, Learning::moved);
    EXPECT_EQ(learned.known, mac_a);
    EXPECT_EQ(learned.claimed, mac_b);
    EXPECT_EQ(resolve(refresh_ms + 501).mac, mac_b);
}

TEST_F(NeighborTest, SilenceEndsReachability) {
    learn(0, mac_a);
    expect(refresh_ms, NeighborState::reachable, true);
    expect(refresh_ms + 500, NeighborState::reachable, true);
    expect(refresh_ms + 1500, NeighborState::reachable, true);
    expect(refresh_ms + 2500, NeighborState::failed, false);
    expect(refresh_ms + 3500, NeighborState::incomplete, true);
}

TEST_F(NeighborTest, AnnouncementsUpdateButDoNotAdd) {
    learn(0, mac_a, LearnMode::update_existing);
    EXPECT_TRUE(table_.snapshot().empty());
    expect(0, NeighborState::incomplete, true);
    learn(1, mac_a, LearnMode::update_existing);
    EXPECT_EQ(resolve(1).mac, mac_a);
}

TEST_F(NeighborTest, AClaimIsNotBelievedWhileTheKnownStationAnswers) {
    doubt();
    EXPECT_EQ(resolve(1001).mac, mac_a);
    EXPECT_EQ(learn(1001, mac_b).outcome, Learning::nothing);  // however often it says so
    const Learned learned = learn(1002, mac_a);
    EXPECT_EQ(learned.outcome, Learning::kept);
    EXPECT_EQ(learned.known, mac_a);
    EXPECT_EQ(learned.claimed, mac_b);
    EXPECT_EQ(resolve(1002).mac, mac_a);
    // For a second, nobody has to be asked again; after it, a claim is looked into again.
    EXPECT_EQ(learn(1100, mac_b).outcome, Learning::nothing);
    EXPECT_EQ(learn(1100, mac_a).outcome, Learning::nothing);
    EXPECT_EQ(resolve(2001).mac, mac_a);
    EXPECT_EQ(learn(2002, mac_b).outcome, Learning::doubted);
    EXPECT_EQ(learn(2003, mac_a).outcome, Learning::kept);
    expect(3003, NeighborState::reachable, false);
    expect(3003 + refresh_ms, NeighborState::reachable, true);
}

TEST_F(NeighborTest, AClaimIsBelievedWhenTheKnownStationIsSilentAndTheOtherAnswers) {
    doubt();
    expect_ask(1250, mac_a);
    EXPECT_EQ(learn(1300, mac_b).outcome, Learning::nothing);  // nobody asked it
    expect_ask(1500, mac_b);
    EXPECT_EQ(learn(1501, mac_c).outcome, Learning::nothing);
    EXPECT_EQ(learn(1502, mac_b).outcome, Learning::moved);
    EXPECT_EQ(resolve(1502).mac, mac_b);
    expect(1502 + refresh_ms - 1, NeighborState::reachable, false);
}

TEST_F(NeighborTest, WhenNobodyAnswersAllAreAsked) {
    doubt();
    expect_ask(1250, mac_a);
    expect_ask(1500, mac_b);
    expect_ask(1750, mac_b);
    EXPECT_EQ(resolve(1750).mac, mac_a);
    expect_ask(2000, nat::broadcast_mac);
    EXPECT_EQ(learn(2001, mac_c).outcome, Learning::moved);
    EXPECT_EQ(resolve(2001).mac, mac_c);
}

TEST_F(NeighborTest, VerificationNeedsNoPackets) {
    doubt();
    std::vector<MacAddress> asked;
    for (std::uint64_t now_ms = 1001; now_ms <= 1600; ++now_ms) {
        const Resolution step = table_.advance(0, address, now_ms);
        if (step.ask_now) asked.push_back(step.ask_at);
    }
    ASSERT_EQ(asked.size(), 2U);
    EXPECT_EQ(asked[0], mac_a);
    EXPECT_EQ(asked[1], mac_b);
    EXPECT_EQ(table_.snapshot().at(0).state, NeighborState::verifying);
    EXPECT_EQ(table_.snapshot().at(0).last_used_ms, 0U) << "driving it is no use of it";
}

TEST_F(NeighborTest, WhereNothingWasSentToTheLatestIsBelieved) {
    learn(0, mac_a);
    EXPECT_EQ(learn(1, mac_b).outcome, Learning::nothing);
    EXPECT_EQ(resolve(1).mac, mac_b);
}

TEST_F(NeighborTest, AnAnswerFromElsewhereAfterFailureIsAMove) {
    learn(0, mac_a);
    for (const std::uint64_t ms : {0U, 500U, 1500U, 2500U})
        (void)resolve(refresh_ms + ms);
    expect(refresh_ms + 2501, NeighborState::failed, false);
    EXPECT_EQ(learn(refresh_ms + 2502, mac_b).outcome, Learning::moved);
    EXPECT_EQ(resolve(refresh_ms + 2502).mac, mac_b);
}

TEST(PinnedNeighbors, AreThereFromTheStartAndAreAskedFor) {
    const std::vector<PinnedNeighbor> pinned{{1, address}};
    NeighborTable table(NeighborConfig{}, ports(2), pinned, 1);
    EXPECT_EQ(table.snapshot().size(), 1U);
    EXPECT_TRUE(table.advance(1, address, 5).ask_now);
    EXPECT_FALSE(table.advance(1, address, 6).ask_now);
    EXPECT_EQ(table.advance(0, address, 6).state, NeighborState::gone);
}

TEST(PinnedNeighbors, FixedOnesAreNeitherAskedNorChanged) {
    const std::vector<PinnedNeighbor> pinned{{0, address, mac_a}};
    NeighborTable table(NeighborConfig{}, ports(1), pinned, 1);
    const auto id = table.find_or_add(0, address, 0);
    ASSERT_TRUE(id);
    for (std::uint64_t now_ms = 0; now_ms < 10 * refresh_ms; now_ms += 999) {
        const Resolution found = table.resolve(*id, now_ms);
        EXPECT_EQ(found.mac, mac_a);
        EXPECT_FALSE(found.ask_now);
    }
    const Learned learned = table.learn(0, address, mac_b, 1, LearnMode::create_or_update);
    EXPECT_EQ(learned.outcome, Learning::refused);
    EXPECT_EQ(learned.known, mac_a);
    EXPECT_EQ(table.learn(0, address, mac_a, 1, LearnMode::create_or_update).outcome,
              Learning::nothing);
    EXPECT_EQ(table.resolve(*id, 2).mac, mac_a);
    EXPECT_EQ(table.snapshot().at(0).state, NeighborState::fixed);
    EXPECT_EQ(to_string(NeighborState::fixed), "static");
}

TEST(PinnedNeighbors, AnotherPolicyPinsOthers) {
    const V4Address other{Be32::from_host(0x0a010063)};
    const std::vector<PinnedNeighbor> before{{0, address, mac_a}}, after{{0, other, mac_b}};
    NeighborTable table(NeighborConfig{}, ports(1), before, 1);
    for (int call = 0; call < 2; ++call)
        table.repin(before, after, 100);
    const auto let_go = table.find_or_add(0, address, 100),
               pinned = table.find_or_add(0, other, 100);
    ASSERT_TRUE(let_go && pinned);
    const Resolution free = table.resolve(*let_go, 100);
    EXPECT_EQ(free.mac, mac_a) << "good until somebody says otherwise";
    EXPECT_TRUE(free.ask_now);
    EXPECT_EQ(table.resolve(*pinned, 100).mac, mac_b);
    EXPECT_EQ(table.learn(0, other, mac_a, 101, LearnMode::create_or_update).outcome,
              Learning::refused);
    // The same neighbour may get another address, or be fixed no longer.
    const std::vector<PinnedNeighbor> moved{{0, other, mac_a}}, asked{{0, other}};
    table.repin(after, moved, 200);
    EXPECT_EQ(table.resolve(*pinned, 200).mac, mac_a);
    table.repin(moved, asked, 300);
    EXPECT_TRUE(table.resolve(*pinned, 300).ask_now);
    EXPECT_NE(table.learn(0, other, mac_b, 301, LearnMode::create_or_update).outcome,
              Learning::refused);
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

TEST(NeighborTable, IsNoLargerThanTheSubnetOrWhatAnyMayNeed) {
    NeighborTable table(NeighborConfig{15, 256, 1 << 20}, ports(32, 24), {}, 1);
    for (std::uint32_t i = 1; i < 10000; ++i)
        table.learn(31, V4Address::from_host(i), mac_a, 0, LearnMode::create_or_update);
    EXPECT_LE(table.snapshot().size(), 8192U);
    EXPECT_GE(table.snapshot().size(), 4096U);
}

TEST(NeighborTable, HoldsItsCapacity) {
    NeighborTable table(NeighborConfig{15, 256, 4096}, ports(1), {}, 1);
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
    void learn_and_use(std::uint32_t i, std::uint64_t now_ms) {
        learn(i, now_ms);
        const auto id = table_.find_or_add(0, ip(i), now_ms);
        ASSERT_TRUE(id);
        ASSERT_EQ(table_.resolve(*id, now_ms).mac, mac(i));
    }
    bool knows(std::uint32_t i) const {
        return std::ranges::any_of(table_.snapshot(), [&](const NeighborEntry& entry) {
            return entry.address == ip(i) && entry.port == 0;
        });
    }

    NeighborTable table_{NeighborConfig{15, 256, 1}, ports(2), {}, 1};
};

TEST_F(FullNeighborTest, NeighborsInUseAreNotReclaimed) {
    for (std::uint32_t i = 0; i < slots; ++i)
        learn_and_use(i, 0);
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

TEST_F(FullNeighborTest, NeighborsNeverSentToGoFirstAndAtOnce) {
    learn_and_use(0, 0);
    for (std::uint32_t i = 1; i < slots; ++i)
        learn(i, 1);
    // Twice as many more are heard of: those that are used stay, and a new one has room.
    for (std::uint32_t i = slots; i < 3 * slots; ++i)
        learn(i, 2);
    EXPECT_TRUE(knows(0));
    const auto fresh = table_.find_or_add(0, ip(3 * slots), 2);
    ASSERT_TRUE(fresh);
    EXPECT_TRUE(table_.resolve(*fresh, 2).ask_now);
    // It waits for an answer, and is as good as used: what is heard meanwhile takes nothing from
    // it.
    for (std::uint32_t i = 4 * slots; i < 8 * slots; ++i)
        learn(i, 3);
    learn(3 * slots, 4);
    EXPECT_EQ(table_.resolve(*fresh, 4).mac, mac(3 * slots));
    EXPECT_TRUE(knows(0));
}

TEST_F(FullNeighborTest, WhatIsHeardOnOnePortTakesNothingFromAnother) {
    learn(0, 0);
    for (std::uint32_t i = 1; i < 20'000; ++i)
        table_.learn(1, ip(i), mac(i), 1, LearnMode::create_or_update);
    EXPECT_TRUE(knows(0));
    EXPECT_EQ(table_.snapshot().size(), slots + 1);
}

TEST_F(FullNeighborTest, PinnedNeighborsStay) {
    const std::vector<PinnedNeighbor> pinned{{0, ip(0)}};
    NeighborTable table(NeighborConfig{15, 256, 1}, ports(1), pinned, 1);
    for (std::uint64_t now_ms = 0; now_ms < 1'000'000; now_ms += 100'000)
        for (std::uint32_t i = 1; i < 4 * slots; ++i) {
            table.learn(0, ip(i), mac(i), now_ms, LearnMode::create_or_update);
            (void)table.find_or_add(0, ip(i + 4 * slots), now_ms);
        }
    EXPECT_NE(table.advance(0, ip(0), 2'000'000).state, NeighborState::gone);
}

TEST_F(FullNeighborTest, AReclaimedSlotTellsNothingOfItsFormerNeighbor) {
    for (std::uint32_t i = 0; i < slots; ++i)
        learn_and_use(i, 0);
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
}  // namespace noclash::dpdk::neighbor_test
