// SPDX-License-Identifier: Apache-2.0
#pragma once

// A TCP segment's effect on its flow: the table of `nat/conntrack/tcp_state.hpp` says what its
// flags mean, the numbers of `nat/conntrack/tcp_window.hpp` whether its receiver can expect it,
// those of `nat/conntrack/tcp_closing.hpp` whether the connection is over. Only what fits moves the
// flow. [field h]

#include <atomic>
#include <cstdint>

#include "nat/conntrack/tcp_closing.hpp"
#include "nat/conntrack/tcp_state.hpp"
#include "nat/conntrack/tcp_window.hpp"
#include "nat/packet/drop_reason.hpp"

namespace noclash::nat {

struct TcpOutcome {
    TcpState state;                        ///< of the flow, from now on
    DropReason reason = DropReason::none;  ///< otherwise the segment goes no further
    bool fits = false;                     ///< its receiver can expect it
    bool refreshes = false;                ///< it shows that the connection lives
    TcpState before = TcpState::none;      ///< the state that just this segment has moved
};

/// The end of the connection is proven: by both sides' FINs, or by an exact RST, which nobody
/// looks for with `TcpWindow::off`. Then a SYN opens another one.
[[nodiscard]] constexpr bool is_over(TcpState state, TcpWindow mode) {
    return state == TcpState::time_wait || (state == TcpState::close && mode != TcpWindow::off);
}

namespace tcp_tracking {

enum class Judgement : std::uint8_t {
    moves,   ///< it fits
    passes,  ///< it goes to its receiver, which knows better, but moves nothing
    drop,
};

/// Only what the receiver expects next ends the connection; other sequence numbers in its window
/// make it send a challenge, whose answer will be exact (RFC 5961, section 3.2). The rest is a
/// blind guess, which the receiver would drop, too. RFC 7857 asks for such a check, too, and
/// otherwise for translation [RFC 7857 section 2.2].
template <class Record>
[[nodiscard]] Judgement judge_reset(const TcpWords<Record>& words, const TcpSegment& reset,
                                    TcpState state, Direction direction) {
    const TcpPath path = words.path();
    const bool of_opener = direction == Direction::original;
    if (state == TcpState::syn_sent && of_opener)  // it may speak of an older connection
        return reset.sequence == path.end ? Judgement::moves : Judgement::passes;
    // A host that refuses a SYN has no sequence number, but acknowledges the SYN (RFC 9293,
    // section 3.10.7.3).
    if (state == TcpState::syn_sent || state == TcpState::syn_sent2 ||
        state == TcpState::syn_recv) {
        const bool refuses = reset.has(tcp_flag::ack) &&
                             before(words.acknowledged(), reset.acknowledgment) &&
                             !before(path.receiver_end, reset.acknowledgment);
        const bool answers = reset.has(tcp_flag::ack) && reset.acknowledgment == path.receiver_end;
        if (refuses || answers) return Judgement::moves;
        if (state == TcpState::syn_sent) return Judgement::drop;
    }
    if (path.is_exact(reset)) return Judgement::moves;
    return path.may_challenge(reset) ? Judgement::passes : Judgement::drop;
}

/// A SYN of either side: notes it, where it counts.
template <class Record>
[[nodiscard]] Judgement judge_syn(TcpWords<Record>& words, const TcpSegment& syn,
                                  std::uint8_t scale, TcpState state, TcpState next,
                                  Direction direction) {
    if (next == TcpState::syn_sent && direction == Direction::original)
        words.open(syn, scale);
    else if (next == TcpState::syn_sent2 && direction == Direction::reply)
        words.answer(syn, false, scale);
    else if (next != state)
        return Judgement::moves;
    else
        return Judgement::passes;  // on a live connection: challenged (RFC 5961, section 4)
    return Judgement::moves;
}

/// A SYN-ACK has to acknowledge the SYN. While the connection opens, the latest one that does
/// counts: a server with SYN cookies may choose another initial sequence number for each.
template <class Record>
[[nodiscard]] Judgement judge_syn_ack(TcpWords<Record>& words, const TcpSegment& answer,
                                      std::uint8_t scale, TcpState state, TcpWindow mode) {
    const bool first = state == TcpState::syn_sent || state == TcpState::syn_sent2;
    if (!first && state != TcpState::syn_recv) return Judgement::passes;
    const std::uint32_t least = words.acknowledged() + (first ? 1 : 0);
    const bool fits = !before(answer.acknowledgment, least) &&
                      !before(words.path().receiver_end, answer.acknowledgment);
    if (!fits && mode == TcpWindow::strict) return Judgement::drop;
    if (!fits && !first) return Judgement::passes;
    words.answer(answer, fits, scale);
    return Judgement::moves;
}

/// Data, acknowledgments, FIN.
template <class Record>
[[nodiscard]] Judgement judge_data(TcpWords<Record>& words, const TcpSegment& segment,
                                   TcpWindow mode) {
    const TcpPath path = words.path();
    const bool sequence_fits = path.fits_sequence(segment);
    const bool acknowledgment_fits = path.fits_acknowledgment(segment);
    const bool fits = sequence_fits && acknowledgment_fits;
    if (!fits && mode == TcpWindow::strict) return Judgement::drop;
    words.note(segment, sequence_fits, acknowledgment_fits);
    return fits ? Judgement::moves : Judgement::passes;
}

template <class Record>
[[nodiscard]] Judgement judge(TcpWords<Record>& words, const TcpSegment& segment,
                              std::uint8_t scale, TcpState state, TcpState next,
                              Direction direction, TcpWindow mode) {
    switch (tcp_event(segment.flags)) {
        case TcpEvent::rst:
            return judge_reset(words, segment, state, direction);
        case TcpEvent::syn:
            return judge_syn(words, segment, scale, state, next, direction);
        case TcpEvent::syn_ack:
            return judge_syn_ack(words, segment, scale, state, mode);
        case TcpEvent::fin:
        case TcpEvent::ack:
        case TcpEvent::count:
            break;
    }
    // An answer to a SYN that has none of its own speaks of an older connection.
    if (state == TcpState::syn_sent || state == TcpState::syn_sent2) return Judgement::passes;
    return judge_data(words, segment, mode);
}

/// The bits beside the state stay while the connection lives.
[[nodiscard]] constexpr TcpProgress moved(TcpProgress seen, TcpState next) {
    const bool lives =
        next != TcpState::syn_sent && next != TcpState::time_wait && next != TcpState::close;
    return next == seen.state() ? seen : lives ? seen.with_state(next) : seen.only(next);
}

/// A segment that fits. A SYN alone shows nothing, for anybody can send one [RFC 5961 section 4];
/// and an opening that is not answered ends in time, however often it is repeated.
[[nodiscard]] constexpr TcpOutcome fitting(TcpState before, TcpState after, TcpEvent event) {
    const bool unanswered = event == TcpEvent::syn || before == TcpState::syn_sent;
    return {after, DropReason::none, true, before != after || !unanswered, before};
}
/// A segment that moves nothing, and goes to its receiver all the same.
[[nodiscard]] constexpr TcpOutcome passing(TcpState state, TcpEvent event) {
    const bool shows_life = event != TcpEvent::syn && event != TcpEvent::rst;
    return {state, DropReason::none, false, shows_life && state != TcpState::syn_sent, state};
}

/// Two workers may have a segment of either direction at once: one moves the state first, and the
/// other's segment is judged anew.
template <class Record, class Family>
[[nodiscard, gnu::noinline]] TcpOutcome move(Record& flow, Direction direction,
                                             const PacketView& bytes, const Parsed<Family>& packet,
                                             TcpWindow mode) {
    const TcpSegment segment = segment_of(bytes, packet);
    const TcpEvent event = tcp_event(segment.flags);
    const std::uint8_t scale =
        segment.has(tcp_flag::syn) ? window_scale_of(bytes, packet) : no_window_scale;
    std::uint8_t bits = flow.protocol_state.load(std::memory_order_acquire);  // (34)
    for (;;) {
        const TcpProgress seen(bits);
        const TcpState state = seen.state();
        const TcpState next = next_state(state, direction, segment.flags);
        if (next == TcpState::invalid) return {state, DropReason::tcp_invalid};
        if (mode != TcpWindow::off) {
            TcpWords words(flow, direction, mode);
            const Judgement judgement = judge(words, segment, scale, state, next, direction, mode);
            if (judgement == Judgement::passes) return passing(state, event);
            if (judgement == Judgement::drop)
                return {state, segment.has(tcp_flag::rst) ? DropReason::tcp_reset
                                                          : DropReason::tcp_window};
        } else if (next == TcpState::syn_sent && state == TcpState::close) {
            return passing(state, event);  // flags alone have closed it: it may live
        } else if (next == TcpState::by_fins) {
            tcp_closing::note_ends(flow, seen, direction, segment);
        }
        const TcpProgress after = next == TcpState::by_fins
                                      ? tcp_closing::after(flow, seen, direction, segment)
                                      : moved(seen, next);
        if (after == seen ||
            flow.protocol_state.compare_exchange_weak(bits, after.bits(),
                                                      std::memory_order_seq_cst,   // (32)
                                                      std::memory_order_acquire))  // (34)
            return fitting(state, after.state(), event);
    }
}

}  // namespace tcp_tracking

/// Notes a segment as nearly all are: of an established connection, which stays so, and with
/// numbers that its receiver can expect. False: nothing was done.
/// @param plain  the progress of such a connection: a proxied one has another
template <class Record, class Family>
[[nodiscard, gnu::always_inline]] inline bool note_plain(
    Record& flow, Direction direction, const PacketView& bytes, const Parsed<Family>& packet,
    TcpWindow mode, TcpProgress plain = TcpProgress(TcpState::established)) {
    if (tcp_progress(flow) != plain || (packet.tcp_flags & tcp_flag::decisive) != 0) return false;
    return mode == TcpWindow::off || TcpWords(flow, direction, mode).note_fast(bytes, packet);
}

/// Moves the flow's TCP state and what is known of its windows, as far as the segment may. Of the
/// packets of an established connection nearly all need only the first half: it decides nothing
/// that the second would decide otherwise.
template <class Record, class Family>
[[nodiscard]] TcpOutcome track_tcp(Record& flow, Direction direction, const PacketView& bytes,
                                   const Parsed<Family>& packet, TcpWindow mode) {
    if (note_plain(flow, direction, bytes, packet, mode,
                   tcp_progress(flow).only(TcpState::established)))
        return {TcpState::established, DropReason::none, true, true, TcpState::established};
    return tcp_tracking::move(flow, direction, bytes, packet, mode);
}

/// Whether a segment that belongs to no flow may open one.
[[nodiscard]] constexpr bool may_open(std::uint8_t tcp_flags, const TcpPolicy& policy) {
    if (next_state(TcpState::none, Direction::original, tcp_flags) != TcpState::invalid)
        return true;
    return policy.pickup && tcp_event(tcp_flags) == TcpEvent::ack;
}

/// The state that a first segment, one that may open a flow, puts it in. The flow is not published
/// yet, and its memory is all zeros.
template <class Record, class Family>
[[nodiscard, gnu::always_inline]] inline TcpState open_tcp(Record& flow, const PacketView& bytes,
                                                           const Parsed<Family>& packet) {
    TcpWords words(flow, Direction::original, TcpWindow::liberal);
    const TcpSegment segment = segment_of(bytes, packet);
    if (!segment.has(tcp_flag::syn)) {
        words.pick_up(segment);
        return TcpState::established;
    }
    words.begin(segment, window_scale_of(bytes, packet));
    return TcpState::syn_sent;
}

}  // namespace noclash::nat
