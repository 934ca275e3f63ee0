// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "nat/policy/identities.hpp"

namespace noclash::nat {

/// Connections that are half open, of each service, which is a `dnat` rule. Shared by all workers,
/// without locks.
template <class Traits>
class ServiceCounters {
  public:
    /// @param rules  how many rules may have a number
    explicit ServiceCounters(std::size_t rules) : half_open_(rules) {}

    /// Counts one more connection, unless there are `most` already.
    [[nodiscard]] bool begin(RuleId rule, std::uint32_t most) {
        std::uint32_t seen = half_open_[rule].load(std::memory_order_relaxed);
        do {
            if (seen >= most) return false;
        } while (!half_open_[rule].compare_exchange_weak(seen, seen + 1,
                                                         std::memory_order_release,  // (44)
                                                         std::memory_order_relaxed));
        return true;
    }
    void end(RuleId rule) { half_open_[rule].fetch_sub(1, std::memory_order_relaxed); }
    [[nodiscard]] std::uint32_t half_open(RuleId rule) const {
        return half_open_[rule].load(std::memory_order_acquire);  // (45)
    }

  private:
    std::vector<typename Traits::template Atomic<std::uint32_t>> half_open_;  ///< by rule
};

}  // namespace noclash::nat
