// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace noclash::racelab {

/// Connections to one destination through one gateway address, 64,512 ports, of which a share is
/// taken already: how many of the new ones get a port. One thread; there is no race here.
struct ExhaustionOptions {
    std::uint32_t attempts = 3000;
    std::uint64_t seed = 1;
};

inline constexpr double occupancies_percent[] = {0, 50, 80, 90, 95, 99, 99.9, 100};

/// Who takes part: netfilter's `masquerade`, and the policies of bench/ports.
enum class Allocator : std::uint8_t { netfilter, ten_tries, worker_slices, noclash };
inline constexpr Allocator all_allocators[] = {Allocator::netfilter, Allocator::ten_tries,
                                               Allocator::worker_slices, Allocator::noclash};
[[nodiscard]] std::string name_of(Allocator allocator);

struct ExhaustionResult {
    std::uint64_t attempts = 0;
    std::uint64_t succeeded = 0;
    std::uint64_t free_ports = 0;  ///< at every attempt
    double tries_mean = 0;         ///< ports proposed for an attempt, taken ones and the last
};

/// Each connection that gets a port ends at random another one, so that the occupancy stays.
/// @param occupancy_percent  0 .. 100
[[nodiscard]] ExhaustionResult run_exhaustion(const ExhaustionOptions& options, Allocator allocator,
                                              double occupancy_percent);

}  // namespace noclash::racelab
