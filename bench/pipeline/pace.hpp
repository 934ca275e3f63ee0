// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_atomic.h>
#include <rte_cycles.h>

#include <cstdint>

#include "bench/pipeline/pace_levels.hpp"

namespace noclash::bench {

/// Whether a CPU has its core to itself. On a shared machine a neighbour, whom nobody here can see,
/// may run on the other thread of the same core: then it does half of what it does else, whatever
/// it does, for a moment or for seconds. A chain of additions, one a cycle, would not tell; as many
/// as the core can do at once do. Any thread.
class Pace {
  public:
    /// Additions a TSC cycle that do not wait for each other, on the caller's CPU just now. Takes
    /// some 2 us.
    static double sample() {
        additions_a_cycle();  // brings its code into the cache
        const double pace = additions_a_cycle();
        levels_.add(pace);
        return pace;
    }
    /// Whether that is the full pace of a CPU, as far as it was seen since the program started.
    static bool is_full(double pace) { return levels_.is_full(pace); }

  private:
    /// (One copy for all: its speed depends on where it lies.)
    [[gnu::noinline]] static double additions_a_cycle() {
        constexpr std::uint64_t turns = 2'000, chains = 6;
        std::uint64_t a = 0, b = 0, c = 0, d = 0, e = 0, f = 0;
        const std::uint64_t begun = tsc();
        for (std::uint64_t turn = 0; turn < turns; ++turn) {
            ++a, ++b, ++c, ++d, ++e, ++f;
            asm volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f));
        }
        return double{turns * chains} / static_cast<double>(tsc() - begun);
    }
    /// When all before it is done, and before all after it begins; `rte_rdtsc_precise` waits for
    /// memory alone, not for additions.
    static std::uint64_t tsc() {
        rte_rmb();
        const std::uint64_t now = rte_rdtsc();
        rte_rmb();
        return now;
    }

    static inline PaceLevels levels_;
};

}  // namespace noclash::bench
