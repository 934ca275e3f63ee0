// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "nat/conntrack.hpp"
#include "nat/limits.hpp"

namespace noclash::nat {

/// As `track`, for a packet like nearly all: plain TCP data or acknowledgments, or UDP, after which
/// the flow is in the state that it was in before. False: nothing was done, `track` has to look.
/// Not when only outbound packets refresh (`Timeouts::inbound_refresh`).
template <class Record, class Family>
[[nodiscard, gnu::always_inline]] inline bool track_usual(Record& flow, Direction direction,
                                                          const PacketView& bytes,
                                                          const Parsed<Family>& packet,
                                                          const Timeouts& timeouts,
                                                          TcpWindow window, std::uint64_t now_ms) {
    const std::uint8_t marks = flow.marks.load(std::memory_order_relaxed);
    std::uint32_t timeout;
    if (packet.kind == PacketKind::tcp) [[likely]] {
        static_assert(flow_mark::replied == static_cast<std::uint8_t>(Direction::reply));
        const auto wanted = flow_mark::assured | static_cast<std::uint8_t>(direction);
        if ((marks & (wanted | flow_mark::half_open)) != wanted ||
            !note_plain(flow, direction, bytes, packet, window))
            return false;
        timeout = timeouts.tcp_established_s;
    } else if (packet.kind == PacketKind::udp) {
        const bool stream = (marks & flow_mark::replied) != 0;
        const bool noted =
            direction == Direction::reply ? stream : !stream || (marks & flow_mark::assured) != 0;
        if (!noted) return false;
        timeout = stream ? timeouts.udp_stream_s : timeouts.udp_s;
    } else {
        return false;
    }
    refresh(flow, expiry(now_ms, timeout));
    flow.counter(direction).add(packet.length);
    return true;
}

}  // namespace noclash::nat
