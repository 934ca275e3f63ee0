// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/siphash.hpp"

namespace noclash::nat {

// # Maglev tables
//
// A table of slots, each of which belongs to a backend (Eisenbud and others, "Maglev: A Fast and
// Reliable Software Network Load Balancer", NSDI 2016, section 3.4). Every backend has an order of
// its own in which it prefers the slots; backends take turns, and each takes its first choice that
// is free. So a backend that comes or goes moves few slots of the others, and any number of
// gateways with one key agree without a word.
//
// The key is secret: who could compute the orders could choose addresses that all meet one backend.
//
// Weights: every backend has a credit. In each round it grows by the weight, and a backend whose
// credit has reached the largest weight pays so much for a slot.

/// A member of a Maglev table.
struct MaglevMember {
    std::uint64_t identity;  ///< what its order of slots follows from: the same each time
    std::uint16_t weight;    ///< its share of slots; 0: it gets none
    std::uint16_t number;    ///< what stands in its slots
};

/// Primes far apart: another size moves every slot, and few changes of backends cross a border.
inline constexpr std::array<std::uint32_t, 4> maglev_sizes{503, 5003, 20011, 65537};

/// How many slots a table of so many members has: at least 100 for each, so that shares of equal
/// members differ by a percent at most; but no more than 65,537.
[[nodiscard]] constexpr std::uint32_t maglev_size(std::size_t members) {
    const auto* const found = std::ranges::lower_bound(maglev_sizes, members * 100);
    return found == maglev_sizes.end() ? maglev_sizes.back() : *found;
}

/// The slots of a table.
/// @param members  at most 65,535, no two with one identity, some weight not 0; in any order
[[nodiscard]] inline std::vector<std::uint16_t> maglev_slots(
    std::span<const MaglevMember> members, const std::array<std::uint64_t, 2>& key) {
    struct Turn {
        std::uint32_t next, skip, credit, weight;
        std::uint16_t number;
        std::uint64_t rank;  // in the order of turns
    };
    constexpr std::uint16_t free_slot = 65535;
    const std::uint32_t size = maglev_size(members.size());
    std::vector<Turn> turns;
    std::uint32_t largest = 0;
    for (const MaglevMember& member : members) {
        if (member.weight == 0) continue;
        std::array<std::uint8_t, 9> bytes{};
        for (unsigned i = 0; i < 8; ++i)
            bytes[i] = static_cast<std::uint8_t>(member.identity >> 8 * i);
        const std::uint64_t hash = siphash(key, bytes);
        bytes[8] = 1;
        const std::uint64_t rank = siphash(key, bytes);
        turns.push_back({static_cast<std::uint32_t>((hash >> 32U) % size),
                         static_cast<std::uint32_t>((hash & 0xffff'ffffU) % (size - 1)) + 1, 0,
                         member.weight, member.number, rank});
        largest = std::max<std::uint32_t>(largest, member.weight);
    }
    assert(!turns.empty());
    std::ranges::sort(turns, {}, &Turn::rank);
    std::vector<std::uint16_t> slots(size, free_slot);
    for (std::uint32_t taken = 0;;) {
        for (Turn& turn : turns) {
            turn.credit += turn.weight;
            if (turn.credit < largest) continue;
            turn.credit -= largest;
            while (slots[turn.next] != free_slot)
                turn.next = turn.next + turn.skip < size ? turn.next + turn.skip
                                                         : turn.next + turn.skip - size;
            slots[turn.next] = turn.number;
            if (++taken == size) return slots;
        }
    }
}

}  // namespace noclash::nat
