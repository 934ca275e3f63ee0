// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "bench/racelab/dns.hpp"
#include "bench/racelab/exhaustion.hpp"
#include "bench/racelab/storm.hpp"

namespace noclash::racelab {

struct StormRow {
    StormOptions options;
    Gateway gateway{};
    StormResult result;
};
struct DnsRow {
    DnsOptions options;
    Resolver resolver{};
    DnsResult result;
};
struct ExhaustionRow {
    Allocator allocator{};
    double occupancy_percent = 0;
    ExhaustionResult result;
};

/// All measurements, scenario by scenario; one that was not asked for is empty.
struct Results {
    std::uint64_t seed = 0;
    std::vector<StormRow> storm;
    std::vector<DnsRow> dns;
    std::vector<ExhaustionRow> exhaustion;
};

enum class Extent : std::uint8_t { quick, full };

/// The cases of the storm: `base` first, for both protocols; then, around it, thread counts against
/// distances in step, and thread counts against rates for both schedules; UDP for two threads only.
/// None comes twice.
[[nodiscard]] std::vector<StormOptions> storm_cases(const StormOptions& base, Extent extent);

/// Contradictions among the results, or to the project's claims, in words; empty when all is well:
///
/// * every connection is accounted for, and no two that were delivered share a tuple;
/// * noclash loses none, duplicates none, and refuses none while a port is free;
/// * netfilter loses as many of a storm as it counts in `insert_failed`, and at distance 0 only
///   those whose search for a port gave up;
/// * Linux today loses no query of a pair, and what is full refuses everybody.
[[nodiscard]] std::vector<std::string> faults_of(const Results& results);

}  // namespace noclash::racelab
