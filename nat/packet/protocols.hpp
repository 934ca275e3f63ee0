// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace noclash::nat {

/// IP protocol numbers (IANA).
namespace ip_protocol {
inline constexpr std::uint8_t hop_by_hop = 0, icmp = 1, igmp = 2, ip_in_ip = 4, tcp = 6, udp = 17,
                              ipv6 = 41, gre = 47, esp = 50, ah = 51, icmp6 = 58, sctp = 132,
                              udp_lite = 136, reserved = 255;

/// Whose ports are known here. Of ICMP queries the identifier stands for one, which nobody can ask
/// for by number.
[[nodiscard]] constexpr bool has_ports(std::uint8_t protocol) {
    return protocol == tcp || protocol == udp || protocol == sctp || protocol == udp_lite;
}

/// Translated by address alone: a flow for each (protocol, source, destination), whatever is
/// inside. Not what never crosses a router (IGMP), nor what is no protocol.
[[nodiscard]] constexpr bool is_portless(std::uint8_t protocol) {
    return !has_ports(protocol) && protocol != icmp && protocol != icmp6 && protocol != igmp &&
           protocol != hop_by_hop && protocol != reserved;
}
}  // namespace ip_protocol

}  // namespace noclash::nat
