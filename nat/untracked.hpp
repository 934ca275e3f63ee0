// SPDX-License-Identifier: Apache-2.0
#pragma once

// # Untracked forwarding
//
// A rule with `track = false` forwards without a flow (netfilter's NOTRACK). Flow tracking asks
// rules once a connection, and remembers; here nothing is remembered, so the rules are asked for
// each packet, and each direction needs a rule of its own. What is left is a router: time to live,
// route, MTU, neighbour. No transport checksum is summed, for no state can suffer from it.
//
// A packet of a flow that is translated must not get past its translation (invariant 6). Its
// untranslated tuple is what rules match anyway: what the first rule for it says of its first
// packet, it says of all. Its translated tuple has an address that the gateway translates to or
// from, and such a packet is never untracked, whatever rules say (`Router::is_translated`). Three
// things are left, each closed where it arises:
//
// * An ICMP error concerns the flow of the packet that it quotes, while rules match the error
//   itself, by its outer header. So both must be untracked: the error, and what the quoted packet's
//   receiver would answer with (`entry_for_error`).
// * A mapping lets strangers open flows to an inside host, whose answers have neither end
//   translated yet. A flow whose answers are to be translated, and would be forwarded untracked, is
//   not set up (`SlowPath::set_up`).
// * A fragment has no tuple: `parse` refuses it, and its packet comes back whole.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/base/counters.hpp"
#include "nat/forwarding.hpp"
#include "nat/packet/headers.hpp"
#include "nat/packet/martian.hpp"
#include "nat/packet/packet_context.hpp"
#include "nat/packet/rewrite.hpp"
#include "nat/policy/rule_match.hpp"

namespace noclash::nat {

/// The untracked rules, and what they do. One per worker.
template <class Family, class RouterType>
class Untracked {
  public:
    /// Both outlive it.
    Untracked(const PolicyConfig<Family>& policy, const RouterType& router)
        : policy_(policy), router_(router), hits_(policy.rules.size()) {
        for (const Rule<Family>& rule : policy.rules) {
            any_ |= rule.tracking == Tracking::none;
            if (rule.ingress_port && *rule.ingress_port >= last_port_)
                last_port_ = static_cast<std::uint16_t>(*rule.ingress_port + 1U);
        }
        for (std::uint32_t port = 0; port <= last_port_; ++port)
            by_port_.push_back(entries_of(static_cast<std::uint16_t>(port)));
    }

    /// Whether there are such rules at all.
    [[nodiscard]] bool any() const { return any_; }

    /// The rule that forwards such a packet untracked; null: it is tracked.
    [[nodiscard]] const Rule<Family>* rule_for(const Tuple<Family>& tuple,
                                               std::uint16_t ingress_port) const {
        const Entry* const entry = entry_for(tuple, ingress_port);
        return entry == nullptr ? nullptr : entry->rule;
    }

    /// Forwards a packet that passed `parse`, if a rule has it untracked; else false. Such a packet
    /// is ready for its hop, or the verdict says why it goes nowhere. Of an ICMP error the tuple
    /// has been inverted.
    [[nodiscard, gnu::always_inline]] bool forward(PacketContext<Family>& context) {
        const bool is_error = context.parsed.kind == PacketKind::icmp_error;
        const Entry* const entry = is_error ? entry_for_error(context)
                                            : entry_for(context.parsed.tuple, context.ingress_port);
        if (entry == nullptr) return false;
        if (!is_error && is_martian(context.parsed.tuple)) [[unlikely]]
            return false;  // and no flow will have it
        if (router_.checks_reverse_path() && !has_way_back(context)) [[unlikely]]
            return true;
        entry->hits->add();
        const bool routed = router_.route(
            is_error ? outer_tuple(context).destination : context.parsed.tuple.destination,
            context.hop);
        context.verdict.outcome = Outcome::transmit;
        if (!routed || !fits(context)) [[unlikely]] {
            context.verdict = routable(context, routed);
            if (!context.verdict.transmits()) {
                if (is_error) context.verdict = Verdict::drop(context.verdict.reason);
                return true;
            }
        }
        decrement_ttl<Family>(context.packet);
        return true;
    }

