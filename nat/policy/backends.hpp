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
    /// @param previous  of the policy before this one; null when there is none
    Backends(std::span<const Rule<Family>> rules, const Backends* previous) {
        for (const Rule<Family>& rule : rules) {
            auto& services = services_.emplace_back();
            services.rule = rule.id;
            for (const Target<Family>& target : rule.targets) {
                auto known = previous == nullptr ? nullptr : previous->find(rule.id, target);
                services.backends.push_back(
                    {target, known ? std::move(known) : std::make_shared<Count>(0)});
            }
        }
    }

    /// @param rule   the place of the flow's rule in its list
    /// @param reply  the flow's reply tuple, whose source is the backend
    void ended_unanswered(std::size_t rule, const Tuple<Family>& reply) const {
        for (const Backend& backend : services_[rule].backends) {
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
        return services_[rule].backends[target].unanswered->load(std::memory_order_relaxed);
    }

  private:
    using Count = std::atomic<std::uint64_t>;
    struct Backend {
        Target<Family> target;
        std::shared_ptr<Count> unanswered;
    };
    struct Service {
        RuleId rule = 0;
        std::vector<Backend> backends;
    };

    [[nodiscard]] std::shared_ptr<Count> find(RuleId rule, const Target<Family>& target) const {
        const auto service = std::ranges::find(services_, rule, &Service::rule);
        if (service == services_.end()) return nullptr;
        const auto backend = std::ranges::find(service->backends, target, &Backend::target);
        return backend == service->backends.end() ? nullptr : backend->unanswered;
    }

    std::vector<Service> services_;  ///< by the rule's place in its list
};

}  // namespace noclash::nat
