// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>

#include "nat/packet/packet_context.hpp"

namespace noclash::nat {

/// The questions that the pipeline asks its router.
template <class R, class Family>
concept Router = requires(const R router, const typename Family::Address& address,
                          Hop<Family>& hop) {
    { router.route(address) } -> std::same_as<std::optional<Hop<Family>>>;
    { router.route(address, hop) } -> std::same_as<bool>;  // the same, written in place
    { router.port_address(hop.port) } -> std::same_as<typename Family::Address>;
    { router.is_own(address) } -> std::same_as<bool>;  // of a port or a pool
    // The broadcast or the network address of a port's subnet.
    { router.is_broadcast(address) } -> std::same_as<bool>;
    // Either of both: no other host has it. Asked of each first packet, for both its addresses.
    { router.is_reserved(address) } -> std::same_as<bool>;
    // Reserved, or an inside one that a rule translates to or from: a dnat target, a static
    // mapping's.
    { router.is_translated(address) } -> std::same_as<bool>;
    // Whether any port asks for the way back to a source, and whether there is one (RFC 3704).
    { router.checks_reverse_path() } -> std::same_as<bool>;
    { router.has_way_back(address, hop.port) } -> std::same_as<bool>;
};

}  // namespace noclash::nat
