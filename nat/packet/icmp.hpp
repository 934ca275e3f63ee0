// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "nat/packet/packet.hpp"

namespace noclash::nat {

/// An error that a router reports to the sender (RFC 792, RFC 1812).
struct IcmpError {
    std::uint8_t type;
    std::uint8_t code;
    std::uint16_t mtu = 0;
};

namespace icmp_error {
inline constexpr IcmpError net_unreachable{3, 0};
inline constexpr IcmpError host_unreachable{3, 1};
inline constexpr IcmpError port_unreachable{3, 3};
inline constexpr IcmpError admin_prohibited{3, 13};
inline constexpr IcmpError ttl_exceeded{11, 0};
/// RFC 1191: what fits the next hop, in bytes of IP packet.
[[nodiscard]] constexpr IcmpError fragmentation_needed(std::uint16_t mtu) {
    return {3, 4, mtu};
}
}  // namespace icmp_error

/// No ICMP error that `build_icmp_error` makes is longer (RFC 1812, section 4.3.2.3).
inline constexpr std::size_t icmp_error_bytes = 576;

/// Writes into `out` the whole IP packet that reports `error` about `offending`, from the address
/// `from` to the sender, and returns its length. 0 when no error may be sent (RFC 1812, section
/// 4.3.2.7: about an ICMP error) or `out` is too small; `icmp_error_bytes` always suffice.
///
/// `offending` must have passed `parse`, which already refuses fragments, must not be martian, and
/// must be as it came: not yet translated, its time to live not yet decremented.
/// The caller leaves out frames that came by link-layer broadcast, directed broadcasts, and what
/// its rate limit holds back.
template <class Family>
[[nodiscard]] std::size_t build_icmp_error(const PacketView& offending,
                                           const Parsed<Family>& parsed, IcmpError error,
                                           const typename Family::Address& from,
                                           std::span<std::uint8_t> out);

/// Whether it is the one query that a gateway has to answer itself (RFC 1812, section 4.3.3.6).
template <class Family>
[[nodiscard]] bool is_echo_request(const PacketView& packet, const Parsed<Family>& parsed);

/// Turns an echo request into its reply, in place.
template <class Family>
void make_echo_reply(const PacketView& packet, const Parsed<Family>& parsed);

}  // namespace noclash::nat
