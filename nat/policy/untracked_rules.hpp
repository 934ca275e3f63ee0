// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "nat/policy/rule_match.hpp"

namespace noclash::nat {

/// Which packets no flow tracks, as the rules say: nat/untracked.hpp.
template <class Family>
class UntrackedRules {
  public:
    /// A rule, as a port sees it.
    struct Entry {
        const Rule<Family>* rule;
        RuleId id;
        Tracking tracking;
        bool matches_all;
    };

    /// @param rules  outlive this
    explicit UntrackedRules(std::span<const Rule<Family>> rules) {
        for (const Rule<Family>& rule : rules) {
            any_ |= rule.tracking == Tracking::none;
            if (rule.ingress_port && *rule.ingress_port >= last_port_)
                last_port_ = static_cast<std::uint16_t>(*rule.ingress_port + 1U);
        }
        for (std::uint32_t port = 0; port <= last_port_; ++port)
            by_port_.push_back(entries_of(rules, static_cast<std::uint16_t>(port)));
    }

    /// Whether there are such rules at all.
    [[nodiscard]] bool any() const { return any_; }

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
    static Entries entries_of(std::span<const Rule<Family>> rules, std::uint16_t port) {
        Entries entries;
        std::size_t decisive = 0;
        for (const Rule<Family>& rule : rules) {
            if (rule.ingress_port && *rule.ingress_port != port) continue;
            entries.push_back({&rule, rule.id, rule.tracking, matches_all(rule)});
            if (rule.tracking == Tracking::none) decisive = entries.size();
            if (entries.back().matches_all) break;
        }
        entries.resize(decisive);
        return entries;
    }
    static bool matches_all(const Rule<Family>& rule) {
        return !rule.protocol && !rule.mapping && !rule.to_port && rule.from.empty() &&
               rule.to.empty();
    }

    /// Out of line: what it needs in registers, a port with one rule for all can do without.
    [[gnu::noinline]] static const Entry* first_match(const Entries& entries,
                                                      const Tuple<Family>& tuple,
                                                      std::uint16_t ingress_port) {
        for (const Entry& entry : entries)
            if (entry.matches_all || matches(*entry.rule, tuple, ingress_port)) return &entry;
        return nullptr;
    }

    std::vector<Entries> by_port_;
    std::uint16_t last_port_ = 0;  ///< the place of all ports that no rule names
    bool any_ = false;
};

}  // namespace noclash::nat
