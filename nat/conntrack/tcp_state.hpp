// SPDX-License-Identifier: Apache-2.0
#pragma once

// The life of a TCP connection as a gateway in its middle sees it: netfilter's states and names.
// Flags decide how a connection opens. How it closes, flags do not prove: segments are lost,
// repeated and reordered. So from the first FIN on the state follows from numbers:
// nat/conntrack/tcp_closing.hpp.

#include <array>
#include <atomic>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/tuple.hpp"
#include "nat/packet/packet.hpp"
#include "nat/policy/timeouts.hpp"

namespace noclash::nat {

enum class TcpState : std::uint8_t {
    none,         ///< no flow yet
    syn_sent,     ///< SYN seen
    syn_recv,     ///< SYN-ACK seen
    established,  ///< both sides acknowledged
    fin_wait,     ///< FIN of one side seen
    close_wait,   ///< and acknowledged
    last_ack,     ///< FIN of both sides seen
    time_wait,    ///< and both acknowledged: the connection is over
    close,        ///< RST seen
    syn_sent2,    ///< SYN of both sides seen: simultaneous open
    count,
    invalid = count,  ///< (only from `next_state`) the segment is not allowed
    by_fins,  ///< (only from `next_state`) what both sides' FINs say: nat/conntrack/tcp_closing.hpp
};

inline constexpr std::size_t tcp_states = static_cast<std::size_t>(TcpState::count);

/// As conntrack prints them.
inline constexpr std::array<std::string_view, tcp_states> tcp_state_names{
    "NONE",       "SYN_SENT", "SYN_RECV",  "ESTABLISHED", "FIN_WAIT",
    "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE",       "SYN_SENT2"};

[[nodiscard]] constexpr std::string_view to_string(TcpState state) {
    return tcp_state_names[static_cast<std::size_t>(state)];
}

/// The kind of a segment, as the state machine sees it.
enum class TcpEvent : std::uint8_t { syn, syn_ack, fin, ack, rst, count };

/// `flags` must be a combination that `parse` lets pass.
[[nodiscard]] constexpr TcpEvent tcp_event(std::uint8_t flags) {
    if ((flags & tcp_flag::rst) != 0) return TcpEvent::rst;
    if ((flags & tcp_flag::syn) != 0) {
        return (flags & tcp_flag::ack) != 0 ? TcpEvent::syn_ack : TcpEvent::syn;
    }
    return (flags & tcp_flag::fin) != 0 ? TcpEvent::fin : TcpEvent::ack;
}

/// The content of `Flow::protocol_state` of TCP connections: the state in the low half of the byte;
/// above it whose FIN was seen, and whether a new incarnation may begin
/// (nat/reuse/incarnations.hpp). These bits are set only in states between the opening and the end.
/// The highest bit stays for the life of the flow: the gateway has answered the client's SYN in the
/// backend's place (nat/syn_proxy/). Since it is part of the byte, established flows without it pay
/// nothing for those with it.
class TcpProgress {
  public:
    explicit constexpr TcpProgress(std::uint8_t bits) : bits_(bits) {}
    /// The progress of a connection that has no FIN.
    explicit constexpr TcpProgress(TcpState state) : bits_(static_cast<std::uint8_t>(state)) {}

    [[nodiscard]] constexpr std::uint8_t bits() const { return bits_; }
    [[nodiscard]] constexpr TcpState state() const {
        return static_cast<TcpState>(bits_ & state_bits);
    }
    [[nodiscard]] constexpr bool has_fin(Direction sender) const {
        return (bits_ & fin_bit(sender)) != 0;
    }
    [[nodiscard]] constexpr bool has_incarnation() const { return (bits_ & incarnation) != 0; }
    [[nodiscard]] constexpr bool is_proxied() const { return (bits_ & proxied) != 0; }
    /// A client waits for its backend, whose answer is not there yet.
    [[nodiscard]] constexpr bool is_proxied_opening() const {
        return is_proxied() && state() == TcpState::syn_sent;
    }

    [[nodiscard]] constexpr TcpProgress with_fin(Direction sender, bool seen) const {
        return with(fin_bit(sender), seen);
    }
    [[nodiscard]] constexpr TcpProgress with_incarnation(bool may_begin) const {
        return with(incarnation, may_begin);
    }
    [[nodiscard]] constexpr TcpProgress with_proxied() const { return with(proxied, true); }
    /// `state` without FINs and incarnation: where a connection begins or ends.
    [[nodiscard]] constexpr TcpProgress only(TcpState state) const {
        return TcpProgress(
            static_cast<std::uint8_t>((bits_ & proxied) | static_cast<std::uint8_t>(state)));
    }
    /// The bits stay.
    [[nodiscard]] constexpr TcpProgress with_state(TcpState state) const {
        return TcpProgress(
            static_cast<std::uint8_t>((bits_ & ~state_bits) | static_cast<std::uint8_t>(state)));
    }
    friend constexpr bool operator==(TcpProgress, TcpProgress) = default;

