// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/tuple.hpp"
#include "nat/packet/protocols.hpp"
#include "nat/policy/policy_snapshot.hpp"
#include "nat/policy/rule_match.hpp"

namespace noclash::nat {

/// What becomes of a flow when another policy takes the place of the one that it was set up by.
enum class FlowFate : std::uint8_t {
    unchanged,  ///< its rule, target and address are those that it would have today
    lives_on,   ///< no new flow would be like it; it stays until it ends by itself
    ends,
};

/// A flow, as far as its fate depends on it.
template <class Family>
struct FlowFacts {
    Tuple<Family> original;
    Tuple<Family> reply;
    RuleId rule;
    std::uint16_t ingress_port;  ///< where a first packet would come from today
    bool address_is_own;  ///< the address that its source became still belongs to the gateway
};

/// @param ends_stale  whether flows end that would only live on
/// @param before      the policy that was in force; any flow may be older than that
template <class Family>
[[nodiscard]] FlowFate fate_of(const FlowFacts<Family>& flow, const Policy<Family>& before,
                               const Policy<Family>& now, bool ends_stale) {
    const Rule<Family>* const then = before.find_rule(flow.rule);
    const Rule<Family>* const rule = now.find_rule(flow.rule);
    const auto of_stale = [&] {
        const Rule<Family>* const said = rule != nullptr ? rule : then;
        const bool ends = ends_stale || (said != nullptr && said->on_change == OnChange::end);
        return ends ? FlowFate::ends : FlowFate::lives_on;
    };
    if (rule == nullptr || forbids(rule->action)) return of_stale();

    const bool redirected = flow.original.destination != flow.reply.source ||
                            flow.original.destination_port != flow.reply.source_port;
    const bool to_target = redirected && then != nullptr && !then->targets.empty();
    if (to_target && std::ranges::none_of(rule->targets, [&](const Target<Family>& target) {
            return target.address == flow.reply.source &&
                   (!target.port || *target.port == flow.reply.source_port.host());
        })) {
        // Whoever sends datagrams to a target that is gone is never told; a TCP connection may be
        // all that the target was kept for.
        const bool datagrams = flow.original.protocol == ip_protocol::udp ||
                               flow.original.protocol == ip_protocol::udp_lite;
        return datagrams ? FlowFate::ends : of_stale();
    }
    if (!flow.address_is_own) return of_stale();
    // What came in through a mapping never matched the rule of its mapping.
    if (then == nullptr || !matches(*then, flow.original, flow.ingress_port))
        return FlowFate::unchanged;
    const Rule<Family>* const today = now.classifier.find(flow.original, flow.ingress_port);
    return today == nullptr || forbids(today->action) ? of_stale() : FlowFate::unchanged;
}

}  // namespace noclash::nat
