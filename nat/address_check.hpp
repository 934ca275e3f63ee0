// SPDX-License-Identifier: Apache-2.0
#pragma once

// Addresses that no packet may have that comes from outside of the gateway, beside those that are
// martian everywhere. They are asked of what opens a flow, of untracked packets and of ICMP errors;
// never of what finds its flow, whose addresses were asked then. What is refused here gets no ICMP
// error: its source is no single host, or it went to more than one (RFC 1122, section 3.2.2)
// [RFC 1812 section 4.3.2.7].

#include <cstdint>

#include "nat/packet/drop_reason.hpp"
#include "nat/packet/martian.hpp"
#include "nat/router.hpp"

namespace noclash::nat {

/// Whether a source, which is not martian, may send by the port `ingress`; `none` when it may.
/// Directed broadcasts and our own addresses never send; the rest is asked as the port is
/// configured [RFC 3704].
template <class Family, class RouterType>
[[nodiscard]] DropReason check_source(const typename Family::Address& source, std::uint16_t ingress,
                                      const RouterType& router) {
    if (router.is_broadcast(source)) return DropReason::directed_broadcast;
    if (router.is_own(source)) return DropReason::own_source;
    return router.has_way_back(source, ingress) ? DropReason::none : DropReason::reverse_path;
}

/// Whether a packet without a flow may be looked at any further; `none` when it may. Directed
/// broadcasts are not forwarded [RFC 1812 section 5.3.5].
///
/// A packet to its own sender is martian, unless it goes to a service on that address: so a load
/// balancer that has the service's address probes it [field d].
/// @param to_service  a rule gives it another destination
template <class Family, class RouterType>
[[nodiscard, gnu::noinline]] DropReason check_addresses(const Tuple<Family>& tuple,
                                                        std::uint16_t ingress,
                                                        const RouterType& router, bool to_service) {
    if (is_martian(tuple.source) || is_martian(tuple.destination)) return DropReason::bad_address;
    if (router.is_broadcast(tuple.destination)) return DropReason::directed_broadcast;
    if (tuple.source != tuple.destination)
        return check_source<Family>(tuple.source, ingress, router);
    if (!to_service) return DropReason::bad_address;
    return router.has_way_back(tuple.source, ingress) ? DropReason::none : DropReason::reverse_path;
}

}  // namespace noclash::nat
