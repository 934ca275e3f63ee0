// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/tuple.hpp"
#include "nat/policy/policy.hpp"

namespace noclash::nat {

/// The targets of `dnat` rules, with a counter for each: connections that ended before the target
/// had said a word. A target that is in the next policy, too, keeps its counter. Any thread may
/// count.
template <class Family>
class Backends {
  public:
    /// @param previous  the policy before this one; null when there is none
    template <class Policy>
    Backends(std::span<const Rule<Family>> rules, const Policy* previous) {
        for (const Rule<Family>& rule : rules) {
            Service& service = services_.emplace_back();
            const Rule<Family>* before =
                previous == nullptr ? nullptr : previous->find_rule(rule.id);
            for (const Target<Family>& target : rule.targets) {
                auto known = before == nullptr
                                 ? nullptr
                                 : previous->backends.find(previous->place_of(*before), target);
                service.push_back({target, known ? std::move(known) : std::make_shared<Count>(0)});
            }
        }
    }

    /// @param rule   the place of the flow's rule in its list
    /// @param reply  the flow's reply tuple, whose source is the backend
    void ended_unanswered(std::size_t rule, const Tuple<Family>& reply) const {
        for (const Backend& backend : services_[rule]) {
            const Target<Family>& target = backend.target;
            if (target.address != reply.source ||
                (target.port && *target.port != reply.source_port.host()))
                continue;
            backend.unanswered->fetch_add(1, std::memory_order_relaxed);
            return;
        }
    }
    /// @param target  its place in the rule
    [[nodiscard]] std::uint64_t unanswered(std::size_t rule, std::size_t target) const {
        return services_[rule][target].unanswered->load(std::memory_order_relaxed);
    }

  private:
    using Count = std::atomic<std::uint64_t>;
    struct Backend {
        Target<Family> target;
        std::shared_ptr<Count> unanswered;
    };
    using Service = std::vector<Backend>;

    [[nodiscard]] std::shared_ptr<Count> find(std::size_t rule,
                                              const Target<Family>& target) const {
        const auto backend = std::ranges::find(services_[rule], target, &Backend::target);
        return backend == services_[rule].end() ? nullptr : backend->unanswered;
    }

    std::vector<Service> services_;  ///< by the rule's place in its list
};

}  // namespace noclash::nat