  private:
    static constexpr std::uint8_t state_bits = 15, incarnation = 64, proxied = 128;
    static_assert(static_cast<std::uint8_t>(TcpState::count) <= state_bits);

    [[nodiscard]] static constexpr std::uint8_t fin_bit(Direction sender) {
        return sender == Direction::original ? 16 : 32;
    }
    [[nodiscard]] constexpr TcpProgress with(std::uint8_t bit, bool set) const {
        return TcpProgress(static_cast<std::uint8_t>(set ? bits_ | bit : bits_ & ~bit));
    }

    std::uint8_t bits_;
};

/// The state of a TCP flow at this moment.
template <class Record>
[[nodiscard]] TcpProgress tcp_progress(const Record& flow) {
    return TcpProgress(flow.protocol_state.load(std::memory_order_relaxed));
}
template <class Record>
[[nodiscard]] TcpState tcp_state(const Record& flow) {
    return tcp_progress(flow).state();
}

/// `next(progress)` is what the record's progress becomes.
template <class Record, class Next>
void move_progress(Record& record, Next&& next) {
    std::uint8_t bits = record.protocol_state.load(std::memory_order_acquire);  // (34)
    while (!record.protocol_state.compare_exchange_weak(bits, next(TcpProgress(bits)).bits(),
                                                        std::memory_order_seq_cst,     // (32)
                                                        std::memory_order_acquire)) {  // (34)
    }
}

namespace tcp_table {

// Short names, so that a row of the table is a line of the page. The columns stand in this order.
inline constexpr TcpState ss = TcpState::syn_sent, sr = TcpState::syn_recv,
                          es = TcpState::established, fw = TcpState::fin_wait,
                          cw = TcpState::close_wait, la = TcpState::last_ack,
                          tw = TcpState::time_wait, cl = TcpState::close, s2 = TcpState::syn_sent2,
                          xx = TcpState::invalid, ff = TcpState::by_fins;

using Row = std::array<TcpState, tcp_states>;
using Rows = std::array<Row, static_cast<std::size_t>(TcpEvent::count)>;

// clang-format off
inline constexpr std::array<Rows, 2> next{{
    // From the side that opened the flow.
    //  none ss  sr  es  fw  cw  la  tw  cl  s2
    {{
        // SYN opens the flow, or is sent again. On a live connection nothing changes: the peer
        // answers with a challenge ACK (RFC 5961, section 4), or has forgotten the connection, and
        // then a new incarnation begins (nat/reuse/incarnations.hpp). On a finished one it opens anew.
        {ss, ss, sr, es, fw, cw, la, ss, ss, s2},
        // SYN-ACK comes from this side only when both sides opened (RFC 9293, section 3.5).
        {xx, xx, sr, xx, xx, xx, xx, xx, xx, sr},
        // FIN: whose, and which, its sequence number says.
        {xx, xx, ff, ff, ff, ff, ff, tw, cl, xx},
        // ACK completes the opening, and acknowledges FINs. It never opens a flow.
        {xx, xx, es, es, ff, ff, ff, tw, cl, xx},
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
        {xx, xx, ff, ff, ff, ff, ff, tw, cl, xx},
        // ACK to a mere SYN tells the opener of an old connection, and makes it send RST
        // (RFC 9293, section 3.5.1).
        {xx, ss, sr, es, ff, ff, ff, tw, cl, s2},
        // RST refuses or ends.
        {xx, cl, cl, cl, cl, cl, cl, cl, cl, cl},
    }},
}};
// clang-format on

}  // namespace tcp_table

/// The state after a segment with `flags` in `direction`, `TcpState::invalid` when the state does
/// not allow it, `TcpState::by_fins` when flags do not say. `state` must be neither.
[[nodiscard]] constexpr TcpState next_state(TcpState state, Direction direction,
                                            std::uint8_t flags) {
    assert(state < TcpState::count);
    return tcp_table::next[static_cast<std::size_t>(direction)][static_cast<std::size_t>(
        tcp_event(flags))][static_cast<std::size_t>(state)];
}

/// How long a flow in `state` (not `none` nor `invalid`) lives without a segment, in seconds.
[[nodiscard]] std::uint32_t timeout_s(const Timeouts& timeouts, TcpState state);

}  // namespace noclash::nat
