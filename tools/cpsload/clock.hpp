// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_cycles.h>

#include <cstdint>

#include "tools/cpsload/settings.hpp"

namespace noclash::cpsload {

/// Nanoseconds since it was made, from the time stamp counter: a few cycles a reading. Needs a
/// running `Eal`, which has measured the counter.
class Clock {
  public:
    Clock() : begin_(rte_rdtsc()), per_cycle_((second << shift) / rte_get_tsc_hz()) {}

    [[nodiscard]] Time now() const {
        // In one multiplication it would overflow after eighteen minutes.
        const std::uint64_t cycles = rte_rdtsc() - begin_;
        return (cycles >> shift) * per_cycle_ + (((cycles & mask) * per_cycle_) >> shift);
    }

  private:
    static constexpr unsigned shift = 24;  // keeps the rate's error below 1 in 10^6
    static constexpr std::uint64_t mask = (1U << shift) - 1;

    std::uint64_t begin_;
    std::uint64_t per_cycle_;  // nanoseconds, in 2^-24
};

}  // namespace noclash::cpsload
