// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "tests/schedule/events.hpp"

namespace noclash::schedule {

/// The report on one run.
struct RunReport {
    std::uint64_t steps = 0;
    std::uint64_t fingerprint = 0;
    const char* strategy = "";
    Events events;
};

enum class Tracing : std::uint8_t { off, on };

/// A program for a few workers on a small table, with everything that has to be so checked at every
/// step. `run` returns only when nothing was wrong.
struct Scenario {
    const char* name;
    const char* idea;
    std::function<RunReport(std::uint64_t seed, Tracing tracing)> run;
    std::vector<Event> has_to_see;  ///< over some hundred seeds
    unsigned share = 4;             ///< of the seeds asked for, in quarters
};

/// A mutant's program has one file of scenarios: the lists of the others are null in it.
#ifdef NOCLASH_ONE_FILE_OF_SCENARIOS
#define NOCLASH_SCENARIOS [[gnu::weak]] std::vector<Scenario>
#else
#define NOCLASH_SCENARIOS std::vector<Scenario>
#endif

/// The scenarios of one file each.
NOCLASH_SCENARIOS engine_scenarios();
NOCLASH_SCENARIOS nat_scenarios();
NOCLASH_SCENARIOS mapping_scenarios();
NOCLASH_SCENARIOS limits_scenarios();
NOCLASH_SCENARIOS adoption_scenarios();

}  // namespace noclash::schedule
