// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "nat/policy/rule_classifier.hpp"

namespace noclash::nat {

/// Which packets no flow tracks, as the rules say: nat/untracked.hpp. Asked for every packet, where
/// there are such rules; so each port has the rules that it needs, as a list when they are few.
template <class Family>
class UntrackedRules {
  public:
    /// A rule, as a port sees it.
    struct Entry {
        const Rule<Family>* rule;  ///< null: the port has too many to be read
        RuleId id;
        Tracking tracking;
        bool matches_all;
    };

    /// @param rules  outlive this; fit a `RuleClassifier`
    explicit UntrackedRules(std::span<const Rule<Family>> rules) {
        std::size_t decisive = 0;
        for (const Rule<Family>& rule : rules) {
            all_.push_back({&rule, rule.id, rule.tracking, matches_all(rule)});
            if (rule.tracking == Tracking::none) decisive = all_.size();
            if (rule.ingress_port && *rule.ingress_port >= last_port_)
                last_port_ = static_cast<std::uint16_t>(*rule.ingress_port + 1U);
        }
        all_.resize(decisive);
        for (std::uint32_t port = 0; port <= last_port_; ++port)
            by_port_.push_back(entries_of(static_cast<std::uint16_t>(port)));
        space_ = space_of<AnyRule>(rules.first(decisive));
    }

    /// Whether there are such rules at all.
    [[nodiscard]] bool any() const { return !all_.empty(); }

    /// The untracked rule that decides about such a packet; null: it is tracked.
    [[nodiscard, gnu::always_inline]] const Entry* find(const Tuple<Family>& tuple,
                                                        std::uint16_t ingress_port) const {
        const Entries& entries = by_port_[std::min(ingress_port, last_port_)];
        if (entries.empty()) return nullptr;
        const Entry* entry = &entries.front();
        if (!entry->matches_all) entry = first_match(entries, tuple, ingress_port);
        return entry == nullptr || entry->tracking == Tracking::flow ? nullptr : entry;
    }

  private:
    using Entries = std::vector<Entry>;

    /// Rules that can match at the port, in their order. Behind the last untracked one, or one that
    /// matches all, no rule decides about tracking.
    [[nodiscard]] Entries entries_of(std::uint16_t port) const {
        Entries entries;
        std::size_t decisive = 0, conditions = 0;
        for (const Entry& entry : all_) {
            if (entry.rule->ingress_port && *entry.rule->ingress_port != port) continue;
            entries.push_back(entry);
            conditions += count_conditions(*entry.rule);
            if (entry.tracking == Tracking::none) decisive = entries.size();
            if (entry.matches_all) break;
        }
        entries.resize(decisive);
        if (decisive > 0 && conditions > most_listed)
            entries.assign(1, {nullptr, 0, Tracking::flow, false});
        return entries;
    }
    static bool matches_all(const Rule<Family>& rule) {
        return !rule.protocol && !rule.mapping && !rule.to_port && rule.from.empty() &&
               rule.to.empty();
    }

    /// Out of line: what it needs in registers, a port with one rule for all can do without.
    [[gnu::noinline]] const Entry* first_match(const Entries& entries, const Tuple<Family>& tuple,
                                               std::uint16_t ingress_port) const {
        if (entries.front().rule == nullptr) {
            const std::uint32_t place = space_->find(tuple, ingress_port);
            return place == no_number ? nullptr : &all_[place];
        }
        for (const Entry& entry : entries)
            if (entry.matches_all || matches(*entry.rule, tuple, ingress_port)) return &entry;
        return nullptr;
    }

    Entries all_;  ///< up to the last untracked one
    std::unique_ptr<const TupleSpace<Family>> space_;
    std::vector<Entries> by_port_;
    std::uint16_t last_port_ = 0;  ///< the place of all ports that no rule names
};

}  // namespace noclash::nat
