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
    for (const std::string_view key : {"on_gone", "drain_s", "syn_proxy"})
        if (section.has(key))
            section.warn(key,
                         fmt::format("has no effect: it is about TCP connections, and `protocol` "
                                     "is {:?}",
                                     protocol_name(service.protocol)),
                         "leave it out");
}

/// Keys that mean something with others alone.
void check_syn_proxy(const Section& section, const Service& service) {
    if (section.has("syn_proxy_above") && service.syn_proxy != nat::SynProxyMode::automatic)
        section.warn("syn_proxy_above", "has no effect: `syn_proxy` is not \"auto\"",
                     "set `syn_proxy = \"auto\"`, or leave it out");
    if (section.has("syn_offer") && service.syn_proxy == nat::SynProxyMode::off)
        section.warn("syn_offer", "has no effect: `syn_proxy` is \"off\"",
                     "set `syn_proxy = \"auto\"`, or leave it out");
    if (service.syn_offer && !service.syn_offer->timestamps && section.has("syn_offer") &&
        service.syn_offer->sack && service.syn_proxy != nat::SynProxyMode::off)
        section.warn("syn_offer", "`timestamps = false`: no client gets SACK or a window scale",
                     "leave `timestamps` out, unless a backend has none");
}

}  // namespace

void check_services(const Whole& whole) {
    for (std::size_t i = 0; i < whole.services.size(); ++i) {
        const Section& section = whole.services[i];
        if (section.is_faulty()) continue;
        const Service& service = whole.config.policy.services[i];
        check_backends(section, service);
        check_keys_of_tcp(section, service);
        check_syn_proxy(section, service);
    }
}

}  // namespace noclash::dpdk
