// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "engine/clock.hpp"
#include "engine/flow.hpp"
#include "nat/packet.hpp"
#include "nat/tcp_state.hpp"
#include "nat/timeouts.hpp"

namespace noclash::nat {

[[nodiscard]] inline Moment expiry(std::uint64_t now_ms, std::uint32_t timeout_s) {
    return to_moment(now_ms) + timeout_s * 1000U;
}

/// The state that a first packet puts a flow in. The packet must be one that may open a flow.
template <class Record>
[[nodiscard]] Moment track_first(Record& flow, PacketKind kind, std::uint32_t length,
                                 const Timeouts& timeouts, std::uint64_t now_ms) {
    flow.counter(Direction::original).add(length);
    for (auto& word : flow.memory)
        word.store(0, std::memory_order_relaxed);
    const TcpState state = kind == PacketKind::tcp ? TcpState::syn_sent : TcpState::none;
    flow.protocol_state.store(static_cast<std::uint8_t>(state), std::memory_order_relaxed);
    if (kind == PacketKind::tcp) return expiry(now_ms, timeout_s(timeouts, state));
    return expiry(now_ms, kind == PacketKind::udp ? timeouts.udp_s : timeouts.icmp_s);
}

template <class Record>
[[nodiscard]] TcpState tcp_state(const Record& flow) {
    return static_cast<TcpState>(flow.protocol_state.load(std::memory_order_relaxed));
}

/// Moves the flow's TCP state; `invalid` when the segment is not allowed (then nothing changed).
/// Two workers may have a segment of either direction at once: one goes first.
template <class Record>
[[nodiscard]] TcpState track_tcp(Record& flow, Direction direction, std::uint8_t tcp_flags) {
    std::uint8_t seen = flow.protocol_state.load(std::memory_order_relaxed);
    for (;;) {
        const TcpState next = next_state(static_cast<TcpState>(seen), direction, tcp_flags);
        if (next == TcpState::invalid || static_cast<std::uint8_t>(next) == seen) return next;
        if (flow.protocol_state.compare_exchange_weak(seen, static_cast<std::uint8_t>(next),
                                                      std::memory_order_relaxed))
            return next;
    }
}

/// Sets bits of `Flow::marks` that are not set yet; established flows only read.
template <class Record>
void mark(Record& flow, std::uint8_t bits) {
    if ((flow.marks.load(std::memory_order_relaxed) & bits) != bits)
        flow.marks.fetch_or(bits, std::memory_order_relaxed);
}

/// Takes note of a packet of a live flow: state, refreshed timeout (both directions refresh
/// [RFC 4787 REQ-6]), counters. False when the flow's state does not allow the packet [field h].
template <class Record, class Family>
[[nodiscard, gnu::always_inline]] inline bool track(Record& flow, Direction direction,
                                                    const Parsed<Family>& packet,
                                                    const Timeouts& timeouts,
                                                    std::uint64_t now_ms) {
    std::uint32_t timeout = timeouts.icmp_s;
    if (packet.kind == PacketKind::tcp) {
        const TcpState state = track_tcp(flow, direction, packet.tcp_flags);
        if (state == TcpState::invalid) return false;
        if (state == TcpState::established) [[likely]] {
            timeout = timeouts.tcp_established_s;
            mark(flow, flow_mark::assured);
        } else {
            timeout = timeout_s(timeouts, state);
        }
    } else if (packet.kind == PacketKind::udp) {
        const bool stream = (flow.marks.load(std::memory_order_relaxed) & flow_mark::replied) != 0;
        timeout = stream ? timeouts.udp_stream_s : timeouts.udp_s;
        if (stream && direction == Direction::original) mark(flow, flow_mark::assured);
    }
    if (direction == Direction::reply) mark(flow, flow_mark::replied);
    // Packets of one millisecond leave the line as it is, for whichever worker has the next.
    const Moment expires = expiry(now_ms, timeout);
    if (flow.expires.load(std::memory_order_relaxed) != expires)
        flow.expires.store(expires, std::memory_order_relaxed);
    flow.counter(direction).add(packet.length);
    return true;
}

}  // namespace noclash::nat
