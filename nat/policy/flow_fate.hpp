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
    is_reset,  ///< ends, and both ends of the TCP connection are told
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

[[nodiscard]] constexpr bool carries_datagrams(std::uint8_t protocol) {
    return protocol == ip_protocol::udp || protocol == ip_protocol::udp_lite;
}

/// Whether packets of an original tuple come to the service, wherever they come from.
template <class Family>
[[nodiscard]] bool serves(const Service<Family>& service, const Tuple<Family>& original) {
    return service.address == original.destination && service.protocol == original.protocol &&
           std::ranges::any_of(service.ports, [&](PortRange ports) {
               return ports.contains(original.destination_port.host());
           });
}

/// The fate of a flow of a service whose backend the service does not have any more. A sender of
/// datagrams is never told that its backend is gone: its next one goes to another backend
/// [field f].
[[nodiscard]] constexpr FlowFate fate_of_gone(std::uint8_t protocol, OnGone on_gone) {
    if (carries_datagrams(protocol)) return FlowFate::ends;
    if (on_gone == OnGone::keep) return FlowFate::lives_on;
    return protocol == ip_protocol::tcp ? FlowFate::is_reset : FlowFate::ends;
}

/// The fate of a flow of a service as its backends are at the moment.
/// @param rule  the service, as a rule of `policy`
template <class Family>
[[nodiscard]] FlowFate fate_of(const Tuple<Family>& reply, const Rule<Family>& rule,
                               const Policy<Family>& policy) {
    const BackendTable<Family>& backends = policy.service_rules.backends_of(rule);
    const auto* entry = backends.find(reply.source, reply.source_port.host());
    if (entry == nullptr)
        return fate_of_gone(reply.protocol, policy.service_rules.service_of(rule).on_gone);
    // Datagrams have no end by which their flow would leave a backend that drains.
    const bool leaves = entry->state() != BackendState::active &&
                        backends.condition() == ServiceCondition::ok &&
                        carries_datagrams(reply.protocol);
    return leaves ? FlowFate::ends : FlowFate::unchanged;
}

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
    const bool was_service = then != nullptr && then->is_service();
    if (was_service && (rule == nullptr || !rule->is_service()))
        return fate_of_gone(flow.reply.protocol, before.service_rules.service_of(*then).on_gone);
    if (rule != nullptr && rule->is_service()) {
        const FlowFate by_backend = fate_of(flow.reply, *rule, now);
        if (by_backend != FlowFate::unchanged) return by_backend;
        const Service<Family>& service = now.service_rules.service_of(*rule);
        if (!serves(service, flow.original))  // what the client knew of it is gone
            return fate_of_gone(flow.reply.protocol, service.on_gone);
        return flow.address_is_own ? FlowFate::unchanged : of_stale();
    }
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
        return carries_datagrams(flow.original.protocol) ? FlowFate::ends : of_stale();
    }
    if (!flow.address_is_own) return of_stale();
    // What came in through a mapping never matched the rule of its mapping.
    if (then == nullptr || !matches(*then, flow.original, flow.ingress_port))
        return FlowFate::unchanged;
    const Rule<Family>* const today = now.find_rule(flow.original, flow.ingress_port);
    return today == nullptr || forbids(today->action) ? of_stale() : FlowFate::unchanged;
}

}  // namespace noclash::nat
