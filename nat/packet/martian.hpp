// SPDX-License-Identifier: Apache-2.0
#pragma once

// Martian address filtering (RFC 1812, section 5.3.7): packets that no router may forward, whatever
// its routes say. They are asked before they open a flow, or are forwarded without one. What finds
// its flow has addresses that were asked then, or that are configured, and is not asked again.

#include <cstdint>

#include "engine/base/address.hpp"
#include "engine/tuple.hpp"

namespace noclash::nat {

/// "This network", loopback, multicast, reserved or broadcast (RFC 1812, sections 4.2.2.11 and
/// 5.3.7).
[[nodiscard]] constexpr bool is_martian(V4Address address) {
    const auto first_byte = static_cast<std::uint8_t>(address.value.host() >> 24);
    return first_byte - 1U >= 223 || first_byte == 127;
}

/// Likewise, or a packet to its own sender.
template <class Address>
[[nodiscard]] constexpr bool is_martian(const Address& source, const Address& destination) {
    return is_martian(source) || is_martian(destination) || source == destination;
}
template <class Family>
[[nodiscard]] constexpr bool is_martian(const Tuple<Family>& tuple) {
    return is_martian(tuple.source, tuple.destination);
}

}  // namespace noclash::nat
