// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "bench/pipeline/cases.hpp"

namespace noclash::bench {

/// Two costs, measured one after the other: the machine's pace changes meanwhile, and hits both
/// alike.
struct Pair {
    Cost first, second;

    [[nodiscard]] bool disturbed() const { return first.disturbed() || second.disturbed(); }
    /// The second's rate over the first's. Like with like: where one side has no undisturbed batch,
    /// all batches of both count.
    [[nodiscard]] double ratio() const {
        return first.undisturbed > 0 && second.undisturbed > 0
                   ? second.packets_per_us / first.packets_per_us
                   : second.packets_per_us_of_all / first.packets_per_us_of_all;
    }
};

[[nodiscard]] inline Cost median_of(const std::vector<Pair>& pairs, Cost Pair::*side) {
    std::vector<Cost> costs;
    for (const Pair& pair : pairs)
        costs.push_back(pair.*side);
    return median(std::move(costs));
}
/// Nothing, when workers who should have run together never did.
[[nodiscard]] inline std::optional<double> median_ratio(const std::vector<Pair>& pairs) {
    std::vector<double> ratios;
    for (const Pair& pair : pairs)
        if (pair.second.samples > 0) ratios.push_back(pair.ratio());
    if (ratios.empty()) return std::nullopt;
    std::sort(ratios.begin(), ratios.end());
    return ratios[ratios.size() / 2];
}

}  // namespace noclash::bench
