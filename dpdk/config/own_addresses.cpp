// SPDX-License-Identifier: Apache-2.0
#include "dpdk/config/own_addresses.hpp"

#include <fmt/format.h>

namespace noclash::dpdk {

OwnAddresses::OwnAddresses(const Config& config) {
    for (const PortConfig& port : config.ports) {
        if (port.prefix_length == 0) continue;
        owners_.push_back(fmt::format("the gateway's own address on port {:?}", port.name));
        add(port.address);
    }
    for (const auto& rule : config.policy.rules) {
        if (!rule.mapping) continue;
        owners_.push_back(fmt::format("the outside address of rule {:?}", rule.name));
        add(rule.mapping->outside.address);
    }
    for (const auto& pool : config.policy.pools) {
        owners_.push_back(fmt::format("an address of pool {:?}", pool.name));
        for (const V4Address& address : pool.addresses)
            add(address);
    }
}

void OwnAddresses::add(const std::vector<nat::Service<V4>>& services) {
    for (const auto& service : services) {
        owners_.push_back(fmt::format("the address of service {:?}", service.name));
        add(service.address);
    }
}

}  // namespace noclash::dpdk
