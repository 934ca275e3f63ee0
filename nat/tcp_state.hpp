// SPDX-License-Identifier: Apache-2.0
#pragma once

// The life of a TCP connection as a gateway in its middle sees it: netfilter's states and names.
// Which side closed first is not kept: FIN_WAIT means "one side has finished", whichever it was.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/tuple.hpp"
#include "nat/packet.hpp"
#include "nat/timeouts.hpp"

namespace noclash::nat {

enum class TcpState : std::uint8_t {
    none,         ///< no flow yet
    syn_sent,     ///< SYN seen
    syn_recv,     ///< SYN-ACK seen
    established,  ///< both sides acknowledged
    fin_wait,     ///< FIN of one side seen
    close_wait,   ///< and acknowledged
    last_ack,     ///< FIN of both sides seen
    time_wait,    ///< and acknowledged
    close,        ///< RST seen
    syn_sent2,    ///< SYN of both sides seen: simultaneous open
    count,
    invalid = count,  ///< (only from `next_state`) the segment is not allowed
};

inline constexpr std::size_t tcp_states = static_cast<std::size_t>(TcpState::count);

/// As conntrack prints them.
inline constexpr std::array<std::string_view, tcp_states> tcp_state_names{
    "NONE",       "SYN_SENT", "SYN_RECV",  "ESTABLISHED", "FIN_WAIT",
    "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE",       "SYN_SENT2"};

[[nodiscard]] constexpr std::string_view to_string(TcpState state) {
    return tcp_state_names[static_cast<std::size_t>(state)];
}

/// What a segment means to the state machine.
enum class TcpEvent : std::uint8_t { syn, syn_ack, fin, ack, rst, count };

/// `flags` must be a combination that `parse` lets pass.
[[nodiscard]] constexpr TcpEvent tcp_event(std::uint8_t flags) {
    if ((flags & tcp_flag::rst) != 0) return TcpEvent::rst;
    if ((flags & tcp_flag::syn) != 0) {
        return (flags & tcp_flag::ack) != 0 ? TcpEvent::syn_ack : TcpEvent::syn;
    }
    return (flags & tcp_flag::fin) != 0 ? TcpEvent::fin : TcpEvent::ack;
}

namespace tcp_table {

// Short names, so that a row of the table is a line of the page. The columns stand in this order.
inline constexpr TcpState ss = TcpState::syn_sent, sr = TcpState::syn_recv,
                          es = TcpState::established, fw = TcpState::fin_wait,
                          cw = TcpState::close_wait, la = TcpState::last_ack,
                          tw = TcpState::time_wait, cl = TcpState::close, s2 = TcpState::syn_sent2,
                          xx = TcpState::invalid;

using Row = std::array<TcpState, tcp_states>;
using Rows = std::array<Row, static_cast<std::size_t>(TcpEvent::count)>;

// clang-format off
inline constexpr std::array<Rows, 2> next{{
    // From the side that opened the flow.
    //  none ss  sr  es  fw  cw  la  tw  cl  s2
    {{
        // SYN opens the flow, or is sent again. On a live connection nothing changes: the peer
        // answers with a challenge ACK (RFC 5961, section 4). On a finished one it opens anew.
        {ss, ss, sr, es, fw, cw, ss, ss, ss, s2},
        // SYN-ACK comes from this side only when both sides opened (RFC 9293, section 3.5).
        {xx, xx, sr, xx, xx, xx, xx, xx, xx, sr},
        // FIN: first one side, then both; seen a second time, it may be a copy of the first.
        {xx, xx, fw, fw, la, la, la, tw, cl, xx},
        // ACK completes the opening, and acknowledges FINs. It never opens a flow.
        {xx, xx, es, es, cw, cw, tw, tw, cl, xx},
        // RST ends whatever there is; the flow stays for its timeout [RFC 7857 section 2.2].
        {xx, cl, cl, cl, cl, cl, cl, cl, cl, cl},
    }},
    // From the other side.
    //  none ss  sr  es  fw  cw  la  tw  cl  s2
    {{
        // SYN that crosses ours is a simultaneous open [RFC 5382 REQ-2]; later this side opens
        // nothing.
        {xx, s2, xx, xx, xx, xx, xx, xx, xx, s2},
        // SYN-ACK answers the SYN; later ones are copies that the opener has to answer again.
        {xx, sr, sr, es, fw, cw, la, tw, cl, sr},
        // FIN as above; this side may finish before the opener's first ACK is seen.
        {xx, xx, fw, fw, la, la, la, tw, cl, xx},
        // ACK to a mere SYN tells the opener of an old connection, and makes it send RST
        // (RFC 9293, section 3.5.1).
        {xx, ss, sr, es, cw, cw, tw, tw, cl, s2},
        // RST refuses or ends.
        {xx, cl, cl, cl, cl, cl, cl, cl, cl, cl},
    }},
}};
// clang-format on

}  // namespace tcp_table

/// The state after a segment with `flags` in `direction`, `TcpState::invalid` when the state does
/// not allow it. `state` must not be `invalid`.
[[nodiscard]] constexpr TcpState next_state(TcpState state, Direction direction,
                                            std::uint8_t flags) {
    return tcp_table::next[static_cast<std::size_t>(direction)][static_cast<std::size_t>(
        tcp_event(flags))][static_cast<std::size_t>(state)];
}

/// Both sides have finished, or one was reset: a SYN opens the connection anew.
[[nodiscard]] constexpr bool is_over(TcpState state) {
    return state == TcpState::last_ack || state == TcpState::time_wait || state == TcpState::close;
}

/// How long a flow in `state` (not `none` nor `invalid`) lives without a segment, in seconds.
[[nodiscard]] std::uint32_t timeout_s(const Timeouts& timeouts, TcpState state);

}  // namespace noclash::nat
