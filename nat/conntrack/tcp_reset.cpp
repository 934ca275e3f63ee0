// SPDX-License-Identifier: Apache-2.0
#include "nat/conntrack/tcp_reset.hpp"

#include <cassert>

#include "nat/conntrack/tcp_window.hpp"

namespace noclash::nat {

template <>
void build_tcp_reset<V4>(const PacketView& segment, const Parsed<V4>& parsed,
                         std::span<std::uint8_t, bare_segment_bytes<V4>> out) {
    assert(parsed.kind == PacketKind::tcp && (parsed.tcp_flags & tcp_flag::rst) == 0);
    const TcpSegment unknown = segment_of(segment, parsed);
    TcpSegment reset;
    if (unknown.has(tcp_flag::ack)) {
        reset.sequence = unknown.acknowledgment;
        reset.flags = tcp_flag::rst;
    } else {
        reset.acknowledgment = unknown.end;
        reset.flags = tcp_flag::rst | tcp_flag::ack;
    }
    build_bare_segment<V4>(parsed.tuple.inverse(), reset, out);
}

}  // namespace noclash::nat
