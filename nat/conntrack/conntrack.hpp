// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <tuple>

#include "engine/base/clock.hpp"
#include "engine/flow.hpp"
#include "nat/conntrack/flow_marks.hpp"
#include "nat/conntrack/record_plan.hpp"
#include "nat/conntrack/sctp_state.hpp"
#include "nat/conntrack/tcp_tracking.hpp"
#include "nat/packet/packet.hpp"
#include "nat/policy/timeouts.hpp"

namespace noclash::nat {

[[nodiscard]] inline Moment expiry(std::uint64_t now_ms, std::uint32_t timeout_s) {
    return to_moment(now_ms) + timeout_s * 1000U;
}

/// The timeout of a flow of any protocol but TCP, in seconds.
[[nodiscard]] inline std::uint32_t first_timeout_s(const Timeouts& timeouts, PacketKind kind) {
    switch (kind) {
        case PacketKind::udp:
        case PacketKind::udp_lite:
            return timeouts.udp_s;
        case PacketKind::sctp:
            return timeouts.sctp_transitory_s;
        case PacketKind::other:
            return timeouts.generic_s;
        default:
            return timeouts.icmp_s;
    }
}

/// The state that a first packet puts a flow in. The packet must be one that may open a flow.
template <class Record, class Family>
[[nodiscard, gnu::always_inline]] inline Moment track_first(Record& flow, const PacketView& bytes,
                                                            const Parsed<Family>& packet,
                                                            const Timeouts& timeouts,
                                                            std::uint64_t now_ms) {
    flow.counter(Direction::original).add(packet.length);
    std::apply([](auto&... words) { (words.store(0, std::memory_order_relaxed), ...); },
               flow.memory);
    flow.protocol_word.store(0, std::memory_order_relaxed);
    flow.protocol_detail.store(0, std::memory_order_relaxed);
    if (packet.kind == PacketKind::tcp) [[likely]] {
        const TcpState state = open_tcp(flow, bytes, packet);
        flow.protocol_state.store(static_cast<std::uint8_t>(state), std::memory_order_relaxed);
        // A connection that was picked up counts as established when another segment is seen.
        return expiry(now_ms, state == TcpState::syn_sent ? timeouts.tcp_syn_sent_s
                                                          : timeouts.tcp_syn_recv_s);
    }
    const bool sctp = packet.kind == PacketKind::sctp;
    flow.protocol_state.store(sctp ? static_cast<std::uint8_t>(SctpState::opening)
                                   : static_cast<std::uint8_t>(TcpState::none),
                              std::memory_order_relaxed);
    return expiry(now_ms, first_timeout_s(timeouts, packet.kind));
}

/// Sets bits of `Flow::marks` that are not set yet; established flows only read.
template <class Record>
[[gnu::always_inline]] inline void mark(Record& flow, std::uint8_t bits) {
    if ((flow.marks.load(std::memory_order_relaxed) & bits) != bits)
        flow.marks.fetch_or(bits, std::memory_order_relaxed);
}

/// Moves the moment when the flow dies. Packets of one millisecond leave the line as it is, for
/// whichever worker has the next.
template <class Record>
[[gnu::always_inline]] inline void refresh(Record& flow, Moment expires) {
    if (flow.expires.load(std::memory_order_relaxed) != expires)
        flow.expires.store(expires, std::memory_order_relaxed);
}

/// Whether a SYN from `direction` has its tuple's flow end, and is asked anew, as the first packet
/// that it is: the flow has had its time (nobody has swept it up yet), or it is over, and the side
/// that was the server opens the next connection. (What its client opens, goes the old way.)
template <class Record>
[[nodiscard]] bool gives_way(const Record& flow, TcpState state, Direction direction,
                             TcpWindow window, std::uint64_t now_ms) {
    if (direction == Direction::reply && is_over(state, window)) return true;
    const Moment expires = flow.expires.load(std::memory_order_relaxed);
    return ms_between(to_moment(now_ms), expires) <= 0;
}

/// What a packet has moved: `Flow::protocol_state`, or of TCP its state, before and after. The same
/// when it moved nothing.
struct StateMove {
    std::uint8_t before = 0, after = 0;
};

/// Takes note of a packet of a live flow: state, refreshed timeout (both directions refresh,
/// unless told otherwise [RFC 4787 REQ-6]), counters. Anything but `none` says why the packet goes
/// no further, and then nothing has changed [field h].
/// @param move  of TCP and SCTP: becomes what just this packet has moved
template <class Record, class Family>
[[nodiscard]] DropReason track(Record& flow, Direction direction, const PacketView& bytes,
                               const Parsed<Family>& packet, const Timeouts& timeouts,
                               TcpWindow window, std::uint64_t now_ms, StateMove& move) {
    std::uint32_t timeout = timeouts.icmp_s;
    bool refreshes = true;
    if (packet.kind == PacketKind::tcp) {
        const TcpOutcome outcome = track_tcp(flow, direction, bytes, packet, window);
        if (outcome.reason != DropReason::none) return outcome.reason;
        const TcpState state = outcome.state;
        move = {static_cast<std::uint8_t>(outcome.before), static_cast<std::uint8_t>(state)};
        refreshes = outcome.refreshes;
        if (state == TcpState::established) [[likely]] {
            timeout = timeouts.tcp_established_s;
            mark(flow, flow_mark::assured);
        } else {
            timeout = timeout_s(timeouts, state);
        }
    } else if (packet.kind == PacketKind::udp || packet.kind == PacketKind::udp_lite) {
        const bool stream = (flow.marks.load(std::memory_order_relaxed) & flow_mark::replied) != 0;
        timeout = stream ? timeouts.udp_stream_s : timeouts.udp_s;
        if (stream && direction == Direction::original) mark(flow, flow_mark::assured);
        if (!timeouts.inbound_refresh) [[unlikely]]  // [RFC 7857 section 6]
            refreshes = !comes_from_outside(flow.marks.load(std::memory_order_relaxed), direction);
    } else if (packet.kind == PacketKind::sctp) {
        SctpState before{};
        const SctpState state = track_sctp(flow, packet.tcp_flags, before);
        move = {static_cast<std::uint8_t>(before), static_cast<std::uint8_t>(state)};
        // An opening that is not answered ends in time, however often it is repeated.
        refreshes = state != SctpState::opening || (packet.tcp_flags & tcp_flag::syn) == 0 ||
                    state != before;
        if (state == SctpState::established) mark(flow, flow_mark::assured);
        timeout = timeout_s(timeouts, state);
    } else if (packet.kind == PacketKind::other) {
        timeout = timeouts.generic_s;
    }
    if (direction == Direction::reply) mark(flow, flow_mark::replied);
    if (refreshes) refresh(flow, expiry(now_ms, timeout));
    flow.counter(direction).add(packet.length);
    return DropReason::none;
}
/// The same, where nobody asks what has moved.
template <class Record, class Family>
[[nodiscard]] DropReason track(Record& flow, Direction direction, const PacketView& bytes,
                               const Parsed<Family>& packet, const Timeouts& timeouts,
                               TcpWindow window, std::uint64_t now_ms) {
    StateMove move;
    return track(flow, direction, bytes, packet, timeouts, window, now_ms, move);
}

}  // namespace noclash::nat
