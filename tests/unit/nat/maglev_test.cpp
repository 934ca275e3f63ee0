// SPDX-License-Identifier: Apache-2.0
#include "nat/policy/maglev.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace noclash::nat::maglev_test {
namespace {

constexpr std::array<std::uint64_t, 2> key{0x0123'4567'89ab'cdef, 0xfedc'ba98'7654'3210};

std::vector<MaglevMember> members(std::uint16_t count, std::uint16_t weight = 1) {
    std::vector<MaglevMember> all;
    for (std::uint16_t number = 0; number < count; ++number)
        all.push_back({0x0a02'0000'0050ULL + number * 0x1'0000ULL, weight, number});
    return all;
}

std::vector<std::uint32_t> shares(const std::vector<std::uint16_t>& slots, std::size_t members) {
    std::vector<std::uint32_t> counts(members);
    for (const std::uint16_t slot : slots)
        ++counts.at(slot);
    return counts;
}

/// Of the slots that are of another member than `changed`, in hundredths: how many became
/// another's.
double moved_percent(const std::vector<std::uint16_t>& before,
                     const std::vector<std::uint16_t>& after, std::uint16_t changed) {
    EXPECT_EQ(before.size(), after.size());
    std::size_t others = 0, moved = 0;
    for (std::size_t i = 0; i < before.size(); ++i) {
        if (before[i] == changed || after[i] == changed) continue;
        ++others;
        if (before[i] != after[i]) ++moved;
    }
    return 100.0 * static_cast<double>(moved) / static_cast<double>(others);
}

TEST(Maglev, SharesOfEqualMembersDifferByOneAtMost) {
    for (const std::uint16_t count :
         std::initializer_list<std::uint16_t>{1, 2, 3, 7, 50, 100, 655, 1000, 5000}) {
        const auto slots = maglev_slots(members(count), key);
        EXPECT_EQ(slots.size(), maglev_size(count));
        const auto found = shares(slots, count);
        const auto [least, most] = std::ranges::minmax(found);
        EXPECT_LE(most - least, 1U) << count;
        EXPECT_GE(least, 1U) << count;
    }
}

TEST(Maglev, SharesFollowWeights) {
    auto all = members(4);
    all[1].weight = 2;
    all[2].weight = 0;
    all[3].weight = 256;
    const auto slots = maglev_slots(all, key);
    const auto found = shares(slots, all.size());
    EXPECT_EQ(found[2], 0U);
    for (const std::size_t i : {0U, 1U, 3U})
        EXPECT_NEAR(found[i], static_cast<double>(slots.size()) * all[i].weight / 259, 2.0) << i;
}

TEST(Maglev, AChangeOfOneOfAHundredMovesFewSlotsOfTheOthers) {
    const auto all = members(100);
    const auto before = maglev_slots(all, key);
    for (std::uint16_t gone = 0; gone < 100; gone += 9) {
        auto rest = all;
        rest[gone].weight = 0;  // down
        EXPECT_LE(moved_percent(before, maglev_slots(rest, key), gone), 2.0) << gone;
        rest.erase(rest.begin() + gone);  // gone
        EXPECT_LE(moved_percent(before, maglev_slots(rest, key), gone), 2.0) << gone;
    }
}

TEST(Maglev, DependsOnTheKeyAndNotOnTheOrderOfMembers) {
    auto all = members(20);
    const auto slots = maglev_slots(all, key);
    std::ranges::reverse(all);
    EXPECT_EQ(maglev_slots(all, key), slots);
    const auto other = maglev_slots(all, {1, 2});
    std::size_t same = 0;
    for (std::size_t i = 0; i < slots.size(); ++i)
        same += slots[i] == other[i] ? 1U : 0U;
    EXPECT_LT(same, slots.size() / 10) << "some 1 in 20 by chance";
}

}  // namespace
}  // namespace noclash::nat::maglev_test
