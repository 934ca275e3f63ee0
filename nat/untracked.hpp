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

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/base/counters.hpp"
#include "nat/forwarding.hpp"
#include "nat/packet/headers.hpp"
#include "nat/packet/martian.hpp"
#include "nat/packet/packet_context.hpp"
#include "nat/packet/rewrite.hpp"
#include "nat/policy/policy_snapshot.hpp"

namespace noclash::nat {

/// Forwards what the untracked rules say. One per worker.
template <class Family, class RouterType>
class Untracked {
  public:
    using Round = RoutedRound<Family, RouterType>;

    /// @param rules  how many may have a number
    explicit Untracked(std::size_t rules) : hits_(rules) {}

    /// Whether a rule forwards such a packet untracked.
    [[nodiscard]] static bool is_untracked(const PolicySnapshot<Family, RouterType>& policy,
                                           const Tuple<Family>& tuple, std::uint16_t ingress_port) {
        return entry_for(policy, tuple, ingress_port) != nullptr;
    }

    /// Forwards a packet that passed `parse`, if a rule has it untracked; else false. Such a packet
    /// is ready for its hop, or the verdict says why it goes nowhere. Of an ICMP error the tuple
    /// has been inverted.
    [[nodiscard, gnu::always_inline]] bool forward(PacketContext<Family>& context, Round round) {
        const auto& [policy, now_ms] = round;
        const bool is_error = context.parsed.kind == PacketKind::icmp_error;
        const Entry* const entry =
            is_error ? entry_for_error(policy, context)
                     : entry_for(policy, context.parsed.tuple, context.ingress_port);
        if (entry == nullptr) return false;
        if (!is_error && is_martian(context.parsed.tuple)) [[unlikely]]
            return false;  // and no flow will have it
        if (policy.router.checks_reverse_path() && !has_way_back(policy, context)) [[unlikely]]
            return true;
        hits_[entry->id].add();
        const bool routed = policy.router.route(
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
    [[nodiscard]] std::uint64_t rule_hits(RuleId rule) const { return hits_[rule].value(); }
    /// By all rules together.
    [[nodiscard]] std::uint64_t packets() const {
        std::uint64_t total = 0;
        for (const Counter& hits : hits_)
            total += hits.value();
        return total;
    }

  private:
    using Snapshot = PolicySnapshot<Family, RouterType>;
    using Entry = typename UntrackedRules<Family>::Entry;

    [[nodiscard, gnu::always_inline]] static const Entry* entry_for(const Snapshot& policy,
                                                                    const Tuple<Family>& tuple,
                                                                    std::uint16_t ingress_port) {
        const Entry* entry = policy.untracked.find(tuple, ingress_port);
        const bool tracked = entry == nullptr || policy.router.is_translated(tuple.source) ||
                             policy.router.is_translated(tuple.destination);
        return tracked ? nullptr : entry;
    }

    /// Own addresses and broadcasts, which no router forwards for, are never untracked.
    [[gnu::noinline]] static bool has_way_back(const Snapshot& policy,
                                               PacketContext<Family>& context) {
        const auto& ip = header<IpHeader<Family>>(context.packet, 0);
        if (policy.router.has_way_back(ip.source.get(), context.ingress_port)) return true;
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
    [[gnu::noinline]] static const Entry* entry_for_error(const Snapshot& policy,
                                                          const PacketContext<Family>& error) {
        if (entry_for(policy, error.parsed.tuple, error.ingress_port) == nullptr) return nullptr;
        return entry_for(policy, outer_tuple(error), error.ingress_port);
    }

    std::vector<Counter> hits_;  ///< by rule
};

}  // namespace noclash::nat
