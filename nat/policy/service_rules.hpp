// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "nat/policy/backend_table.hpp"
#include "nat/policy/identities.hpp"
#include "nat/policy/policy.hpp"
#include "nat/policy/rule_classifier.hpp"
#include "nat/policy/service.hpp"

namespace noclash::nat {

/// A policy's services as rules that are asked before all others, and the backends of each. To
/// flows, limits and counters a service is a `dnat` rule like any other; only its target is chosen
/// from a table that can change while the policy is in force.
template <class Family>
class ServiceRules {
  public:
    using Table = BackendTable<Family>;

    /// Gives each service its number. A service that the policy before had, by its name, keeps what
    /// is known of its backends: health, whether they drain, counters.
    /// @param services    outlive this
    /// @param previous    the policy before this one; null when there is none
    /// @throws std::length_error when there are more names than `identities` can hold, or more
    ///         services than a `RuleClassifier` takes
    template <class Policy>
    ServiceRules(std::span<const Service<Family>> services, Identities& identities,
                 const Policy* previous)
        : services_(services),
          rules_(rules_of(services, identities)),
          classifier_(std::make_unique<RuleClassifier<Family>>(std::span(rules_))) {
        hairpin_.action = Action::dnat;
        hairpin_.source_nat = SourceNat::masquerade;
        backends_.reserve(services.size());
        for (const Service<Family>& service : services) {
            const Rule<Family>* before =
                previous == nullptr ? nullptr : previous->find_rule(identities.rule(service.name));
            const bool known = before != nullptr && before->is_service();
            backends_.push_back(
                known ? succeeding(service, previous->service_rules.shared_backends(*before),
                                   identities.service_key())
                      : std::make_shared<ServiceBackends<Family>>(std::make_shared<const Table>(
                            entries_of(service, nullptr), identities.service_key())));
        }
    }

    [[nodiscard]] bool any() const { return !rules_.empty(); }
    /// Null: the packet is for no service.
    [[nodiscard]] const Rule<Family>* find(const Tuple<Family>& tuple,
                                           std::uint16_t ingress_port) const {
        return classifier_->find(tuple, ingress_port);
    }
    /// One for each range of ports of each service.
    [[nodiscard]] std::span<const Rule<Family>> rules() const { return rules_; }
    [[nodiscard]] const Service<Family>& service_of(const Rule<Family>& rule) const {
        return services_[rule.service];
    }
    [[nodiscard]] const Table& backends_of(const Rule<Family>& rule) const {
        return backends_[rule.service]->current();
    }
    /// Whether a client's SYN on the flow of an earlier connection goes to another backend: a SYN
    /// always goes by the backends of today. Where no backend has a connection, because it is over
    /// or was never answered, they are asked in any case; where it may live, only when its backend
    /// is gone or down: else its backend answers the SYN itself (RFC 9293, section 3.10.7.4: a
    /// challenge ACK), since anybody can forge one.
    [[nodiscard]] bool leads_elsewhere(const Rule<Family>& rule, const Tuple<Family>& original,
                                       const Tuple<Family>& reply, bool may_live) const {
        const Table& table = backends_of(rule);
        const auto* now = table.find(reply.source, reply.source_port.host());
        if (may_live && now != nullptr && now->state() != BackendState::down) return false;
        // One backend may have the port of its own, another whichever was asked for.
        const auto* chosen = table.choose(original, service_of(rule).affinity);
        if (chosen == nullptr) return now != nullptr;
        if (chosen->backend.address != reply.source) return true;
        const std::uint16_t port = chosen->backend.port;
        return (port == 0 ? original.destination_port.host() : port) != reply.source_port.host();
    }
    /// By the place of the service. For the thread that changes backends.
    [[nodiscard]] ServiceBackends<Family>& changeable(std::size_t service) const {
        return *backends_[service];
    }
    [[nodiscard]] const std::shared_ptr<ServiceBackends<Family>>& shared_backends(
        const Rule<Family>& rule) const {
        return backends_[rule.service];
    }
    /// How the source becomes one of ours towards a backend on the link that the packet came by:
    /// the answer would go past us, and a host drops what has its own source.
    [[nodiscard]] const Rule<Family>& hairpin() const { return hairpin_; }

    /// The backends of a service as its configuration has them, with what is known of those that
    /// were there before.
    /// @param before  null: nothing is known
    [[nodiscard]] static std::vector<typename Table::Entry> entries_of(
        const Service<Family>& service, const Table* before) {
        std::vector<typename Table::Entry> entries;
        entries.reserve(service.backends.size());
        for (const Backend<Family>& backend : service.backends) {
            typename Table::Entry& entry = entries.emplace_back();
            const auto* known = before == nullptr ? nullptr : before->find_exactly(backend);
            if (known != nullptr) entry = *known;
            entry.backend = backend;
            if (entry.counters == nullptr) entry.counters = std::make_shared<BackendCounters>();
        }
        return entries;
    }

  private:
    static std::vector<Rule<Family>> rules_of(std::span<const Service<Family>> services,
                                              Identities& identities) {
        std::vector<Rule<Family>> rules;
        for (std::size_t place = 0; place < services.size(); ++place) {
            const Service<Family>& service = services[place];
            Rule<Family> rule;
            rule.name = service.name;
            rule.id = identities.rule(service.name);
            rule.ingress_port = service.ingress_port;
            rule.protocol = service.protocol;
            rule.to = {{service.address, Family::address_bits}};
            rule.action = Action::dnat;
            rule.source_nat = service.source_nat;
            rule.pool = service.pool;
            rule.service = static_cast<std::uint32_t>(place);
            for (const PortRange range : service.ports) {
                rule.to_port = range;
                rules.push_back(rule);
            }
        }
        return rules;
    }

    static std::shared_ptr<ServiceBackends<Family>> succeeding(
        const Service<Family>& service, const std::shared_ptr<ServiceBackends<Family>>& before,
        const typename Table::Key& key) {
        const Table& table = *before->table();
        if (std::ranges::equal(table.entries(), service.backends, {}, &Table::Entry::backend))
            return before;
        return std::make_shared<ServiceBackends<Family>>(
            std::make_shared<const Table>(entries_of(service, &table), key));
    }

    std::span<const Service<Family>> services_;
    std::vector<Rule<Family>> rules_;
    std::unique_ptr<const RuleClassifier<Family>> classifier_;
    std::vector<std::shared_ptr<ServiceBackends<Family>>> backends_;  ///< by place of the service
    Rule<Family> hairpin_;
};

}  // namespace noclash::nat
