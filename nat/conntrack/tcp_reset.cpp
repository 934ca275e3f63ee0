// SPDX-License-Identifier: Apache-2.0
#include "nat/conntrack/tcp_reset.hpp"

#include <cassert>
#include <cstring>

#include "nat/conntrack/tcp_window.hpp"
#include "nat/packet/checksum.hpp"
#include "nat/packet/headers.hpp"

namespace noclash::nat {

template <>
void build_tcp_reset<V4>(const PacketView& segment, const Parsed<V4>& parsed,
                         std::span<std::uint8_t, tcp_reset_bytes<V4>> out) {
    assert(parsed.kind == PacketKind::tcp && (parsed.tcp_flags & tcp_flag::rst) == 0);
    constexpr std::uint8_t ttl = 64;
    static_assert(tcp_reset_bytes<V4> == sizeof(IpHeader<V4>) + sizeof(TcpHeader));
    IpHeader<V4> ip{};
    ip.version_and_length = 0x45;
    ip.total_length = Be16::from_host(tcp_reset_bytes<V4>);
    ip.fragment = Be16::from_host(IpHeader<V4>::dont_fragment);  // Lets id be 0 (RFC 6864).
    ip.ttl = ttl;
    ip.protocol = ip_protocol::tcp;
    ip.source = parsed.tuple.destination;
    ip.destination = parsed.tuple.source;
    std::memcpy(out.data(), &ip, sizeof ip);
    ip.checksum = checksum::finish(checksum::sum(out.first(sizeof ip)));
    std::memcpy(out.data(), &ip, sizeof ip);

    const TcpSegment unknown = segment_of(segment, parsed);
    TcpHeader tcp{};
    tcp.source_port = parsed.tuple.destination_port;
    tcp.destination_port = parsed.tuple.source_port;
    tcp.data_offset = sizeof(TcpHeader) / 4 << 4;
    if (unknown.has(tcp_flag::ack)) {
        tcp.sequence = Be32::from_host(unknown.acknowledgment);
        tcp.flags = tcp_flag::rst;
    } else {
        tcp.acknowledgment = Be32::from_host(unknown.end);
        tcp.flags = tcp_flag::rst | tcp_flag::ack;
    }
    const auto bytes = out.subspan(sizeof ip);
    std::memcpy(bytes.data(), &tcp, sizeof tcp);
    tcp.checksum = checksum::finish(checksum::sum(
        bytes, checksum::pseudo_header<V4>(parsed.tuple.destination, parsed.tuple.source,
                                           ip_protocol::tcp, sizeof tcp)));
    std::memcpy(bytes.data(), &tcp, sizeof tcp);
}

}  // namespace noclash::nat
