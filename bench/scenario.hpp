// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bench/keys.hpp"
#include "engine/flow_table.hpp"

namespace noclash::bench {

/// A table gave a wrong answer. Nothing is worth measuring then.
struct WrongAnswer : std::runtime_error {
    using std::runtime_error::runtime_error;
};

inline void expect(bool right, const char* what) {
    if (!right) throw WrongAnswer(what);
}

/// One task for all tables.
struct Scenario {
    std::uint32_t flows = 0;  ///< live ones
    Order order = Order::random;
    unsigned workers = 1;
    unsigned repetition = 0;

    friend bool operator==(const Scenario&, const Scenario&) = default;

    /// Room for those whose end comes late, too, and for those whose grace period runs.
    [[nodiscard]] std::uint32_t capacity() const { return flows + flows / 8; }
    /// Created, and as many of the oldest ended, in steady state.
    [[nodiscard]] std::uint32_t churned() const { return flows / 2; }
    [[nodiscard]] std::uint32_t never_set_up() const { return flows / 4; }
};

/// The scenario's keys: those of live flows first, then those that churn brings, then those that
/// are never set up. Kept until another scenario needs others.
[[nodiscard]] inline const std::vector<FlowKeys>& keys_of(const Scenario& scenario) {
    static std::vector<FlowKeys> keys;
    static std::pair<std::uint32_t, Order> made_for{0, Order::key};
    const std::pair wanted{scenario.flows, scenario.order};
    if (made_for != wanted) {
        keys = {};
        keys = flow_keys(scenario.flows + scenario.churned() + scenario.never_set_up(),
                         scenario.order);
        made_for = wanted;
    }
    return keys;
}

/// Lookups and what they must answer; both are read in sequence.
struct Probes {
    std::vector<Tuple<V4>> tuples;
    std::vector<Found> expected;
};

inline constexpr std::uint32_t lookups = 1U << 21U;  // at least so many are timed

/// Probes for `flows[i]`, which has `keys[i]`: in both directions, all or as many as are timed.
[[nodiscard]] inline Probes hits(const std::vector<FlowKeys>& keys,
                                 const std::vector<FlowId>& flows, std::uint32_t count,
                                 Order order) {
    const Permutation mixed(std::uint64_t{count} * 2);
    const std::uint32_t size = std::min(count * 2, lookups);
    Probes probes;
    probes.tuples.reserve(size);
    probes.expected.reserve(size);
    for (std::uint32_t i = 0; i < size; ++i) {
        const auto which = order == Order::key ? i : static_cast<std::uint32_t>(mixed(i));
        const std::uint32_t flow = which / 2;
        const auto direction = static_cast<Direction>(which % 2);
        probes.tuples.push_back(direction == Direction::original ? keys[flow].original
                                                                 : keys[flow].reply);
        probes.expected.push_back({flows[flow], direction});
    }
    return probes;
}

/// Probes for keys that nobody has set up.
[[nodiscard]] inline Probes misses(const Scenario& scenario) {
    const std::vector<FlowKeys>& keys = keys_of(scenario);
    Probes probes;
    for (std::size_t i = scenario.flows + scenario.churned(); i < keys.size(); ++i) {
        for (const Tuple<V4>& tuple : {keys[i].original, keys[i].reply}) {
            if (probes.tuples.size() == lookups) return probes;
            probes.tuples.push_back(tuple);
            probes.expected.push_back({});
        }
    }
    return probes;
}

}  // namespace noclash::bench
