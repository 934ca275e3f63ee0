// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tools/cpsload/settings.hpp"

namespace noclash::cpsload {

struct SearchOptions {
    double from_cps = 1000;
    double to_cps = 4'000'000;
    double max_loss = 0;      ///< share of the connections
    double precision = 0.03;  ///< of the rate
    Time trial = 3 * second;
    Time pause = second;
    std::uint32_t attempts = 1;  ///< trials of a rate, of which one has to pass
};

/// One rate that a search tried.
struct Trial {
    double wanted_cps = 0;
    double opened_cps = 0;
    double loss = 0;  ///< share of the connections
    bool passed = false;
    /// The tester opened as many as it should have, or no packet that it lost itself decided.
    bool attained = true;
    std::uint64_t lost_by_tester = 0;  ///< packets
    std::string why_not;
};

/// Looks for the highest rate that passes: upwards in doublings until one fails, then between the
/// highest that passed and the lowest that failed, until they are within `precision`.
///
/// `attempt(rate)` runs one trial; nothing: it was interrupted, and the search ends.
/// @returns the rate that the highest passing trial reached, 0 when none passed
[[nodiscard]] double search(const SearchOptions& options,
                            const std::function<std::optional<Trial>(double)>& attempt);

/// Whether the search ended where it did because of packets that the tester itself lost: they
/// decided about the lowest rate above the highest that passed.
[[nodiscard]] bool limited_by_tester(const std::vector<Trial>& trials);

}  // namespace noclash::cpsload
