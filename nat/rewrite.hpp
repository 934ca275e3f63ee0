// SPDX-License-Identifier: Apache-2.0
#pragma once

// Translation in place. All checksums are updated incrementally, whatever the device could do: a
// packet that was damaged before it came here still shows it to the receiver. Each function takes a
// packet that passed `parse`; afterwards `parsed` describes what the packet was, not what it is.
// Nothing behind the transport header is ever read or changed [RFC 4787 REQ-10].

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "nat/checksum.hpp"
#include "nat/headers.hpp"
#include "nat/packet.hpp"

namespace noclash::nat {

/// Addresses and ports (or the ICMP identifier) become those of `to`. Not for ICMP errors.
template <class Family>
void rewrite(const PacketView& packet, const Parsed<Family>& parsed, const Tuple<Family>& to);

/// Lowers the maximum segment size that a SYN or SYN-ACK names to `most` (RFC 9293, section 3.7.1;
/// bytes of TCP payload). One that names none keeps none: then 536 holds, which fits anywhere.
/// `parsed` must be of a TCP packet; its ports may have been rewritten.
template <class Family>
void clamp_mss(const PacketView& packet, const Parsed<Family>& parsed, std::uint16_t most);

/// Both in one: `rewrite`, unless `to` is the packet's own tuple, and `decrement_ttl`.
template <class Family>
void rewrite_and_forward(const PacketView& packet, const Parsed<Family>& parsed,
                         const Tuple<Family>& to);
/// The same, whatever the protocol: inlined, only TCP and UDP are.
template <class Family>
void rewrite_and_forward_any(const PacketView& packet, const Parsed<Family>& parsed,
                             const Tuple<Family>& to);

/// One hop less; the time to live must be above 0.
template <class Family>
void decrement_ttl(const PacketView& packet);

template <>
[[gnu::always_inline]] inline void decrement_ttl<V4>(const PacketView& packet) {
    auto& ip = header<IpHeader<V4>>(packet, 0);
    --ip.ttl;
    ip.checksum = checksum::Delta::of_hop().apply(ip.checksum.get());
}

/// Translates an ICMP error [RFC 5508 REQ-4] [RFC 5508 REQ-5]: the quoted packet becomes `quoted`,
/// its IP checksum and, as far as it is quoted, its transport checksum with it; the error itself
/// goes from `source` to `destination`. `quoted` keeps the protocol. Lengths and extensions stay as
/// they are [RFC 4884].
template <class Family>
void rewrite_icmp_error(const PacketView& packet, const Parsed<Family>& parsed,
                        const Tuple<Family>& quoted, const typename Family::Address& source,
                        const typename Family::Address& destination);

template <>
void rewrite_and_forward_any<V4>(const PacketView& packet, const Parsed<V4>& parsed,
                                 const Tuple<V4>& to);

template <>
[[gnu::always_inline]] inline void rewrite_and_forward<V4>(const PacketView& packet,
                                                           const Parsed<V4>& parsed,
                                                           const Tuple<V4>& to) {
    if (parsed.kind != PacketKind::tcp && parsed.kind != PacketKind::udp) [[unlikely]]
        return rewrite_and_forward_any<V4>(packet, parsed, to);
    auto& ip = header<IpHeader<V4>>(packet, 0);
    std::uint8_t* const addresses = packet.data + offsetof(IpHeader<V4>, source);
    std::uint8_t* const ports = packet.data + parsed.l4_offset;
    const auto* const wanted = reinterpret_cast<const std::uint8_t*>(&to);
    const auto old_addresses = word_at<std::uint64_t>(addresses);
    const auto new_addresses = word_at<std::uint64_t>(wanted);
    const auto old_ports = word_at<std::uint32_t>(ports);
    const auto new_ports = word_at<std::uint32_t>(wanted + offsetof(Tuple<V4>, source_port));

    checksum::Delta in_header = checksum::Delta::of_hop();
    if (old_addresses != new_addresses || old_ports != new_ports) [[likely]] {
        checksum::Delta covered;
        covered.replace(old_addresses, new_addresses);
        in_header.add(covered);
        covered.replace(old_ports, new_ports);
        std::memcpy(addresses, &new_addresses, sizeof new_addresses);
        std::memcpy(ports, &new_ports, sizeof new_ports);
        if (parsed.kind == PacketKind::tcp) [[likely]] {
            auto& tcp = header<TcpHeader>(packet, parsed.l4_offset);
            tcp.checksum = covered.apply(tcp.checksum.get());
        } else {
            auto& udp = header<UdpHeader>(packet, parsed.l4_offset);
            if (udp.checksum.get() != Be16{})
                udp.checksum = covered.apply_nonzero(udp.checksum.get());
        }
    }
    --ip.ttl;
    ip.checksum = in_header.apply(ip.checksum.get());
}

}  // namespace noclash::nat
