// SPDX-License-Identifier: Apache-2.0
#pragma once

// # What a TCP connection's receivers can expect
//
// A gateway in the middle sees what both sides send, and so knows which sequence numbers either can
// use next. The conditions are those of van Rooij, "Real Stateful TCP Packet Filtering in IP
// Filter" (2001), which netfilter and pf use too. For a segment from a sender S to a receiver R:
//
//     I    sequence        <= what R acknowledged + the largest window of R
//     II   sequence + data >= what S has sent before - the memory of R
//     III  acknowledgment  <= what R has sent
//     IV   acknowledgment  >= what R has sent - the memory of S; or not less than S's last one
//
// The memory, of four windows and at least 1 MiB, lets pass what comes late: paths reorder by
// several round trips. Nothing so old moves a number; a FIN, which is the last that is sent, may
// not come late at all.
//
// Kept are, for each side, the end of what it sent, what it acknowledged, its largest window and
// its window scale: `nat/conntrack/flow_words.hpp`. The right edge of a window is not kept. What R
// acknowledged last plus its largest window is never left of it, so I is never too strict; and the
// acknowledgment is what a RST has to be compared with (RFC 5961, section 3).
//
// A segment that does not fit moves nothing: no number above, and no state. A blind one that does
// fit moves the end of S, at most to where I allows it, and what S acknowledges, at most to what R
// has sent; what the real ends send then still fits.
//
// # Two workers at once
//
// Every word is read and written alone, relaxed. All that is written moves a number forward, so a
// worker that knows an old number allows less than it could in I and III, and more in II and IV.
//
// One number of a direction can be old only while two workers have segments of that same direction,
// which RSS and fanout avoid. The words of one direction belong to its sender: the end and the
// acknowledgment of S are written with S's segments alone. A plain store of a worker that was
// preempted meanwhile may put them back. With `strict`, a compare-and-swap keeps them from ever
// going back, and of two workers at once the greater number stays: nothing that fits is dropped.
// With `liberal`, where no data is dropped, a plain store does (a locked instruction for each
// segment would cost all flows more than the rest of this together), because it heals: suppose S's
// words went back. R's are right, so the next segment of S fits I (by what R acknowledged) and III
// (by what R sent), and writes S's words anew. Where both directions' words went back at once, what
// follows in order still fits (I compares with the end of S, too), and heals the end of its sender,
// whatever its acknowledgment (the parts of a segment count each on its own).
//
// Answers come later than what they answer: the worker that has the answer sees the words written
// for the question, since the question left through a device and the answer came through one.

#include <algorithm>
#include <cstdint>

#include "engine/flow.hpp"
#include "nat/conntrack/flow_words.hpp"
#include "nat/packet/headers.hpp"
#include "nat/packet/packet.hpp"
#include "nat/packet/tcp_options.hpp"
#include "nat/policy/tcp_policy.hpp"

namespace noclash::nat {

/// a < b, of two sequence numbers at most 2^31 apart.
[[nodiscard]] constexpr bool before(std::uint32_t a, std::uint32_t b) {
    return static_cast<std::int32_t>(a - b) < 0;
}

/// A segment's numbers, in host order.
struct TcpSegment {
    std::uint32_t sequence = 0;
    std::uint32_t end = 0;  ///< sequence + data, SYN and FIN counted
    std::uint32_t acknowledgment = 0;
    std::uint16_t window = 0;  ///< as it stands in the header
    std::uint8_t flags = 0;

