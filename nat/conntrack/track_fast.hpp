// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "nat/conntrack/conntrack.hpp"

namespace noclash::nat {

/// The timeouts and the window mode that uneventful packets need, computed once a burst.
struct FastTracking {
    /// @param suffices  false: something else has to look at each packet, uneventful or not
    FastTracking(const Timeouts& timeouts, TcpWindow mode, std::uint64_t now_ms, bool suffices)
        : tcp_expires(expiry(now_ms, timeouts.tcp_established_s)),
          udp_expires(expiry(now_ms, timeouts.udp_s)),
          udp_stream_expires(expiry(now_ms, timeouts.udp_stream_s)),
          window(mode),
          may_suffice(suffices) {}

    Moment tcp_expires;
    Moment udp_expires;
    Moment udp_stream_expires;
    TcpWindow window;
    bool may_suffice;
};

/// As `track`, for a packet like nearly all: plain TCP data or acknowledgments, or UDP, after which
/// the flow is in the state that it was in before. False: nothing was done, `track` has to look.
/// Not for use when only outbound packets refresh (`Timeouts::inbound_refresh`).
/// @tparam kind  the packet's
template <PacketKind kind, class Record, class Family>
[[nodiscard, gnu::always_inline]] inline bool track_fast(Record& flow, Direction direction,
                                                         const PacketView& bytes,
                                                         const Parsed<Family>& packet,
                                                         const FastTracking& now) {
    const std::uint8_t marks = flow.marks.load(std::memory_order_relaxed);
    if constexpr (kind == PacketKind::tcp) {
        static_assert(flow_mark::replied == static_cast<std::uint8_t>(Direction::reply));
        const auto wanted = flow_mark::assured | static_cast<std::uint8_t>(direction);
        if ((marks & (wanted | flow_mark::half_open)) != wanted ||
            !note_plain(flow, direction, bytes, packet, now.window))
            return false;
        refresh(flow, now.tcp_expires);
    } else if constexpr (kind == PacketKind::udp) {
        const bool stream = (marks & flow_mark::replied) != 0;
        const bool noted =
            direction == Direction::reply ? stream : !stream || (marks & flow_mark::assured) != 0;
        if (!noted) return false;
        refresh(flow, stream ? now.udp_stream_expires : now.udp_expires);
    } else {
        return false;
    }
    flow.counter(direction).add(packet.length);
    return true;
}

}  // namespace noclash::nat
