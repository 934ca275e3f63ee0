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

/// The scenarios of one file each. Weak: a mutant's program has one of the files, and the others'
/// are null in it.
[[gnu::weak]] std::vector<Scenario> engine_scenarios();
[[gnu::weak]] std::vector<Scenario> nat_scenarios();
[[gnu::weak]] std::vector<Scenario> mapping_scenarios();
[[gnu::weak]] std::vector<Scenario> limits_scenarios();
[[gnu::weak]] std::vector<Scenario> adoption_scenarios();
[[gnu::weak]] std::vector<Scenario> syn_proxy_scenarios();

}  // namespace noclash::schedule
