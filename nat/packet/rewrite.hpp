// SPDX-License-Identifier: Apache-2.0
#pragma once

// Translation in place. All checksums are updated incrementally, whatever the device could do: a
// packet that was damaged before it came here still shows it to the receiver. Each function takes a
// packet that passed `parse`; afterwards `parsed` describes what the packet was, not what it is.
// Nothing behind the transport header is ever read or changed [RFC 4787 REQ-10].

#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "nat/packet/checksum.hpp"
#include "nat/packet/headers.hpp"
#include "nat/packet/packet.hpp"
#include "nat/packet/translation.hpp"

namespace noclash::nat {

/// Lowers the maximum segment size that a SYN or SYN-ACK names to `most` (RFC 9293, section 3.7.1;
/// bytes of TCP payload). One that names none keeps none: then 536 holds, which fits anywhere.
/// `parsed` must be of a TCP packet; its ports may have been rewritten.
template <class Family>
void clamp_mss(const PacketView& packet, const Parsed<Family>& parsed, std::uint16_t most);

/// Rewrites addresses and ports (or the ICMP identifier) to those of `answer.inverse()`, and
/// decrements the TTL. Any protocol, but no ICMP error.
template <class Family>
void translate_any(const PacketView& packet, const Parsed<Family>& parsed,
                   const Tuple<Family>& answer);

/// One hop less; the time to live must be above 0.
template <class Family>
void decrement_ttl(const PacketView& packet);

template <>
[[gnu::always_inline]] inline void decrement_ttl<V4>(const PacketView& packet) {
    auto& ip = header<IpHeader<V4>>(packet, 0);
    assert(ip.ttl > 0);
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
void translate_any<V4>(const PacketView& packet, const Parsed<V4>& parsed, const Tuple<V4>& answer);

/// As `translate_any`; of TCP and UDP inline, and for less.
/// @tparam kind        the packet's; `other`: any other than TCP and UDP
/// @param translation  of the packet's tuple to `answer.inverse()`
template <PacketKind kind>
[[gnu::always_inline]] inline void translate(const PacketView& packet, const Parsed<V4>& parsed,
                                             const Tuple<V4>& answer,
                                             const Translation& translation) {
    constexpr bool tcp = kind == PacketKind::tcp;
    if constexpr (!tcp && kind != PacketKind::udp) return translate_any<V4>(packet, parsed, answer);
    // Once: a compiler must take what is written to a packet for what tells where the packet is.
    const PacketView segment{packet.data + parsed.l4_offset, packet.length};
    auto& ip = header<IpHeader<V4>>(packet, 0);
    --ip.ttl;
    constexpr std::uint32_t hop = checksum::Delta::of_hop().folded();
    if (translation.none) [[unlikely]] {
        ip.checksum = checksum::SumChange().apply(ip.checksum.get(), hop);
        return;
    }
    // Both ends change their places.
    const auto* const words = reinterpret_cast<const std::uint8_t*>(&answer);
    const std::uint64_t addresses = std::rotl(word_at<std::uint64_t>(words), 32);
    const std::uint32_t ports =
        std::rotl(word_at<std::uint32_t>(words + offsetof(Tuple<V4>, source_port)), 16);
    std::memcpy(reinterpret_cast<std::uint8_t*>(&ip.source), &addresses, sizeof addresses);
    std::memcpy(segment.data, &ports, sizeof ports);
    ip.checksum = translation.addresses.apply(ip.checksum.get(), hop);
    if constexpr (tcp) {
        auto& header_of_tcp = header<TcpHeader>(segment, 0);
        header_of_tcp.checksum = translation.all.apply(header_of_tcp.checksum.get());
    } else {
        auto& udp = header<UdpHeader>(segment, 0);
        if (udp.checksum.get() != Be16{})
            udp.checksum = translation.all.apply_nonzero(udp.checksum.get());
    }
}

/// The same, of a packet of any kind.
[[gnu::always_inline]] inline void translate(const PacketView& packet, const Parsed<V4>& parsed,
                                             const Tuple<V4>& answer,
                                             const Translation& translation) {
    if (parsed.kind == PacketKind::tcp) [[likely]]
        translate<PacketKind::tcp>(packet, parsed, answer, translation);
    else if (parsed.kind == PacketKind::udp)
        translate<PacketKind::udp>(packet, parsed, answer, translation);
    else
        translate_any<V4>(packet, parsed, answer);
}

}  // namespace noclash::nat
