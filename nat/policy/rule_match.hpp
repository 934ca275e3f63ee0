// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "nat/packet/packet.hpp"
#include "nat/packet/protocols.hpp"
#include "nat/policy/policy.hpp"

namespace noclash::nat {

template <class Family>
[[nodiscard]] bool within(const std::vector<Prefix<Family>>& prefixes,
                          const typename Family::Address& address) {
    return prefixes.empty() ||
           std::ranges::any_of(prefixes, [&](const auto& p) { return p.contains(address); });
}

template <class Family>
[[nodiscard]] bool matches(const Rule<Family>& rule, const Tuple<Family>& tuple,
                           std::uint16_t ingress_port) {
    if (rule.ingress_port && *rule.ingress_port != ingress_port) return false;
    if (rule.protocol && *rule.protocol != tuple.protocol) return false;
    if (rule.mapping) return rule.mapping->leaves(tuple) || rule.mapping->enters(tuple);
    if (rule.to_port && (!ip_protocol::has_ports(tuple.protocol) ||
                         !rule.to_port->contains(tuple.destination_port.host())))
        return false;
    return within<Family>(rule.from, tuple.source) && within<Family>(rule.to, tuple.destination);
}

/// The first rule that matches, or null, by reading the list: `RuleClassifier` answers the same for
/// long ones.
template <class Family>
[[nodiscard]] const Rule<Family>* first_match(std::span<const Rule<Family>> rules,
                                              const Tuple<Family>& tuple,
                                              std::uint16_t ingress_port) {
    for (const Rule<Family>& rule : rules)
        if (matches(rule, tuple, ingress_port)) return &rule;
    return nullptr;
}

}  // namespace noclash::nat
