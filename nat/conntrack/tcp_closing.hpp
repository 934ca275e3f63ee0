// SPDX-License-Identifier: Apache-2.0
#pragma once

// # When a TCP connection is over
//
// A FIN that was seen has not always arrived, and an ACK that follows it need not acknowledge it:
// segments are lost, repeated and reordered, on both sides of the gateway. What proves that a side
// has finished is an acknowledgment of the *other* side that covers its FIN: a receiver
// acknowledges a FIN only when it has all that was sent before [RFC 9293 section 3.6]. So
//
//     FIN_WAIT    the FIN of one side was seen
//     CLOSE_WAIT  and acknowledged
//     LAST_ACK    the FINs of both sides were seen
//     TIME_WAIT   and both acknowledged
//
// whichever side is first, and however often a segment comes. In TIME_WAIT each side has received
// all that the other one sent. Only the acknowledgment of the last FIN may still get lost behind
// the gateway: then its receiver sends that FIN again, which costs the next connection a challenge
// ACK, never data.
//
// A FIN is the last that its sender sends: `tcp_end` of the sender is where the FIN ends, and
// nothing but another FIN or a lie moves it further. When something does, the FIN was a blind
// guess, and is forgotten.
//
// # Two workers at once
//
// Without `strict`, a worker that was preempted in the midst of a segment may put `tcp_end` back to
// what it was before the FIN (nat/conntrack/tcp_window.hpp), which its receiver may have
// acknowledged. `Flow::protocol_word` therefore keeps the low half of where each side's FIN ends. A
// segment that was under way when the FIN came does not write it. When the two do not agree, the
// FIN counts as not acknowledged, and the flow waits for its timeout or for the FIN's next copy.
//
// # Without windows
//
// With `tcp_window = "off"` no numbers are kept while the connection lives. From the first FIN on
// the words below are: `note_ends`.

#include <atomic>
#include <cstdint>

#include "nat/conntrack/flow_words.hpp"
#include "nat/conntrack/tcp_state.hpp"
#include "nat/conntrack/tcp_window.hpp"

namespace noclash::nat::tcp_closing {

template <class Record>
[[nodiscard]] std::uint32_t end_of(const Record& flow, Direction sender) {
    return flow.memory[flow_memory::tcp_end(sender)].load(std::memory_order_relaxed);
}

/// Remembers that the FIN of `sender` ends at `end`. Each side leaves the other's half as it is.
template <class Record>
void note_fin_end(Record& flow, Direction sender, std::uint32_t end) {
    const unsigned shift = static_cast<unsigned>(sender) * 16;
    std::uint32_t seen = flow.protocol_word.load(std::memory_order_relaxed);
    while (!flow.protocol_word.compare_exchange_weak(
        seen, (seen & ~(0xffffU << shift)) | (end & 0xffffU) << shift, std::memory_order_relaxed)) {
    }
}

template <class Record>
[[nodiscard]] bool is_fin_end(const Record& flow, Direction sender, std::uint32_t end) {
    const std::uint32_t ends = flow.protocol_word.load(std::memory_order_relaxed);
    return (ends >> static_cast<unsigned>(sender) * 16 & 0xffffU) == (end & 0xffffU);
}

/// Whether the receiver of `sender`'s FIN has acknowledged it.
template <class Record>
[[nodiscard]] bool fin_is_acknowledged(const Record& flow, TcpProgress seen, Direction sender) {
    const std::uint32_t end = end_of(flow, sender);
    const auto& acknowledged = flow.memory[flow_memory::tcp_acknowledged(opposite(sender))];
    return seen.has_fin(sender) && acknowledged.load(std::memory_order_relaxed) == end &&
           is_fin_end(flow, sender, end);
}

/// The progress of both sides' FINs after a segment that fits, whose numbers have been noted.
template <class Record>
[[nodiscard]] TcpProgress after(Record& flow, TcpProgress seen, Direction sender,
                                const TcpSegment& segment) {
    if (segment.end == end_of(flow, sender)) {
        if (segment.has(tcp_flag::fin)) {
            note_fin_end(flow, sender, segment.end);
            seen = seen.with_fin(sender, true);
        } else if (!is_fin_end(flow, sender, segment.end)) {
            seen = seen.with_fin(sender, false);  // it has gone on: there was none
        }
    }
    const Direction receiver = opposite(sender);
    const bool both = seen.has_fin(sender) && seen.has_fin(receiver);
    const bool any = seen.has_fin(sender) || seen.has_fin(receiver);
    const bool sent = fin_is_acknowledged(flow, seen, sender);
    const bool received = fin_is_acknowledged(flow, seen, receiver);
    if (sent && received) return seen.only(TcpState::time_wait);
    if (both) return seen.with_state(TcpState::last_ack);
    if (!any) return seen.with_state(TcpState::established);
    return seen.with_state(sent || received ? TcpState::close_wait : TcpState::fin_wait);
}

/// Keeps the numbers that `after` asks for, when nobody else does: the end of a side from its first
/// FIN on, and what acknowledges it.
template <class Record>
void note_ends(Record& flow, TcpProgress seen, Direction sender, const TcpSegment& segment) {
    const Direction receiver = opposite(sender);
    auto& end = flow.memory[flow_memory::tcp_end(sender)];
    if (!seen.has_fin(sender) && segment.has(tcp_flag::fin)) {
        end.store(segment.end, std::memory_order_relaxed);
        flow.memory[flow_memory::tcp_acknowledged(receiver)].store(segment.end - 1,
                                                                   std::memory_order_relaxed);
    } else if (seen.has_fin(sender) && before(end.load(std::memory_order_relaxed), segment.end)) {
        end.store(segment.end, std::memory_order_relaxed);
    }
    if (seen.has_fin(receiver) && segment.has(tcp_flag::ack) &&
        segment.acknowledgment == end_of(flow, receiver))
        flow.memory[flow_memory::tcp_acknowledged(sender)].store(segment.acknowledgment,
                                                                 std::memory_order_relaxed);
}

}  // namespace noclash::nat::tcp_closing
