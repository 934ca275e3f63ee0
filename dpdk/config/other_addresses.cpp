// SPDX-License-Identifier: Apache-2.0
#include "dpdk/config/other_addresses.hpp"

#include <fmt/format.h>

#include <string_view>

namespace noclash::dpdk {

namespace {

bool holds(AddressRange range, V4Address address) {
    return range.first <= address.value.host() && address.value.host() <= range.last;
}

std::string end_text(V4Address address, std::string_view kind, std::string_view port) {
    return fmt::format("{} is the {} address of the subnet of port {:?}", to_string<V4>(address),
                       kind, port);
}

}  // namespace

OtherAddresses::OtherAddresses(const Config& config) {
    for (const RouteConfig& route : config.routes)
        routers_.emplace(route.via.value.host(), route.to);
    for (const PortConfig& port : config.ports)
        if (port.prefix_length != 0 && port.prefix_length < 31)
            subnets_.push_back({port.name, network_of(port.address, port.prefix_length),
                                broadcast_of(port.address, port.prefix_length)});
}

std::optional<std::string> OtherAddresses::router_or_subnet(AddressRange range) const {
    const auto router = routers_.lower_bound(range.first);
    if (router == routers_.end() || router->first > range.last) return subnet_end(range);
    return fmt::format("{} is the router of the route to {}",
                       to_string<V4>(V4Address::from_host(router->first)), to_text(router->second));
}

std::optional<std::string> OtherAddresses::subnet_end(AddressRange range) const {
    for (const auto& [port, network, broadcast] : subnets_) {
        if (holds(range, network)) return end_text(network, "network", port);
        if (holds(range, broadcast)) return end_text(broadcast, "broadcast", port);
    }
    return std::nullopt;
}

}  // namespace noclash::dpdk
