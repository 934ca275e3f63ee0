// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "nat/policy/backends.hpp"
#include "nat/policy/identities.hpp"
#include "nat/policy/limits_config.hpp"
#include "nat/policy/policy_config.hpp"
#include "nat/policy/reserved_ports.hpp"
#include "nat/policy/rule_classifier.hpp"
#include "nat/policy/service_rules.hpp"
#include "nat/policy/static_bindings.hpp"
#include "nat/policy/timeouts.hpp"
#include "nat/policy/untracked_rules.hpp"

namespace noclash::nat {

/// The operator's wishes, and what follows from them; routes aside. Never changed while workers go
/// by it: another policy takes its place.
template <class Family>
struct Policy : PolicyConfig<Family> {
    /// Gives each rule and pool its number.
    /// @param previous  the policy that this one will replace; null when there is none
    /// @throws std::length_error when there are more names than `identities` can hold, or more
    ///         rules than a `RuleClassifier` takes
    Policy(PolicyConfig<Family> config, const Timeouts& times, const LimitsConfig<Family>& most,
           Identities& identities, const Policy* previous)
        : PolicyConfig<Family>(identified(std::move(config), identities)),
          timeouts(times),
          limits(most),
          limits_sources(most.of_sources()),
          limits_anything(most.any()),
          maps_endpoints(std::ranges::any_of(this->rules,
                                             [](const Rule<Family>& rule) {
                                                 return rule.behavior.mapping ==
                                                        Mapping::endpoint_independent;
                                             })),
          service_rules(this->services, identities, previous),
          classifier(this->rules),
          outward(this->rules),
          bindings(this->rules),
          reserved_ports(this->rules, service_rules.rules(),
                         previous == nullptr ? nullptr : &previous->reserved_ports),
          untracked(this->rules),
          backends(this->rules, previous) {
        for (const Rule<Family>& rule : this->rules)
            number(rule);
        for (const Rule<Family>& rule : service_rules.rules())
            if (find_rule(rule.id) == nullptr) number(rule);  // one for each of its port ranges
    }
    Policy(const Policy&) = delete;
    Policy& operator=(const Policy&) = delete;

    /// The rule with this number; null when this policy has none.
    [[nodiscard]] const Rule<Family>* find_rule(RuleId id) const {
        return id < by_id_.size() ? by_id_[id] : nullptr;
    }
    /// The rule that decides about a first packet: a service, or the first of the list that
    /// matches. Null: none.
    [[nodiscard, gnu::always_inline]] const Rule<Family>* find_rule(
        const Tuple<Family>& tuple, std::uint16_t ingress_port) const {
        if (service_rules.any()) [[unlikely]]
            if (const Rule<Family>* service = service_rules.find(tuple, ingress_port))
                return service;
        return classifier.find(tuple, ingress_port);
    }
    /// The place of one of its rules in the list; of no service.
    [[nodiscard]] std::size_t place_of(const Rule<Family>& rule) const {
        return static_cast<std::size_t>(&rule - this->rules.data());
    }

    const Timeouts timeouts;
    const LimitsConfig<Family> limits;
    const bool limits_sources;                 ///< there is a limit on a source
    const bool limits_anything;                ///< or on a service
    const bool maps_endpoints;                 ///< some rule makes endpoint-independent mappings
    const ServiceRules<Family> service_rules;  ///< what `services` say, and their backends
    const RuleClassifier<Family> classifier;   ///< which of `rules` decides about a first packet
    const RuleClassifier<Family, NotRedirecting> outward;  ///< which would, were there no `dnat`
    const StaticBindings<Family> bindings;
    const ReservedPorts<Family> reserved_ports;
    const UntrackedRules<Family> untracked;
    const Backends<Family> backends;

  private:
    static PolicyConfig<Family> identified(PolicyConfig<Family> config, Identities& identities) {
        for (Rule<Family>& rule : config.rules)
            rule.id = identities.rule(rule.name);
        for (Pool<Family>& pool : config.pools) {
            pool.id = identities.pool(pool.name);
            pool.pairing = identities.pairing_of(pool.id);
        }
        return config;
    }

    void number(const Rule<Family>& rule) {
        if (rule.id >= by_id_.size()) by_id_.resize(rule.id + std::size_t{1});
        assert(by_id_[rule.id] == nullptr);  // each has a name of its own
        by_id_[rule.id] = &rule;
    }

    std::vector<const Rule<Family>*> by_id_;
};

/// All that the operator wants of packets, in one object: the policy and the routes. A worker takes
/// the current one at the beginning of each round.
template <class Family, class RouterType>
struct PolicySnapshot : Policy<Family> {
    PolicySnapshot(PolicyConfig<Family> config, const Timeouts& times,
                   const LimitsConfig<Family>& most, Identities& identities, RouterType routes,
                   const PolicySnapshot* previous = nullptr)
        : Policy<Family>(std::move(config), times, most, identities, previous),
          router(std::move(routes)) {}

    const RouterType router;
};

/// The policy and the time of one round of a worker. Passed by value, and never kept beyond the
/// round.
template <class Family>
struct Round {
    const Policy<Family>& policy;
    std::uint64_t now_ms;
};

/// The same with routes.
template <class Family, class RouterType>
struct RoutedRound {
    const PolicySnapshot<Family, RouterType>& policy;
    std::uint64_t now_ms;

    // NOLINTNEXTLINE(google-explicit-constructor): it is such a round, with more to it
    operator Round<Family>() const { return {policy, now_ms}; }
};

}  // namespace noclash::nat
