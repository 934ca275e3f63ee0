// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/tuple.hpp"
#include "nat/policy/policy.hpp"

namespace noclash::nat {

/// What is counted of each service, which is a `dnat` rule: connections that are half open, and of
/// each of its backends those that ended before the backend had said a word. Shared by all workers,
/// without locks.
template <class Family, class Traits>
class ServiceCounters {
  public:
    explicit ServiceCounters(std::span<const Rule<Family>> rules)
        : rules_(rules), half_open_(rules.size()) {
        std::size_t backends = 0;
        for (const Rule<Family>& rule : rules) {
            first_backend_.push_back(backends);
            backends += rule.targets.size();
        }
        unanswered_ = std::vector<Atomic<std::uint64_t>>(backends);
    }

    /// Counts one more connection, unless there are `most` already.
    [[nodiscard]] bool begin(std::size_t rule, std::uint32_t most) {
        std::uint32_t seen = half_open_[rule].load(std::memory_order_relaxed);
        do {
            if (seen >= most) return false;
        } while (!half_open_[rule].compare_exchange_weak(seen, seen + 1,
                                                         std::memory_order_release,  // (44)
                                                         std::memory_order_relaxed));
        return true;
    }
    void end(std::size_t rule) { half_open_[rule].fetch_sub(1, std::memory_order_relaxed); }
    [[nodiscard]] std::uint32_t half_open(std::size_t rule) const {
        return half_open_[rule].load(std::memory_order_acquire);  // (45)
    }

    /// A connection ended without an answer. @param reply  its reply tuple, which names the backend
    void ended_unanswered(std::size_t rule, const Tuple<Family>& reply) {
        const auto& targets = rules_[rule].targets;
        const auto target = std::ranges::find_if(targets, [&](const Target<Family>& one) {
            return one.address == reply.source &&
                   (!one.port || *one.port == reply.source_port.host());
        });
        if (target == targets.end()) return;
        const auto number = static_cast<std::size_t>(target - targets.begin());
        unanswered_[first_backend_[rule] + number].fetch_add(1, std::memory_order_relaxed);
    }
    /// Of the backend that is the rule's target with this number.
    [[nodiscard]] std::uint64_t unanswered(std::size_t rule, std::size_t target) const {
        return unanswered_[first_backend_[rule] + target].load(std::memory_order_relaxed);
    }

  private:
    template <class T>
    using Atomic = typename Traits::template Atomic<T>;

    std::span<const Rule<Family>> rules_;
    std::vector<Atomic<std::uint32_t>> half_open_;  ///< by rule
    std::vector<std::size_t> first_backend_;        ///< by rule: where its targets' counters begin
    std::vector<Atomic<std::uint64_t>> unanswered_;
};

}  // namespace noclash::nat
