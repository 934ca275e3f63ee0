// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "engine/tuple.hpp"

namespace noclash::nat {

/// A device's finding about a checksum.
enum class Checked : std::uint8_t { unknown, good, bad };

/// The bytes of one packet, from the IP header on. The pipeline reads and rewrites them in place.
/// `length` may exceed the packet by link-layer padding; it never falls short of what may be read.
struct PacketView {
    std::uint8_t* data;
    std::uint32_t length;
    Checked ip_checksum = Checked::unknown;
    Checked l4_checksum = Checked::unknown;
    /// Bytes of the largest fragment that the packet came in; 0: it came whole. No padding is left
    /// here: views are copied in whole words.
    std::uint16_t largest_fragment = 0;
};

/// TCP flag bits, as in byte 13 of the header (RFC 9293, section 3.1).
namespace tcp_flag {
inline constexpr std::uint8_t fin = 0x01, syn = 0x02, rst = 0x04, psh = 0x08, ack = 0x10,
                              urg = 0x20;
/// The flags of segments that may open, end or restart a connection.
inline constexpr std::uint8_t decisive = syn | fin | rst;
}  // namespace tcp_flag

enum class PacketKind : std::uint8_t {
    tcp,
    udp,
    icmp_request,  ///< an ICMP query: echo or timestamp request
    icmp_reply,    ///< the answer to one
    icmp_error,    ///< an ICMP error: `tuple` is the embedded packet's, as it was sent
    udp_lite,
    sctp,
    other,  ///< a protocol without ports that are known here: those of `tuple` are 0
};

/// The pipeline's knowledge of a packet. Offsets count from the IP header.
template <class Family>
struct Parsed {
    Tuple<Family> tuple;       ///< of the packet; for `icmp_error`, of the packet it quotes
    std::uint32_t length = 0;  ///< of the IP packet, in bytes, without link-layer padding
    std::uint16_t l4_offset = 0;
    PacketKind kind = PacketKind::udp;
    std::uint8_t tcp_flags = 0;  ///< 0 unless TCP; of SCTP, see nat/packet/sctp_chunks.hpp
    std::uint8_t ttl = 0;
    std::uint16_t tcp_data = 0;         ///< bytes of payload; of TCP alone
    std::uint16_t inner_offset = 0;     ///< `icmp_error`: the quoted IP header
    std::uint16_t inner_l4_offset = 0;  ///< `icmp_error`: the quoted transport header
};

/// A SYN of TCP that acknowledges nothing: it opens a connection.
template <class Family>
[[nodiscard]] bool is_opening(const Parsed<Family>& packet) {
    return packet.kind == PacketKind::tcp &&
           (packet.tcp_flags & (tcp_flag::syn | tcp_flag::ack)) == tcp_flag::syn;
}

}  // namespace noclash::nat
