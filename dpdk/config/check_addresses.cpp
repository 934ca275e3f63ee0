// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "dpdk/config/checks.hpp"
#include "dpdk/config/other_addresses.hpp"
#include "dpdk/config/own_addresses.hpp"
#include "dpdk/config/values.hpp"

namespace noclash::dpdk {

namespace {

constexpr AddressRange just(V4Address address) {
    return {address.value.host(), address.value.host()};
}

constexpr std::string_view of_nobody = "an address that no other host has";
constexpr std::string_view of_a_host = "the address of a host";

void check_pool(const Section& section, const OtherAddresses& others) {
    if (section.is_faulty()) return;
    for (const Text& text : section.texts("addresses", "")) {
        const auto range = parse_address_range(text.value);
        if (!range) continue;
        if (const auto taken = others.router_or_subnet(*range))
            section.fault_at(text.where, "addresses", *taken, of_nobody);
    }
}

void check_static(const Section& section, const nat::StaticMapping<V4>& mapping,
                  const OtherAddresses& others, const OwnAddresses& own) {
    const V4Address inside = mapping.inside.address;
    if (const auto taken = others.router_or_subnet(just(mapping.outside.address)))
        section.fault("outside", *taken, of_nobody);
    if (const auto end = others.subnet_end(just(inside))) {
        section.fault("inside", *end, of_a_host);
    } else if (const std::string* owner = own.owner(inside)) {
        section.fault("inside", fmt::format("{} is {}", to_string<V4>(inside), *owner), of_a_host);
    }
}

void check_targets(const Section& section, const OtherAddresses& others, const OwnAddresses& own) {
    for (const Text& text : section.texts("target", "")) {
        const auto target = parse_target(text.value);
        if (!target) continue;
        if (const auto end = others.subnet_end(just(target->address))) {
            section.fault_at(text.where, "target", *end, of_a_host);
        } else if (const std::string* owner = own.owner(target->address)) {
            section.fault_at(text.where, "target",
                             fmt::format("{} is {}, and nothing listens there",
                                         to_string<V4>(target->address), *owner),
                             of_a_host);
        }
    }
}

/// The address of a service is the gateway's: it answers ARP for it where it is in a port's subnet.
void check_service(const Section& section, const nat::Rule<V4>& rule, const Config& config,
                   const OtherAddresses& others) {
    for (const Prefix<V4>& to : rule.to) {
        if (to.length != V4::address_bits) continue;
        if (const auto taken = others.router_or_subnet(just(to.network))) {
            section.fault("to", *taken, "an address of the gateway");
        } else if (is_on_link(config, to.network) &&
                   std::ranges::any_of(rule.targets, [&](const nat::Target<V4>& target) {
                       return target.address == to.network;
                   })) {
            section.warn("to",
                         fmt::format("{} is a target of the rule, too: the gateway and that host "
                                     "both answer ARP for it",
                                     to_string<V4>(to.network)),
                         "a service needs an address of its own");
        }
    }
}

}  // namespace

void check_addresses(const Whole& whole) {
    const OtherAddresses others(whole.config);
    OwnAddresses own(whole.config);
    own.add(whole.config.policy.services);
    for (const Section& pool : whole.pools)
        check_pool(pool, others);
    for (std::size_t i = 0; i < whole.rules.size(); ++i) {
        const Section& section = whole.rules[i];
        const nat::Rule<V4>& rule = whole.config.policy.rules[i];
        if (section.is_faulty()) continue;
        if (rule.mapping) check_static(section, *rule.mapping, others, own);
        if (rule.action != nat::Action::dnat) continue;
        check_targets(section, others, own);
        check_service(section, rule, whole.config, others);
    }
}

}  // namespace noclash::dpdk
