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
#include "tools/cpsload/verdict.hpp"

namespace noclash::cpsload {

/// Connections a second that the tester does with nothing between its two sides: no result can be
/// higher.
struct Ceiling {
    double cps = 0;             ///< 0: not measured
    bool with_devices = false;  ///< the devices' own work is part of it
};

/// All that a run found out.
struct Outcome {
    Counters counters;
    Lapse lapse;  ///< of the opening phase
    LinkCounters client;
    LinkCounters server;
    TesterLosses lost_by_tester;
    Ceiling ceiling;

    // Searches.
    std::vector<Trial> trials;
    double highest_cps = 0;  ///< that passed; 0: none did
    bool limited_by_tester = false;

    // Teardown and capacity.
    std::uint64_t held = 0;         ///< connections that were open at a time
    std::uint64_t still_alive = 0;  ///< of these, answered at the end
    Lapse closing;

    bool interrupted = false;
    std::string problem;  ///< why something of what was asked for is missing; or empty

    [[nodiscard]] Findings findings(Measure measure) const {
        return {measure,           counters,    lost_by_tester,
                limited_by_tester, interrupted, !problem.empty()};
    }
};

/// For people.
[[nodiscard]] std::string as_text(const Options& options, const Outcome& outcome);
/// For programs: one JSON object.
[[nodiscard]] std::string as_json(const Options& options, const Outcome& outcome);

}  // namespace noclash::cpsload