    /// Packets that came to be forwarded by a rule, whatever became of them.
    [[nodiscard]] std::uint64_t rule_hits(std::size_t rule) const { return hits_[rule].value(); }
    /// By all rules together.
    [[nodiscard]] std::uint64_t packets() const {
        std::uint64_t total = 0;
        for (const Counter& hits : hits_)
            total += hits.value();
        return total;
    }

  private:
    /// A rule, as a port sees it.
    struct Entry {
        const Rule<Family>* rule;
        Counter* hits;
        Tracking tracking;
        bool matches_all;
    };
    using Entries = std::vector<Entry>;

    /// Rules that can match at the port, in their order. Behind the last untracked one, or one that
    /// matches all, no rule decides about tracking.
    Entries entries_of(std::uint16_t port) {
        Entries entries;
        std::size_t decisive = 0;
        for (std::size_t i = 0; i < policy_.rules.size(); ++i) {
            const Rule<Family>& rule = policy_.rules[i];
            if (rule.ingress_port && *rule.ingress_port != port) continue;
            entries.push_back({&rule, &hits_[i], rule.tracking, matches_all(rule)});
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

    [[nodiscard, gnu::always_inline]] const Entry* entry_for(const Tuple<Family>& tuple,
                                                             std::uint16_t ingress_port) const {
        const Entries& entries = by_port_[std::min(ingress_port, last_port_)];
        if (entries.empty()) return nullptr;
        const Entry* entry = &entries.front();
        if (!entry->matches_all) entry = first_match(entries, tuple, ingress_port);
        const bool tracked = entry == nullptr || entry->tracking == Tracking::flow ||
                             router_.is_translated(tuple.source) ||
                             router_.is_translated(tuple.destination);
        return tracked ? nullptr : entry;
    }
    /// Out of line: what it needs in registers, a port with one rule for all can do without.
    [[gnu::noinline]] static const Entry* first_match(const Entries& entries,
                                                      const Tuple<Family>& tuple,
                                                      std::uint16_t ingress_port) {
        for (const Entry& entry : entries)
            if (entry.matches_all || matches(*entry.rule, tuple, ingress_port)) return &entry;
        return nullptr;
    }

    /// Own addresses and broadcasts, which no router forwards for, are never untracked.
    [[gnu::noinline]] bool has_way_back(PacketContext<Family>& context) const {
        const auto& ip = header<IpHeader<Family>>(context.packet, 0);
        if (router_.has_way_back(ip.source.get(), context.ingress_port)) return true;
        context.verdict = Verdict::drop(DropReason::reverse_path);
        return false;
    }

    static Tuple<Family> outer_tuple(const PacketContext<Family>& error) {
        const auto& outer = header<IpHeader<Family>>(error.packet, 0);
        Tuple<Family> tuple{};
        tuple.zone = error.parsed.tuple.zone;
        tuple.protocol = Family::icmp_protocol;
        tuple.source = outer.source.get();
        tuple.destination = outer.destination.get();
        return tuple;
    }
    [[gnu::noinline]] const Entry* entry_for_error(const PacketContext<Family>& error) const {
        if (entry_for(error.parsed.tuple, error.ingress_port) == nullptr) return nullptr;
        return entry_for(outer_tuple(error), error.ingress_port);
    }

    const PolicyConfig<Family>& policy_;
    const RouterType& router_;
    std::vector<Counter> hits_;  ///< by rule
    std::vector<Entries> by_port_;
    std::uint16_t last_port_ = 0;  ///< the place of all ports that no rule names
    bool any_ = false;
};

}  // namespace noclash::nat
