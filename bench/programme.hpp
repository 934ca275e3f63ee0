// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "bench/contestant.hpp"

namespace noclash::bench {

enum class Extent : std::uint8_t { quick, full };

/// Which tables take part. `strongest` leaves out those that are slowest at all that is measured.
enum class Field : std::uint8_t { noclash, strongest, everyone };

/// Operations that a table of so many flows is put through, one after the other.
struct Part {
    std::uint32_t flows;
    Order order;
    unsigned workers;
    unsigned repetitions;
    Field field;
    std::vector<Operation> operations;
    unsigned first_repetition = 0;
};

inline constexpr std::uint32_t flows_of_memory_rows = 1'000'000;

/// noclash with one worker and with two, in turn, so that a machine that is busy elsewhere is so
/// for both. Repetitions that no other part has.
inline void add_pairs(std::vector<Part>& parts) {
    using enum Operation;
    for (unsigned repetition = 100; repetition < 107; ++repetition)
        for (const unsigned workers : {1U, 2U})
            parts.push_back({4'000'000,
                             Order::random,
                             workers,
                             1,
                             Field::noclash,
                             {set_up, find_hit},
                             repetition});
}

/// What is measured. The operations of a part share their table.
[[nodiscard]] inline std::vector<Part> programme(Extent extent) {
    using enum Operation;
    constexpr std::uint32_t million = 1'000'000;
    const std::vector all{set_up, find_hit, find_miss, churn, release};
    std::vector<Part> parts;
    if (extent == Extent::quick) {
        parts = {{million, Order::random, 1, 3, Field::everyone, {set_up, find_hit}},
                 {million, Order::random, 2, 1, Field::strongest, {set_up_contended}},
                 {4 * million, Order::random, 1, 3, Field::strongest, {set_up, churn}}};
        add_pairs(parts);
        return parts;
    }
    for (const std::uint32_t flows : {64'000U, million, 4 * million, 16 * million}) {
        const bool huge = flows > 4 * million;
        const unsigned repetitions = huge ? 1 : 3;
        for (const unsigned workers : {1U, 2U}) {
            parts.push_back({flows, Order::random, workers, repetitions, Field::everyone, all});
            if (!huge)
                parts.push_back({flows, Order::key, workers, repetitions, Field::everyone, all});
        }
        if (!huge)
            parts.push_back(
                {flows, Order::random, 2, repetitions, Field::everyone, {set_up_contended}});
    }
    add_pairs(parts);
    return parts;
}

}  // namespace noclash::bench
