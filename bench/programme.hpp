// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bench/contestant.hpp"
#include "bench/least_set_up.hpp"
#include "bench/limit.hpp"
#include "bench/tables/apart.hpp"

namespace noclash::bench {

enum class Extent : std::uint8_t { quick, full };

/// Which tables take part. `strongest` leaves out those that are slowest at all that is measured.
enum class Field : std::uint8_t { noclash, strongest, everyone };

/// A limit that is measured in turn with tables.
struct NamedLimit {
    std::string name;
    std::function<std::unique_ptr<Limit>()> make;
};

/// Operations that a table of so many flows is put through, one after the other.
struct Part {
    std::uint32_t flows;
    Order order;
    unsigned workers;
    unsigned repetitions;
    Field field;
    std::vector<Operation> operations;
    unsigned first_repetition = 0;
    std::vector<NamedLimit> limits{};  ///< of set-up
};

inline constexpr std::uint32_t flows_of_memory_rows = 1'000'000;

using Swaps = LeastSetUp::Swaps;
using Lines = LeastSetUp::Lines;

[[nodiscard]] inline NamedLimit least_set_up(std::uint32_t flows, Swaps swaps, Lines lines) {
    return {"least_set_up/flows:" + std::to_string(flows) +
                "/swaps:" + std::to_string(static_cast<unsigned>(swaps)) +
                "/lines:" + (lines == Lines::own ? "own" : "shared"),
            [=] { return std::make_unique<LeastSetUp>(flows, swaps, lines); }};
}
[[nodiscard]] inline std::vector<NamedLimit> least_set_ups(std::uint32_t flows) {
    return {least_set_up(flows, Swaps::two, Lines::shared),
            least_set_up(flows, Swaps::four, Lines::shared)};
}
[[nodiscard]] inline NamedLimit set_up_apart(std::uint32_t flows) {
    return {"set_up_apart/flows:" + std::to_string(flows),
            [=] { return std::make_unique<ApartSetUp>(flows); }};
}

/// noclash with one worker and with two, in turn, so that a machine that is busy elsewhere is so
/// for both. Repetitions that no other part has.
inline void add_pairs(std::vector<Part>& parts) {
    using enum Operation;
    constexpr std::uint32_t flows = 4'000'000;
    const NamedLimit shared = least_set_up(flows, Swaps::four, Lines::shared);
    const std::vector<NamedLimit> of_one{shared};
    const std::vector<NamedLimit> of_two{shared, least_set_up(flows, Swaps::four, Lines::own),
                                         set_up_apart(flows)};
    for (unsigned repetition = 100; repetition < 107; ++repetition)
        for (const unsigned workers : {1U, 2U})
            parts.push_back({flows,
                             Order::random,
                             workers,
                             1,
                             Field::noclash,
                             {set_up, find_hit},
                             repetition,
                             workers == 1 ? of_one : of_two});
}

/// All measurements. The operations of a part share their table.
[[nodiscard]] inline std::vector<Part> programme(Extent extent) {
    using enum Operation;
    constexpr std::uint32_t million = 1'000'000;
    const std::vector all{set_up, find_hit, find_miss, churn, release};
    std::vector<Part> parts;
    if (extent == Extent::quick) {
        // One turn of all tables, else of those that may be the best.
        parts = {{million, Order::random, 1, 1, Field::everyone, {set_up, find_hit}},
                 {million, Order::random, 1, 2, Field::strongest, {set_up, find_hit}, 1},
                 {million, Order::random, 2, 1, Field::strongest, {set_up_contended}},
                 {4 * million, Order::random, 1, 2, Field::strongest, {set_up, churn}},
                 {4 * million, Order::random, 1, 1, Field::noclash, {set_up, churn}, 2}};
        for (Part& part : parts)
            if (part.workers == 1 && part.field != Field::noclash)
                part.limits = least_set_ups(part.flows);
        add_pairs(parts);
        return parts;
    }
    for (const std::uint32_t flows : {64'000U, million, 4 * million, 16 * million}) {
        const bool huge = flows > 4 * million;
        const unsigned repetitions = huge ? 1 : 3;
        for (const unsigned workers : {1U, 2U}) {
            parts.push_back({flows, Order::random, workers, repetitions, Field::everyone, all, 0,
                             workers == 1 ? least_set_ups(flows) : std::vector<NamedLimit>{}});
            // Where it takes minutes a table, only of those that may be the best.
            parts.push_back({flows, Order::key, workers, repetitions,
                             huge ? Field::strongest : Field::everyone, all});
        }
        if (!huge)
            parts.push_back(
                {flows, Order::random, 2, repetitions, Field::everyone, {set_up_contended}});
    }
    add_pairs(parts);
    return parts;
}

}  // namespace noclash::bench