    [[nodiscard]] constexpr bool has(std::uint8_t flag) const { return (flags & flag) != 0; }
};

/// The numbers of `packet`, which must have passed `parse` as TCP.
template <class Family>
[[nodiscard]] TcpSegment segment_of(const PacketView& packet, const Parsed<Family>& parsed) {
    const auto& tcp = header<TcpHeader>(packet, parsed.l4_offset);
    const std::uint32_t sequence = tcp.sequence.get().host();
    static_assert(tcp_flag::fin == 1 && tcp_flag::syn == 2);
    const std::uint32_t counted = (tcp.flags & 1U) + (tcp.flags >> 1U & 1U);
    return {sequence, sequence + parsed.tcp_data + counted, tcp.acknowledgment.get().host(),
            tcp.window.get().host(), tcp.flags};
}

/// The window scale that a SYN or SYN-ACK offers, 14 at most (RFC 7323, section 2.3);
/// `no_window_scale` when none.
inline constexpr std::uint8_t no_window_scale = 15;
inline constexpr std::uint8_t most_window_scale = 14;
template <class Family>
[[nodiscard]] std::uint8_t window_scale_of(const PacketView& packet, const Parsed<Family>& parsed) {
    const std::uint8_t* const tcp = packet.data + parsed.l4_offset;
    const auto& fields = header<TcpHeader>(packet, parsed.l4_offset);
    const auto at = find_tcp_option(tcp, fields.header_length(), tcp_option::window_scale);
    return at == 0 ? no_window_scale : std::min(tcp[at], most_window_scale);
}

/// The state of the way from a sender S to a receiver R.
struct TcpPath {
    std::uint32_t end = 0;              ///< of S
    std::uint32_t acknowledged = 0;     ///< by R
    std::uint32_t receiver_end = 0;     ///< of R
    std::uint32_t receiver_window = 0;  ///< the largest, bytes
    std::uint32_t sender_window = 0;    ///< the largest, bytes
    std::uint32_t said = 0;             ///< what S acknowledged

    static constexpr std::uint32_t least_memory = 1U << 20;
    /// How far behind a segment may come, where the largest window is so large.
    [[nodiscard]] static constexpr std::uint32_t memory(std::uint32_t window) {
        return std::clamp(4 * window, least_memory, 1U << 30);
    }

    /// I and II. What follows in order fits, however small the window; and so does a probe, of one
    /// byte beyond a window that is closed, or of none before what was sent last.
    [[nodiscard]] constexpr bool fits_sequence(const TcpSegment& segment) const {
        const std::uint32_t late = segment.has(tcp_flag::fin) ? 0 : memory(receiver_window) + 1;
        return !before(segment.end, end - late) &&
               (!before(end, segment.sequence) ||
                !before(acknowledged + receiver_window, segment.sequence));
    }
    /// III and IV.
    [[nodiscard]] constexpr bool fits_acknowledgment(const TcpSegment& segment) const {
        return !before(receiver_end, segment.acknowledgment) &&
               (!before(segment.acknowledgment, receiver_end - memory(sender_window)) ||
                !before(segment.acknowledgment, said));
    }
    /// A RST that ends the connection at R as well: it is what R expects next (RFC 5961, section
    /// 3.2), either as R said or, when R has all that was sent, as S knows.
    [[nodiscard]] constexpr bool is_exact(const TcpSegment& reset) const {
        return reset.sequence == end || reset.sequence == acknowledged;
    }
    /// A RST that R may answer with a challenge, or one of several that late data from R has
    /// caused, which R ignores.
    [[nodiscard]] constexpr bool may_challenge(const TcpSegment& reset) const {
        return !before(reset.sequence, acknowledged - memory(receiver_window)) &&
               !before(std::max(acknowledged + receiver_window, end, before), reset.sequence);
    }
};

/// The words of a flow, seen by who has a segment of `sender`.
template <class Record>
class TcpWords {
  public:
    TcpWords(Record& flow, Direction sender, TcpWindow mode)
        : flow_(flow), sender_(sender), mode_(mode) {}

    [[nodiscard]] TcpPath path() const {
        const Direction receiver = opposite(sender_);
        const std::uint32_t windows = load(flow_memory::tcp_windows);
        const std::uint8_t scales = flow_.protocol_detail.load(std::memory_order_relaxed);
        return {load(flow_memory::tcp_end(sender_)),  load(flow_memory::tcp_acknowledged(receiver)),
                load(flow_memory::tcp_end(receiver)), window(windows, scales, receiver),
                window(windows, scales, sender_),     load(flow_memory::tcp_acknowledged(sender_))};
    }

