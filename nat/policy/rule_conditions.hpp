// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "engine/tuple.hpp"
#include "nat/policy/policy.hpp"

namespace noclash::nat {

/// Which port a condition is about.
enum class PortCondition : std::uint8_t {
    none,               ///< any packet, with ports or without
    destination_range,  ///< the destination port, of packets that have one
    source_exact,       ///< of a static mapping's inside endpoint
    destination_exact,  ///< of its outside endpoint
};

/// Conditions that hold together: what a rule says for one `from` and one `to` prefix, or for one
/// direction of its static mapping. A rule is one or more of them, and matches when any does.
template <class Family>
struct Conditions {
    std::optional<std::uint16_t> ingress_port;
    std::optional<std::uint8_t> protocol;
    Prefix<Family> from, to;
    PortCondition port = PortCondition::none;
    PortRange range{0, 65535};  ///< of `destination_range`; an exact port is its first
};

/// What a static mapping's inside endpoint sends, or what is sent to its outside endpoint.
enum class BindingSide : std::uint8_t { leaves, enters };

template <class Family>
[[nodiscard]] Conditions<Family> conditions_of(const Rule<Family>& rule, BindingSide side) {
    const bool leaves = side == BindingSide::leaves;
    const Target<Family>& end = leaves ? rule.mapping->inside : rule.mapping->outside;
    Conditions<Family> conditions{rule.ingress_port, rule.protocol, {}, {}};
    (leaves ? conditions.from : conditions.to) = {end.address, Family::address_bits};
    if (!end.port) return conditions;
    conditions.port = leaves ? PortCondition::source_exact : PortCondition::destination_exact;
    conditions.range = {*end.port, *end.port};
    return conditions;
}

/// How many of them a rule is.
template <class Family>
[[nodiscard]] std::size_t count_conditions(const Rule<Family>& rule) {
    const auto count = [](const auto& prefixes) { return prefixes.empty() ? 1 : prefixes.size(); };
    return rule.mapping ? 2 : count(rule.from) * count(rule.to);
}

/// Calls `each(conditions)`: any of them is the rule.
template <class Family, class Each>
void for_each_conditions(const Rule<Family>& rule, Each&& each) {
    if (rule.mapping) {
        each(conditions_of(rule, BindingSide::leaves));
        each(conditions_of(rule, BindingSide::enters));
        return;
    }
    const Prefix<Family> anywhere{};
    const auto or_anywhere = [&](const std::vector<Prefix<Family>>& prefixes) {
        return prefixes.empty() ? std::span(&anywhere, 1) : std::span(prefixes);
    };
    Conditions<Family> conditions{rule.ingress_port, rule.protocol, {}, {}};
    if (rule.to_port) {
        conditions.port = PortCondition::destination_range;
        conditions.range = *rule.to_port;
    }
    for (const Prefix<Family>& from : or_anywhere(rule.from)) {
        for (const Prefix<Family>& to : or_anywhere(rule.to)) {
            conditions.from = from;
            conditions.to = to;
            each(conditions);
        }
    }
}

}  // namespace noclash::nat
