// SPDX-License-Identifier: Apache-2.0
#include "dpdk/datapath/route.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <map>
#include <stdexcept>

#include "dpdk/config/values.hpp"

namespace noclash::dpdk {

namespace {

/// Subnets of two addresses (RFC 3021) and of one have hosts only.
constexpr std::uint8_t shortest_without_broadcast = 31;

}  // namespace

std::vector<Routes::Link> Routes::links_of(const Config& config) {
    std::vector<Link> links;
    for (const PortConfig& port : config.ports)
        links.push_back({{port.address, port.prefix_length}, port.mtu});
    return links;
}

bool Routes::are_of(const Config& config) const {
    return routes_ == config.routes && links_ == links_of(config);
}

Routes::Routes(const Config& config)
    : links_(links_of(config)), routes_(config.routes), table_(entries_of(config)) {}

std::vector<PrefixTable::Entry> Routes::entries_of(const Config& config) {
    targets_.resize(PrefixTable::none + 1);
    std::vector<PrefixTable::Entry> entries;
    std::map<Target, std::uint32_t> numbers;
    const auto add = [&](const Prefix<V4>& prefix, const Target& target) {
        const auto [known, is_new] =
            numbers.try_emplace(target, static_cast<std::uint32_t>(targets_.size()));
        if (is_new) targets_.push_back(target);
        entries.push_back(
            {{network_of(prefix.network, prefix.length), prefix.length}, known->second});
    };
    const auto hop_over = [&config](std::uint16_t port, V4Address next_hop) {
        return std::bit_cast<std::uint64_t>(nat::Hop<V4>{port, config.ports[port].mtu, next_hop});
    };
    for (std::size_t port = 0; port < links_.size(); ++port)
        add(links_[port].subnet, {hop_over(static_cast<std::uint16_t>(port), {}), true});
    for (const RouteConfig& route : routes_)
        add(route.to, {hop_over(route.port, route.via), false});
    return entries;
}

RouteTable::RouteTable(const Config& config, const RouteTable* previous,
                       std::span<const V4Address> retired)
    : routes_(previous != nullptr && previous->routes_->are_of(config)
                  ? previous->routes_
                  : std::make_shared<const Routes>(config)) {
    collect_translated(config);
    for (const V4Address& address : retired)
        if (!is_own(address)) retired_.push_back(address.value.wire());
    std::ranges::sort(retired_);
    for (const std::uint32_t wire : retired_)
        add_own({Be32::from_wire(wire)});
}

std::vector<V4Address> RouteTable::own_addresses() const {
    std::vector<V4Address> result;
    for (const std::uint32_t wire : own_.members())
        result.push_back({Be32::from_wire(wire)});
    return result;
}

void RouteTable::add_own(const V4Address& address) {
    own_.add(address);
    add_reserved(address);
}
void RouteTable::add_reserved(const V4Address& address) {
    reserved_.add(address);
    translated_.add(address);
}

void RouteTable::collect_translated(const Config& config) {
    for (const PortConfig& port : config.ports) {
        add_own(port.address);
        subnets_.push_back({port.address, port.prefix_length});
        reverse_path_.push_back(port.reverse_path);
        checks_reverse_path_ |= port.reverse_path != ReversePath::off;
        if (port.prefix_length >= shortest_without_broadcast) continue;
        add_reserved(network_of(port.address, port.prefix_length));
        add_reserved(broadcast_of(port.address, port.prefix_length));
    }
    for (const auto& pool : config.policy.pools)
        for (const V4Address& address : pool.addresses)
            add_own(address);
    for (const auto& rule : config.policy.rules) {
        if (rule.mapping) {
            add_own(rule.mapping->outside.address);
            translated_.add(rule.mapping->inside.address);
        }
        for (const auto& target : rule.targets)
            translated_.add(target.address);
        if (rule.action != nat::Action::dnat) continue;
        for (const Prefix<V4>& prefix : rule.to)
            if (prefix.length == 32) add_own(prefix.network);
    }
    for (const auto& service : config.policy.services) {
        add_own(service.address);
        for (const auto& backend : service.backends)
            translated_.add(backend.address);
    }
}

std::vector<V4Address> RouteTable::own_on(std::uint16_t port) const {
    constexpr std::size_t most = 256;
    std::vector<V4Address> result{subnets_[port].network};
    for (const std::uint32_t wire : own_.members()) {
        const V4Address address{Be32::from_wire(wire)};
        if (result.size() < most && address != subnets_[port].network &&
            subnets_[port].contains(address) && !is_retired(address))
            result.push_back(address);
    }
    return result;
}

bool RouteTable::is_broadcast(const V4Address& address) const {
    return std::ranges::any_of(subnets_, [&](const Prefix<V4>& subnet) {
        return subnet.length < shortest_without_broadcast && subnet.contains(address) &&
               (address == network_of(address, subnet.length) ||
                address == broadcast_of(address, subnet.length));
    });
}

bool RouteTable::has_way_back(const V4Address& source, std::uint16_t ingress) const {
    if (ingress >= reverse_path_.size()) return true;  // the gateway's own
    const ReversePath wanted = reverse_path_[ingress];
    if (wanted == ReversePath::off) return true;
    nat::Hop<V4> back;
    return route(source, back) && (wanted == ReversePath::loose || back.port == ingress);
}

}  // namespace noclash::dpdk