    /// Notes a segment of an established connection without SYN, FIN and RST, if it is like nearly
    /// all: in order or a recent copy, with an acknowledgment between the last one and all there
    /// is, and no larger window than before. Such a one fits I to IV. False: nothing was done.
    template <class Family>
    [[nodiscard, gnu::always_inline]] bool note_fast(const PacketView& bytes,
                                                     const Parsed<Family>& packet) {
        const auto& tcp = header<TcpHeader>(bytes, packet.l4_offset);
        const std::uint32_t sequence = tcp.sequence.get().host();
        const std::uint32_t acknowledgment = tcp.acknowledgment.get().host();
        const std::uint32_t end = load(flow_memory::tcp_end(sender_));
        const std::uint32_t said = load(flow_memory::tcp_acknowledged(sender_));
        const std::uint32_t there_is = load(flow_memory::tcp_end(opposite(sender_)));
        static_assert(TcpPath::least_memory >= 0xffff);
        const bool acknowledges =
            !before(there_is, acknowledgment) && !before(acknowledgment, said);
        if (end - sequence > 0xffff || !acknowledges || tcp.window.get().host() > raw_window())
            [[unlikely]]
            return false;
        if (end - sequence < packet.tcp_data)
            advance(flow_memory::tcp_end(sender_), sequence + packet.tcp_data);
        if (acknowledgment != said) advance(flow_memory::tcp_acknowledged(sender_), acknowledgment);
        return true;
    }

    /// A segment that is no SYN, and whose acknowledgment and sequence may fit or not: what fits
    /// counts.
    void note(const TcpSegment& segment, bool sequence_fits, bool acknowledgment_fits) {
        if (sequence_fits) raise(flow_memory::tcp_end(sender_), segment.end);
        if (!acknowledgment_fits) return;
        raise(flow_memory::tcp_acknowledged(sender_), segment.acknowledgment);
        if (sequence_fits) raise_window(segment.window);
    }

    /// The first SYN of a connection, in the direction that opens it. Nothing of an earlier
    /// connection remains.
    void open(const TcpSegment& syn, std::uint8_t scale) {
        store(flow_memory::tcp_end(sender_), syn.end);
        store(flow_memory::tcp_acknowledged(opposite(sender_)), syn.sequence);
        store_scale(scale);
        store_window(scaled_down(syn.window, scale));
    }

    /// As `open`, of a flow that nobody but the caller has yet, and that remembers nothing: what
    /// both sides share is then no locked instruction.
    void begin(const TcpSegment& syn, std::uint8_t scale) {
        store(flow_memory::tcp_end(sender_), syn.end);
        store(flow_memory::tcp_acknowledged(opposite(sender_)), syn.sequence);
        store(flow_memory::tcp_windows, scaled_down(syn.window, scale) << half(sender_));
        flow_.protocol_detail.store(static_cast<std::uint8_t>(scale << nibble(sender_)),
                                    std::memory_order_relaxed);
    }

    /// The SYN of the other side, or a SYN-ACK. Windows are scaled only where both sides offer it
    /// (RFC 7323, section 2.2).
    void answer(const TcpSegment& syn, bool acknowledgment_fits, std::uint8_t scale) {
        const Direction opener = opposite(sender_);
        const std::uint8_t theirs = scale_of(opener);
        store(flow_memory::tcp_end(sender_), syn.end);
        store(flow_memory::tcp_acknowledged(opener), syn.sequence);
        if (acknowledgment_fits) store(flow_memory::tcp_acknowledged(sender_), syn.acknowledgment);
        if (scale == no_window_scale || theirs == no_window_scale) {
            TcpWords other(flow_, opener, mode_);
            const std::uint32_t said = other.raw_window();
            const unsigned shift = theirs == no_window_scale ? 0U : theirs;
            other.store_scale(0);
            other.store_window(std::min<std::uint32_t>(said << shift, 0xffff));
            store_scale(0);
            store_window(syn.window);
        } else {
            store_scale(scale);
            store_window(scaled_down(syn.window, scale));
        }
    }

