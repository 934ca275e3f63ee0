// SPDX-License-Identifier: Apache-2.0
#include "dpdk/config/service_endpoints.hpp"

#include <iterator>

namespace noclash::dpdk {

const ServiceEndpoints::Held* ServiceEndpoints::find(const Key& key, std::uint16_t last) const {
    // Ranges of one group are apart: the last that begins in time reaches farthest.
    auto next = ranges_.upper_bound({key.address, key.protocol, key.ingress, last});
    if (next == ranges_.begin()) return nullptr;
    const auto& [other, held] = *std::prev(next);
    const bool same_group = other.address == key.address && other.protocol == key.protocol &&
                            other.ingress == key.ingress;
    return same_group && held.last >= key.first ? &held : nullptr;
}

std::optional<ServiceEndpoints::Overlap> ServiceEndpoints::overlap(const Service& service) const {
    for (const nat::PortRange range : service.ports) {
        Key key = key_of(service, range.first);
        const Held* held = find(key, range.last);
        if (service.ingress_port) {
            key.ingress = any_port;
            if (held == nullptr) held = find(key, range.last);
        }
        // A service of any port meets those of each port.
        for (std::uint16_t port = 0; !service.ingress_port && port < ports_ && held == nullptr;
             ++port) {
            key.ingress = port;
            held = find(key, range.last);
        }
        if (held != nullptr) return Overlap{held->name, range};
    }
    return std::nullopt;
}

const std::string* ServiceEndpoints::owner(const Tuple<V4>& tuple, std::uint16_t ingress) const {
    const std::uint16_t port = tuple.destination_port.host();
    for (const std::uint16_t in : {ingress, any_port})
        if (const Held* held =
                find({tuple.destination.value.host(), tuple.protocol, in, port}, port))
            return &held->name;
    return nullptr;
}

void ServiceEndpoints::insert(const Service& service) {
    for (const nat::PortRange range : service.ports)
        ranges_.insert_or_assign(key_of(service, range.first), Held{range.last, service.name});
}

void ServiceEndpoints::erase(const Service& service) {
    for (const nat::PortRange range : service.ports)
        ranges_.erase(key_of(service, range.first));
}

}  // namespace noclash::dpdk
