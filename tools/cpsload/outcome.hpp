// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/cpsload/counters.hpp"
#include "tools/cpsload/link.hpp"
#include "tools/cpsload/options.hpp"
#include "tools/cpsload/runner.hpp"
#include "tools/cpsload/search.hpp"

namespace noclash::cpsload {

/// All that a run found out.
struct Outcome {
    Counters counters;
    Lapse lapse;  ///< of the opening phase
    LinkCounters client;
    LinkCounters server;
    double ceiling_cps = 0;  ///< of the tester itself; 0: not measured

    // Of searches.
    std::vector<Trial> trials;
    double highest_cps = 0;  ///< that passed; 0: none did

    // Of teardown and capacity.
    std::uint64_t held = 0;         ///< connections that were open at a time
    std::uint64_t still_alive = 0;  ///< of these, answered at the end
    Lapse closing;

    bool interrupted = false;
    std::string problem;  ///< why something of what was asked for is missing; or empty

    /// Everything was done, and nothing was lost, duplicated or mistranslated. A search loses
    /// connections on purpose: it only must not have damaged or duplicated any.
    [[nodiscard]] bool fine(Measure measure) const;
};

/// For people.
[[nodiscard]] std::string as_text(const Options& options, const Outcome& outcome);
/// For programs: one JSON object.
[[nodiscard]] std::string as_json(const Options& options, const Outcome& outcome);

}  // namespace noclash::cpsload
