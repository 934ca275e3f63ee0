// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <numeric>
#include <span>
#include <vector>

#include "bench/ports/gateway.hpp"

namespace noclash::bench {

/// How long a measurement may go on: whichever comes first.
struct Effort {
    std::size_t flows = 100'000;
    std::chrono::milliseconds time{1000};
};

/// The cost of new flows, in ns each, and the number of refused ones.
class Cost {
  public:
    /// `free` ports were there before the attempt.
    void add(const Attempt& attempt, std::uint32_t free) {
        ns_.push_back(attempt.ns);
        batch_ns_ += attempt.ns;
        if (ns_.size() % batch == 0) batches_ns_.push_back(std::exchange(batch_ns_, 0));
        visits_ += attempt.visits;
        if (attempt.error == SetupError::none) return;
        ++refused_;
        if (attempt.error == SetupError::exhausted && free > 0) ++falsely_exhausted_;
    }
    void sort() {
        std::ranges::sort(ns_);
        std::ranges::sort(batches_ns_);
    }

    [[nodiscard]] std::size_t flows() const { return ns_.size(); }
    [[nodiscard]] double mean_ns() const {
        return static_cast<double>(std::reduce(ns_.begin(), ns_.end())) /
               static_cast<double>(ns_.size());
    }
    /// The median of the means of batches: what else the machine does meanwhile falls into few
    /// batches, and would weigh on the mean of all. After `sort()`.
    [[nodiscard]] double typical_mean_ns() const {
        if (batches_ns_.size() < 3) return mean_ns();
        return static_cast<double>(batches_ns_[batches_ns_.size() / 2]) / batch;
    }
    /// After `sort()`; 0 <= share <= 1.
    [[nodiscard]] std::uint64_t quantile_ns(double share) const {
        return ns_[static_cast<std::size_t>(share * static_cast<double>(ns_.size() - 1))];
    }
    [[nodiscard]] std::size_t refused() const { return refused_; }
    [[nodiscard]] std::size_t falsely_exhausted() const { return falsely_exhausted_; }
    [[nodiscard]] double visits() const {
        return static_cast<double>(visits_) / static_cast<double>(ns_.size());
    }

  private:
    static constexpr std::size_t batch = 256;

    std::vector<std::uint64_t> ns_;
    std::vector<std::uint64_t> batches_ns_;  ///< sums
    std::uint64_t batch_ns_ = 0;             ///< of the batch that is not complete
    std::size_t visits_ = 0;
    std::size_t refused_ = 0;
    std::size_t falsely_exhausted_ = 0;
};

/// Opens one flow to each destination in turn and ends another one there, so that each stays as
/// full as it is. A refused flow ends none.
template <class P>
Cost steady(Gateway<P>& gateway, std::span<Destination> destinations, Effort effort) {
    std::mt19937 random(1);
    Cost cost;
    const auto until = std::chrono::steady_clock::now() + effort.time;
    while (cost.flows() < effort.flows && std::chrono::steady_clock::now() < until) {
        for (Destination& destination : destinations) {
            const Attempt attempt = gateway.connect(destination);
            cost.add(attempt, destination.free());
            if (attempt.error != SetupError::none) continue;
            destination.add(attempt.port, attempt.flow);
            gateway.end(destination.remove_any(random));
        }
    }
    cost.sort();
    return cost;
}

/// Opens flows by the policy itself until `used` ports are taken; one at most may be missing for
/// each that was refused. Adds what each cost.
template <class P>
void fill(Gateway<P>& gateway, Destination& destination, std::uint32_t used, Cost& cost) {
    while (destination.used() < used) {
        const Attempt attempt = gateway.connect(destination);
        cost.add(attempt, destination.free());
        if (attempt.error != SetupError::none) return;
        destination.add(attempt.port, attempt.flow);
    }
}

/// Takes ports at random, whatever the policy: some give up long before a destination is full.
template <class P>
void occupy(Gateway<P>& gateway, Destination& destination, std::uint32_t used) {
    std::vector<std::uint16_t> ports(destination.range().size());
    std::iota(ports.begin(), ports.end(), destination.range().first);
    std::ranges::shuffle(ports, std::mt19937(2));
    for (std::uint32_t i = 0; i < used; ++i)
        destination.add(ports[i], gateway.connect_from(destination, ports[i]));
}

}  // namespace noclash::bench
