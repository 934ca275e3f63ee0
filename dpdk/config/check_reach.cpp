// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "dpdk/config/checks.hpp"
#include "dpdk/config/values.hpp"

namespace noclash::dpdk {

namespace {

/// Whether the configuration as a whole can be asked where an address is: all ports and routes are
/// known.
bool routes_are_known(const Whole& whole) {
    const auto fit = [](const Section& section) { return !section.is_faulty(); };
    return std::ranges::all_of(whole.ports, fit) && std::ranges::all_of(whole.routes, fit);
}

/// All addresses that routes lead to. Rules and routes may both be many, so no rule reads them all.
class Routed {
  public:
    explicit Routed(const Config& config) : config_(config) {
        for (const RouteConfig& route : config.routes)
            ranges_.push_back({route.to.network.value.host(),
                               broadcast_of(route.to.network, route.to.length).value.host()});
        std::ranges::sort(ranges_, {}, &AddressRange::first);
        std::uint32_t last = 0;
        for (AddressRange& range : ranges_)
            last = range.last = std::max(last, range.last);
    }

    [[nodiscard]] bool contains(V4Address address) const {
        if (is_on_link(config_, address)) return true;
        const std::uint32_t host = address.value.host();
        const auto next = std::ranges::upper_bound(ranges_, host, {}, &AddressRange::first);
        return next != ranges_.begin() && host <= (next - 1)->last;
    }

  private:
    const Config& config_;
    std::vector<AddressRange> ranges_;  ///< each reaches as far as any before it
};

constexpr std::string_view expected_route =
    "a host in a port's subnet, or a [[route]] that leads to it";

std::string no_route(V4Address address) {
    return fmt::format("no route leads to {}", to_string<V4>(address));
}

void check_rule(const Section& section, const nat::Rule<V4>& rule, const Routed& routed) {
    if (rule.mapping && !routed.contains(rule.mapping->inside.address))
        section.fault("inside", no_route(rule.mapping->inside.address), expected_route);
    if (rule.action != nat::Action::dnat) return;
    for (const Text& text : section.texts("target", "")) {
        const auto target = parse_target(text.value);
        if (target && !routed.contains(target->address))
            section.fault_at(text.where, "target", no_route(target->address), expected_route);
    }
}

/// Without a router, nobody can send to an address that is in nobody's subnet, unless each host has
/// a route of its own. With one, it is the router that needs a route to the gateway.
constexpr std::string_view advice_outside =
    "use addresses of such a subnet, or make sure that the hosts outside have a route to them via "
    "the gateway";

std::string in_no_subnet(V4Address address) {
    return fmt::format(
        "{} is in no port's subnet, and there is no [[route]] to a router that "
        "could send to it",
        to_string<V4>(address));
}

void check_pool(const Section& section, const Config& config) {
    for (const Text& text : section.texts("addresses", "")) {
        const auto range = parse_address_range(text.value);
        if (!range) continue;
        for (const std::uint32_t end : {range->first, range->last}) {
            const V4Address address = V4Address::from_host(end);
            if (is_on_link(config, address)) continue;
            section.warn_at(text.where, "addresses", in_no_subnet(address), advice_outside);
            break;
        }
    }
}

/// Services outlive their backends, and routes to these may be added later: no fault.
void check_service(const Section& section, const nat::Service<V4>& service, const Config& config,
                   const Routed& routed) {
    if (config.routes.empty() && !is_on_link(config, service.address))
        section.warn("address", in_no_subnet(service.address), advice_outside);
    std::vector<std::size_t> lost;
    for (std::size_t i = 0; i < service.backends.size(); ++i)
        if (!routed.contains(service.backends[i].address)) lost.push_back(i);
    if (lost.empty()) return;
    std::string what = no_route(service.backends[lost.front()].address);
    if (lost.size() > 1) what += fmt::format(", nor to {} more of the backends", lost.size() - 1);
    section.warn_at(section.elements("backends")[lost.front()].where(), "backends", what,
                    expected_route);
}

/// A route that no packet takes.
void check_route(const Section& section, const Config& config) {
    const auto text = section.text("to", "");
    const auto prefix = text ? parse_address_with_length(text->value, std::nullopt) : std::nullopt;
    if (!prefix || prefix->length == 0) return;
    if (!usable_by_host(prefix->address) &&
        !usable_by_host(broadcast_of(prefix->address, prefix->length))) {
        section.warn("to", fmt::format("no packet is forwarded to {}", text->value),
                     "leave the route out");
        return;
    }
    for (const PortConfig& port : config.ports) {
        if (prefix->length <= port.prefix_length ||
            !same_prefix<V4>(prefix->address, port.address, port.prefix_length))
            continue;
        section.warn("to",
                     fmt::format("{} is a part of the subnet of port {:?}, whose hosts are reached "
                                 "without a router",
                                 text->value, port.name),
                     "leave the route out, unless these hosts are really behind it");
    }
}

}  // namespace

void check_reachability(const Whole& whole) {
    const Config& config = whole.config;
    for (std::size_t i = 0; i < whole.ports.size(); ++i)
        if (!whole.ports[i].is_faulty() && config.ports[i].prefix_length == V4::address_bits)
            whole.ports[i].warn(
                "address", "a subnet of one address: the port has no neighbours",
                "give it the length of its subnet, as /24, or /31 for one neighbour");
    if (!routes_are_known(whole)) return;
    for (const Section& section : whole.routes)
        check_route(section, config);
    const Routed routed(config);
    for (std::size_t i = 0; i < whole.rules.size(); ++i) {
        const Section& section = whole.rules[i];
        if (section.is_faulty()) continue;
        const nat::Rule<V4>& rule = config.policy.rules[i];
        check_rule(section, rule, routed);
        if (rule.mapping && config.routes.empty() &&
            !is_on_link(config, rule.mapping->outside.address))
            section.warn("outside", in_no_subnet(rule.mapping->outside.address), advice_outside);
    }
    for (std::size_t i = 0; i < whole.services.size(); ++i)
        if (!whole.services[i].is_faulty())
            check_service(whole.services[i], config.policy.services[i], config, routed);
    if (!config.routes.empty()) return;
    for (const Section& section : whole.pools)
        if (!section.is_faulty()) check_pool(section, config);
}

}  // namespace noclash::dpdk
