// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "dpdk/config/sections.hpp"
#include "dpdk/config/values.hpp"

namespace noclash::dpdk {

namespace {

std::optional<nat::MacAddress> read_mac(const Section& section) {
    constexpr std::string_view expected = "the MAC address of one station, as 02:00:5e:10:00:01";
    if (!section.require("mac", expected)) return std::nullopt;
    const auto text = section.text("mac", expected);
    if (!text) return std::nullopt;
    const auto mac = parse_mac(text->value);
    if (!mac) {
        section.fault("mac", fmt::format("{:?} is no MAC address", text->value), expected);
        return std::nullopt;
    }
    if (mac->is_group() || *mac == nat::MacAddress{}) {
        section.fault("mac",
                      fmt::format("{:?} is not the address of a single station", text->value),
                      expected);
        return std::nullopt;
    }
    return mac;
}

/// Whose address of ours it is, in words; empty when it is none.
std::string owner_of(const Config& config, V4Address address) {
    for (const auto& pool : config.policy.pools)
        if (std::ranges::find(pool.addresses, address) != pool.addresses.end())
            return fmt::format("an address of pool {:?}", pool.name);
    for (const auto& rule : config.policy.rules) {
        const bool bound = rule.mapping && rule.mapping->outside.address == address;
        const bool served = rule.action == nat::Action::dnat &&
                            std::ranges::any_of(rule.to, [&](const Prefix<V4>& prefix) {
                                return prefix.length == 32 && prefix.network == address;
                            });
        if (bound || served) return fmt::format("an address that rule {:?} serves", rule.name);
    }
    const auto& services = config.policy.services;
    const auto service = std::ranges::find(services, address, &nat::Service<V4>::address);
    if (service != services.end()) return fmt::format("the address of service {:?}", service->name);
    return {};
}

/// The port in whose subnet the neighbour is.
std::optional<std::uint16_t> find_port(const Section& section, const Config& config,
                                       V4Address address) {
    constexpr std::string_view expected = "the address of a host in the subnet of one port";
    const std::string text = to_string<V4>(address);
    for (std::size_t i = 0; i < config.ports.size(); ++i) {
        const PortConfig& port = config.ports[i];
        if (port.prefix_length == 0) continue;  // noted already
        if (!same_prefix<V4>(address, port.address, port.prefix_length)) continue;
        const bool ends =
            port.prefix_length < 31 && (address == network_of(address, port.prefix_length) ||
                                        address == broadcast_of(address, port.prefix_length));
        std::string wrong = ends ? "the first or last address of its subnet" : "";
        if (address == port.address) wrong = fmt::format("the address of port {:?}", port.name);
        if (wrong.empty()) wrong = owner_of(config, address);
        if (wrong.empty()) return static_cast<std::uint16_t>(i);
        section.fault("address", fmt::format("{} is {}", text, wrong), expected);
        return std::nullopt;
    }
    section.fault("address", fmt::format("{} lies in no port's subnet", text), expected);
    return std::nullopt;
}

void read_static_neighbor(const Section& section, Config& config) {
    section.allow_only({"address", "mac"});
    const auto mac = read_mac(section);
    constexpr std::string_view expected = "the address of a neighbour, as 10.1.0.9";
    if (!section.require("address", expected)) return;
    const auto text = section.text("address", expected);
    if (!text) return;
    const auto address = parse_v4(text->value);
    if (!address) {
        return section.fault("address", fmt::format("{:?} is no address", text->value), expected);
    }
    const auto port = find_port(section, config, *address);
    const bool twice = std::ranges::any_of(
        config.static_neighbors, [&](const auto& other) { return other.address == *address; });
    if (twice) {
        section.fault("address", fmt::format("another neighbour is {}", text->value),
                      "one [[neighbor]] for each address");
    } else if (mac && port) {
        config.static_neighbors.push_back({*address, *mac, *port});
    }
}

}  // namespace

void read_static_neighbors(const Section& top, Config& config) {
    for (const Section& section : top.tables("neighbor"))
        read_static_neighbor(section, config);
}

}  // namespace noclash::dpdk
