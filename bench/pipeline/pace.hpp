// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>
#include <rte_cycles.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>

namespace noclash::bench {

/// How fast this machine lets its CPUs run, in GHz, from time to time: on a shared one it changes
/// by a third from one minute to the next, and every row with it.
class Pace {
  public:
    /// Takes less than a millisecond.
    double sample() {
        double ghz = 0;
        for (unsigned turn = 0; turn < turns; ++turn)
            ghz = std::max(ghz, ghz_of_a_chain());
        least_ = std::min(least_, ghz);
        most_ = std::max(most_, ghz);
        return ghz;
    }

    /// Of all samples, of which there is one at least.
    [[nodiscard]] std::string words() const {
        return fmt::format(
            "the CPU ran at {:.2f} to {:.2f} GHz (a chain of additions, after each row){}", least_,
            most_, least_ < most_ * 9 / 10 ? ": rows of slow moments are slow with it" : "");
    }

  private:
    static constexpr unsigned turns = 3;
    static constexpr std::uint64_t additions = 200'000;

    /// Each addition waits for the one before, and takes one cycle.
    static double ghz_of_a_chain() {
        const std::uint64_t begun = rte_rdtsc_precise();
        std::uint64_t sum = 0;
        while (sum < additions) {
            ++sum;
            asm volatile("" : "+r"(sum));  // else the compiler knows the end
        }
        const auto cycles = static_cast<double>(rte_rdtsc_precise() - begun);
        return static_cast<double>(additions) / cycles * static_cast<double>(rte_get_tsc_hz()) /
               1e9;
    }

    double least_ = std::numeric_limits<double>::max();
    double most_ = 0;
};

}  // namespace noclash::bench
