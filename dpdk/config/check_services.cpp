// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "dpdk/config/checks.hpp"
#include "dpdk/config/protocol_names.hpp"
#include "nat/packet/protocols.hpp"

namespace noclash::dpdk {

namespace {

using Service = nat::Service<V4>;

/// A service that no backend takes new flows for.
void check_backends(const Section& section, const Service& service) {
    const auto rests = [](const nat::Backend<V4>& backend) {
        return backend.weight == nat::no_weight;
    };
    if (!std::ranges::all_of(service.backends, rests)) return;
    const std::string_view clients = service.no_backend == nat::NoBackend::reject
                                         ? "its clients are refused"
                                         : "its clients get no answer";
    if (service.backends.empty())
        section.warn("backends", fmt::format("the service has none: {}", clients),
                     "name one, as \"10.2.0.2:80\"");
    else
        section.warn("backends", fmt::format("all of them have weight 0: {}", clients),
                     "give one of them a `weight` of 1 at least");
}

void check_keys_of_tcp(const Section& section, const Service& service) {
    if (service.protocol == nat::ip_protocol::tcp) return;
    for (const std::string_view key : {"on_gone", "drain_s"})
        if (section.has(key))
            section.warn(key,
                         fmt::format("has no effect: it is about TCP connections, and `protocol` "
                                     "is {:?}",
                                     protocol_name(service.protocol)),
                         "leave it out");
}

}  // namespace

void check_services(const Whole& whole) {
    for (std::size_t i = 0; i < whole.services.size(); ++i) {
        const Section& section = whole.services[i];
        if (section.is_faulty()) continue;
        const Service& service = whole.config.policy.services[i];
        check_backends(section, service);
        check_keys_of_tcp(section, service);
    }
}

}  // namespace noclash::dpdk
