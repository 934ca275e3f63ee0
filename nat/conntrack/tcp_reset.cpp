// SPDX-License-Identifier: Apache-2.0
#include "nat/conntrack/tcp_reset.hpp"

#include <cassert>

#include "nat/conntrack/tcp_window.hpp"

namespace noclash::nat {

template <>
OwnSegment<V4> build_tcp_reset<V4>(const PacketView& segment, const Parsed<V4>& parsed) {
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
    return {parsed.tuple.inverse(), reset};
}

}  // namespace noclash::nat
