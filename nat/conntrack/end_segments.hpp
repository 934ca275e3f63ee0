// SPDX-License-Identifier: Apache-2.0
#pragma once

// # The segments that tell both ends of a connection that the gateway has ended it
//
// A receiver takes a RST whose sequence number is exactly what it expects next. It answers any
// other in its window with a challenge ACK, and drops the rest in silence (RFC 9293,
// section 3.10.7.4; RFC 5961, section 3.2). What an end expects next is known from the words of the
// flow (nat/conntrack/flow_words.hpp):
//
//     the end of what its peer has sent    exact when all of that has arrived: the RST comes behind
//                                          it. It is in the window in any case
//     its own last acknowledgment          exact when what came behind that was lost
//
// Of a quiet connection the two are one number, and one RST goes to each end; else two go, in this
// order. Where both miss, because something in the midst was lost or overtaken, the first has made
// the end challenge it. The challenge says what the end expects, and its answer is exact
// (nat/conntrack/reset_ends.hpp).
//
// An end that may still wait for the answer to its SYN takes only a RST that acknowledges the SYN
// (RFC 9293, section 3.10.7.3). One that has got no SYN of its own answered yet takes a RST
// without.
//
// With `tcp_window = "off"` nobody knows what a connection's ends expect. A bare ACK out of the
// window makes each end acknowledge anew (RFC 9293, section 3.10.7.4), and that is answered like a
// challenge.
//
// The client of a proxied flow (nat/syn_proxy/) knows other sequence numbers of its backend than
// the flow's words. As long as the backend has not answered, it expects what follows its cookie.
//
// A connection that is over, by a RST or by both sides' FINs, has nobody to be told.

#include <array>
#include <cstdint>

#include "engine/tuple.hpp"
#include "nat/conntrack/flow_words.hpp"
#include "nat/conntrack/tcp_state.hpp"
#include "nat/conntrack/tcp_window.hpp"
#include "nat/packet/packet.hpp"
#include "nat/packet/protocols.hpp"
#include "nat/policy/tcp_policy.hpp"

namespace noclash::nat {

/// A segment that is for one end of a flow.
struct EndSegment {
    Direction to = Direction::original;  ///< whose sender it is for
    TcpSegment numbers{};
};

/// All that go to the ends of one flow, in their order.
class EndSegments {
  public:
    static constexpr std::size_t most = 4;  ///< two to each end

    void add(Direction to, const TcpSegment& numbers) { all_[count_++] = {to, numbers}; }
    [[nodiscard]] const EndSegment* begin() const { return all_.data(); }
    [[nodiscard]] const EndSegment* end() const { return all_.data() + count_; }
    [[nodiscard]] bool empty() const { return count_ == 0; }

  private:
    std::array<EndSegment, most> all_{};
    std::size_t count_ = 0;
};

namespace end_segments_detail {

template <class Record>
void tell(EndSegments& told, const Record& flow, TcpState state, Direction to, TcpWindow mode) {
    const auto load = [&flow](std::size_t word) {
        return flow.memory[word].load(std::memory_order_relaxed);
    };
    const bool asked = state == TcpState::syn_sent;  // the SYN is all that was seen
    const bool proxied = tcp_progress(flow).is_proxied() && to == Direction::original;
    const std::uint32_t shift = proxied ? flow.pool_link.load(std::memory_order_relaxed) : 0;
    if (mode == TcpWindow::off && !asked) return told.add(to, {.flags = tcp_flag::ack});
    TcpSegment reset;
    reset.sequence = load(flow_memory::tcp_end(opposite(to))) + shift;
    if (proxied && asked) reset.sequence = shift + 1;
    reset.flags = tcp_flag::rst;
    const bool opens = state == TcpState::syn_recv || state == TcpState::syn_sent2 ||
                       (asked && to == Direction::original);
    if (opens) {
        reset.acknowledgment = load(flow_memory::tcp_end(to));
        reset.flags |= tcp_flag::ack;
    }
    told.add(to, reset);
    const std::uint32_t acknowledged = load(flow_memory::tcp_acknowledged(to)) + shift;
    if (opens || asked || acknowledged == reset.sequence) return;
    reset.sequence = acknowledged;
    told.add(to, reset);
}

}  // namespace end_segments_detail

/// The segments for both ends of a flow that has just ended and is not reclaimed yet; none for a
/// flow of another protocol than TCP. Any thread that is online.
/// @param mode  that the flow was tracked by
template <class Record>
[[nodiscard]] EndSegments end_segments(const Record& flow, TcpWindow mode) {
    EndSegments told;
    if (flow.tuple(Direction::original).protocol != ip_protocol::tcp) return told;
    const TcpState state = tcp_state(flow);
    const bool lives = state != TcpState::none && state != TcpState::time_wait &&
                       state != TcpState::close && state < TcpState::count;
    if (!lives) return told;
    for (const Direction to : {Direction::original, Direction::reply})
        end_segments_detail::tell(told, flow, state, to, mode);
    return told;
}

}  // namespace noclash::nat
