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
#include "nat/policy/service_ports.hpp"

namespace noclash::nat {

/// A policy's services as rules that are asked before all others, and the backends of each. To
/// flows, limits and counters a service is a `dnat` rule like any other; only its target is chosen
/// from a table that can change while the policy is in force.
template <class Family>
class ServiceRules {
  public:
    using Table = BackendTable<Family>;

    /// What a first packet needs of its service, so small that those of thousands stay in a cache.
    class Head {
      public:
        Head() = default;
        Head(const Rule<Family>& rule, const Service<Family>& service,
             const ServiceBackends<Family>& backends)
            : slots_(backends.current().view().word()),
              rule_(rule.id),
              source_nat_(rule.source_nat),
              affinity_(service.affinity) {}
        /// Before any worker has the policy.
        Head& operator=(const Head& other) {
            slots_.store(other.slots_.load(std::memory_order_relaxed), std::memory_order_relaxed);
            rule_ = other.rule_;
            source_nat_ = other.source_nat_;
            affinity_ = other.affinity_;
            return *this;
        }
        Head(const Head& other) { *this = other; }
        ~Head() = default;

        /// Valid until the end of the worker's round.
        [[nodiscard]] SlotsView<Family> slots() const {
            return SlotsView<Family>(slots_.load(std::memory_order_acquire));  // (84)
        }
        [[nodiscard]] RuleId rule() const { return rule_; }
        [[nodiscard]] SourceNat source_nat() const { return source_nat_; }
        [[nodiscard]] Affinity affinity() const { return affinity_; }

      private:
        friend ServiceRules;
        std::atomic<typename SlotsView<Family>::Word> slots_{0};
        RuleId rule_ = 0;
        SourceNat source_nat_ = SourceNat::keep;
        Affinity affinity_ = Affinity::none;
    };

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
          ports_(rules_),
          heads_(services.size()),
          key_(identities.service_key()) {
        if (!ports_.is_complete())
            classifier_ = std::make_unique<RuleClassifier<Family>>(std::span(rules_));
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
        for (const Rule<Family>& rule : rules_)
            heads_[rule.service] = Head(rule, services[rule.service], *backends_[rule.service]);
        any_automatic_ = std::ranges::any_of(services, [](const Service<Family>& service) {
            return service.syn_proxy == SynProxyMode::automatic;
        });
    }

    [[nodiscard]] bool any() const { return !rules_.empty(); }
    /// Whether a SYN proxy may guard any of the services while very many connections are half open.
    [[nodiscard]] bool any_automatic() const { return any_automatic_; }
    /// Null: the packet is for no service.
    [[nodiscard]] const Rule<Family>* find(const Tuple<Family>& tuple,
                                           std::uint16_t ingress_port) const {
        if (const auto* place = ports_.find(ports_.home_of(tuple), tuple, ingress_port))
            return &rules_[place->rule()];
        return classifier_ == nullptr ? nullptr : classifier_->find(tuple, ingress_port);
    }
    // The same in parts, for who asks for many packets at once (nat/service_choice.hpp).
    [[nodiscard]] const ServicePorts<Family>& ports() const { return ports_; }
    /// For the services that are not in `ports`; null: all are.
    [[nodiscard]] const RuleClassifier<Family>* classifier() const { return classifier_.get(); }
    [[nodiscard]] const Head& head(std::size_t service) const { return heads_[service]; }
    [[nodiscard]] const typename Table::Key& key() const { return key_; }
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
    /// The backends of a service, by its place. For the thread that changes them.
    [[nodiscard]] const std::shared_ptr<const Table>& table(std::size_t service) const {
        return backends_[service]->table();
    }
    /// Gives a service, by its place, other backends. For the thread that changes them. A policy
    /// that shares the service's backends has to `follow`.
    /// @return the former table, to be kept for a grace period
    [[nodiscard]] std::shared_ptr<const Table> replace(std::size_t service,
                                                       std::shared_ptr<const Table> table) const {
        const auto word = table->view().word();
        auto former = backends_[service]->replace(std::move(table));
        heads_[service].slots_.store(word, std::memory_order_release);  // (85)
        return former;
    }
    /// Another policy may have given the service other backends, which this one has, too.
    void follow(std::size_t service) const {
        heads_[service].slots_.store(table(service)->view().word(),
                                     std::memory_order_release);  // (85)
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
            if (entry.counters == nullptr) entry.counters = make_backend_counters();
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
            rule.syn_proxy = service.syn_proxy;
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
    ServicePorts<Family> ports_;
    std::unique_ptr<const RuleClassifier<Family>> classifier_;  ///< null: `ports_` has all
    mutable std::vector<Head> heads_;                           ///< by place of the service
    const typename Table::Key key_;
    std::vector<std::shared_ptr<ServiceBackends<Family>>> backends_;  ///< by place of the service
    Rule<Family> hairpin_;
    bool any_automatic_ = false;
};

}  // namespace noclash::nat
