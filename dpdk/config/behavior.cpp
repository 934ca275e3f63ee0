// SPDX-License-Identifier: Apache-2.0

// `mapping` and `filtering` of pools and rules, and who may not use the same outside ports.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unordered_set>

#include "dpdk/config/sections.hpp"
#include "dpdk/config/values.hpp"
#include "dpdk/config/words.hpp"

namespace noclash::dpdk {

namespace {

using namespace std::string_view_literals;
using nat::Filtering;
using nat::Mapping;
using nat::SourceNat;
using Rule = nat::Rule<V4>;
using Pool = nat::Pool<V4>;

constexpr std::string_view remedy =
    "the same `mapping`, `filtering` and `ports` in both, or `ports` that do not overlap";

bool maps_endpoints(nat::NatBehavior behavior) {
    return behavior.mapping == Mapping::endpoint_independent;
}

/// Both may give a flow of one protocol the same port of the same address.
bool share_ports(const Rule& a, const Rule& b) {
    if (a.source_nat != SourceNat::masquerade || b.source_nat != SourceNat::masquerade)
        return false;  // pools are compared with each other, and hold no port's address
    if (a.protocol && b.protocol && *a.protocol != *b.protocol) return false;
    return a.ports.overlaps(b.ports);
}

std::string what_differs(std::string_view name) {
    return fmt::format(
        "gives out the same ports as {:?}, and endpoint-independent mappings cannot share ports",
        name);
}

}  // namespace

std::string_view to_text(Mapping mapping) {
    return word_of(mapping_words, mapping);
}
std::string_view to_text(Filtering filtering) {
    return word_of(filtering_words, filtering);
}

void read_behavior(const Section& section, nat::NatBehavior& behavior) {
    if (const auto word = section.choice("mapping", mapping_words))
        behavior.mapping = static_cast<Mapping>(*word);
    else if (section.has("mapping"))
        return;
    read_word(section, "filtering", filtering_words, behavior.filtering);
    if (behavior.filtering != Filtering::address_and_port_dependent && !maps_endpoints(behavior)) {
        section.fault(
            "filtering",
            fmt::format("{:?} needs endpoint-independent mappings", to_text(behavior.filtering)),
            "`mapping = \"endpoint-independent\"` in the same section");
    }
}

void check_behavior(const Section& section, const Rule& rule, const Config& config,
                    EarlierRules& earlier) {
    if (section.is_faulty()) return;
    const bool maps = maps_endpoints(rule.behavior);
    for (const std::size_t place : maps ? earlier.masquerading : earlier.mapping) {
        const Rule& other = config.policy.rules[place];
        if (!share_ports(rule, other)) continue;
        if (rule.behavior == other.behavior && rule.ports == other.ports) continue;
        constexpr std::array keys{"mapping"sv, "filtering"sv, "ports"sv, "action"sv};
        const auto key = std::ranges::find_if(keys, [&](auto k) { return section.has(k); });
        section.fault(*key, what_differs(other.name), remedy);
        break;
    }
    if (rule.source_nat != SourceNat::masquerade) return;
    earlier.masquerading.push_back(config.policy.rules.size());
    if (maps) earlier.mapping.push_back(config.policy.rules.size());
}

void check_behavior(const Section& section, const Pool& pool, const Config& config) {
    if (section.is_faulty()) return;
    std::unordered_set<std::uint32_t> own;
    for (const Pool& other : config.policy.pools) {
        if (maps_endpoints(pool.behavior) == maps_endpoints(other.behavior)) continue;
        if (!pool.ports.overlaps(other.ports)) continue;
        if (own.empty())
            for (const V4Address address : pool.addresses)
                own.insert(address.value.host());
        const auto shared = std::ranges::find_if(
            other.addresses, [&](V4Address address) { return own.contains(address.value.host()); });
        if (shared == other.addresses.end()) continue;
        section.fault(
            section.has("mapping") ? "mapping" : "addresses",
            fmt::format("pool {:?} has {} too, with another `mapping`", other.name,
                        to_string<V4>(*shared)),
            "the same `mapping` in both, other addresses, or `ports` that do not overlap");
        return;
    }
}

}  // namespace noclash::dpdk