    /// A segment from the midst of a connection that began before we looked. Both windows may be
    /// anything; they are taken for as large as they can be, 1 GiB.
    void pick_up(const TcpSegment& segment) {
        const Direction receiver = opposite(sender_);
        store(flow_memory::tcp_end(sender_), segment.end);
        // It is not known what the receiver has. A FIN may have been sent already, and lost: as
        // long as nobody acknowledges it, it must not count as acknowledged.
        store(flow_memory::tcp_acknowledged(receiver), segment.sequence - 1);
        store(flow_memory::tcp_end(receiver), segment.acknowledgment);
        store(flow_memory::tcp_acknowledged(sender_), segment.acknowledgment);
        store(flow_memory::tcp_windows, 0xffff'ffff);
        flow_.protocol_detail.store(most_window_scale << 4 | most_window_scale,
                                    std::memory_order_relaxed);
    }

    /// The last acknowledgment of S; before there is one, R's initial sequence number.
    [[nodiscard]] std::uint32_t acknowledged() const {
        return load(flow_memory::tcp_acknowledged(sender_));
    }

  private:
    [[nodiscard]] static constexpr unsigned half(Direction side) {
        return static_cast<unsigned>(side) * 16;
    }
    [[nodiscard]] static constexpr unsigned nibble(Direction side) {
        return static_cast<unsigned>(side) * 4;
    }
    /// Rounded up: too large a window does no harm.
    [[nodiscard]] static constexpr std::uint32_t scaled_down(std::uint32_t window,
                                                             std::uint8_t scale) {
        const unsigned shift = scale == no_window_scale ? 0U : scale;
        return (window + (1U << shift) - 1) >> shift;
    }
    /// In bytes. A scale that nobody has answered yet counts as none.
    [[nodiscard]] static constexpr std::uint32_t window(std::uint32_t windows, std::uint8_t scales,
                                                        Direction side) {
        const unsigned scale = scales >> nibble(side) & 15U;
        return (windows >> half(side) & 0xffffU) << (scale == no_window_scale ? 0U : scale);
    }

    [[nodiscard]] std::uint32_t load(std::size_t word) const {
        return flow_.memory[word].load(std::memory_order_relaxed);
    }
    void store(std::size_t word, std::uint32_t value) {
        flow_.memory[word].store(value, std::memory_order_relaxed);
    }

    void raise(std::size_t word, std::uint32_t value) {
        if (before(load(word), value)) advance_only(flow_.memory[word], value);
    }
    /// To a value that was the greater one when the caller looked. For the fast path.
    void advance(std::size_t word, std::uint32_t value) {
        if (mode_ == TcpWindow::strict) [[unlikely]]
            return advance_only(flow_.memory[word], value);
        store(word, value);
    }
    /// Forward only, whichever other worker writes. Each turn means that another worker moved it
    /// forward.
    template <class Word>
    [[gnu::noinline]] static void advance_only(Word& place, std::uint32_t value) {
        std::uint32_t seen = place.load(std::memory_order_relaxed);
        while (before(seen, value) &&
               !place.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
        }
    }

    [[nodiscard]] std::uint8_t scale_of(Direction side) const {
        return flow_.protocol_detail.load(std::memory_order_relaxed) >> nibble(side) & 15U;
    }
    void store_scale(std::uint8_t scale) {
        std::uint8_t seen = flow_.protocol_detail.load(std::memory_order_relaxed);
        std::uint8_t wanted = 0;
        do {
            wanted = static_cast<std::uint8_t>((seen & ~(15U << nibble(sender_))) |
                                               unsigned{scale} << nibble(sender_));
        } while (
            !flow_.protocol_detail.compare_exchange_weak(seen, wanted, std::memory_order_relaxed));
    }
    [[nodiscard]] std::uint32_t raw_window() const {
        return load(flow_memory::tcp_windows) >> half(sender_) & 0xffffU;
    }
    /// Both sides' windows are one word: each leaves the other's half as it is.
    void store_window(std::uint32_t raw) {
        auto& place = flow_.memory[flow_memory::tcp_windows];
        std::uint32_t seen = place.load(std::memory_order_relaxed);
        while (!place.compare_exchange_weak(
            seen, (seen & ~(0xffffU << half(sender_))) | raw << half(sender_),
            std::memory_order_relaxed)) {
        }
    }
    /// Seldom does more than look: a window grows a few times in a connection's life.
    void raise_window(std::uint16_t raw) {
        auto& place = flow_.memory[flow_memory::tcp_windows];
        std::uint32_t seen = place.load(std::memory_order_relaxed);
        while (raw > (seen >> half(sender_) & 0xffffU))
            [[unlikely]] {
                const std::uint32_t wanted =
                    (seen & ~(0xffffU << half(sender_))) | std::uint32_t{raw} << half(sender_);
                if (place.compare_exchange_weak(seen, wanted, std::memory_order_relaxed)) return;
            }
    }

    Record& flow_;
    Direction sender_;
    TcpWindow mode_;
};

}  // namespace noclash::nat
