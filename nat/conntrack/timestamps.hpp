// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "engine/flow.hpp"
#include "nat/conntrack/conntrack.hpp"
#include "nat/conntrack/flow_words.hpp"
#include "nat/conntrack/timestamp_clocks.hpp"
#include "nat/packet/packet.hpp"
#include "nat/packet/tcp_options.hpp"
#include "nat/packet/timestamp_option.hpp"
#include "nat/policy/tcp_policy.hpp"

namespace noclash::nat {

/// Translates, strips or keeps TCP timestamps [field c]. Shared by all workers.
///
/// To a server that keeps one timestamp for each host (Linux' former tcp_tw_recycle) or each tuple
/// (PAWS, TIME_WAIT: RFC 7323, section 5; RFC 6191), the many hosts behind one address are one host
/// whose clock jumps back. So for connections whose source is translated,
///
/// `normalize`: the first TSval of a connection fixes its offset to the clock of its outside
/// address; TSval gets it on the way out, TSecr loses it on the way back.
/// `strip`: neither SYN nor SYN-ACK offers timestamps, so neither side uses them.
/// `preserve`: nothing changes.
template <class Family, class Traits>
class Timestamps {
  public:
    using Clocks = TimestampClocks<Traits>;

    explicit Timestamps(TcpTimestamps mode)
        : mode_(mode), own_(std::make_unique<Clocks>()), clocks_(*own_) {}
    /// With clocks that go on from one process to the next.
    Timestamps(TcpTimestamps mode, Clocks& kept) : mode_(mode), clocks_(kept) {}

    /// Whether segments of established connections change, too.
    [[nodiscard]] bool changes_all() const { return mode_ == TcpTimestamps::normalize; }

    /// The first packet of a flow that is not published yet, both tuples known and its memory still
    /// zeros where timestamps are kept: without options, it stays so.
    template <class Record>
    void opens(const PacketView& packet, const Parsed<Family>& parsed, Record& flow,
               std::uint64_t now_ms) {
        if (parsed.kind != PacketKind::tcp || !has_tcp_options(packet, parsed.l4_offset)) return;
        // A connection that is older than its flow has told the server timestamps before.
        if (mode_ != TcpTimestamps::preserve && is_opening(parsed) && source_is_translated(flow))
            begin(packet, parsed, flow, now_ms);
        note(packet, parsed, flow);
    }

    /// A later segment of the flow, which its state allows.
    /// @param reopens  it is a SYN that opens a finished connection anew
    template <class Record>
    void passes(const PacketView& packet, const Parsed<Family>& parsed, Record& flow,
                Direction direction, bool reopens, std::uint64_t now_ms) {
        if (mode_ != TcpTimestamps::normalize && tcp_state(flow) == TcpState::established)
            [[likely]]
            return;
        if (reopens) set(flow, flow_memory::timestamp_sent, 0);
        if (mode_ == TcpTimestamps::strip) {
            if ((parsed.tcp_flags & tcp_flag::syn) != 0 && source_is_translated(flow))
                strip_timestamps(packet, parsed.l4_offset);
        } else if (mode_ == TcpTimestamps::normalize) {
            if (reopens && source_is_translated(flow))
                begin(packet, parsed, flow, now_ms);
            else
                shift(packet, parsed, flow, direction, now_ms);
        }
        if (direction == Direction::original) note(packet, parsed, flow);
    }

    /// The TSval that a SYN will have when it leaves from `address`; nothing when it offers none.
    template <class Address>
    [[nodiscard]] std::optional<std::uint32_t> offered(const PacketView& packet,
                                                       const Parsed<Family>& parsed,
                                                       const Address& address,
                                                       std::uint64_t now_ms) const {
        const std::uint32_t at = find_timestamps(packet, parsed.l4_offset);
        const bool translated = address != parsed.tuple.source;
        if (at == 0 || (translated && mode_ == TcpTimestamps::strip)) return std::nullopt;
        if (translated && mode_ == TcpTimestamps::normalize) return clocks_.read(address, now_ms);
        return timestamp_value(packet, at);
    }

  private:
    template <class Record>
    static std::uint32_t get(const Record& flow, std::size_t word) {
        return flow.memory[word].load(std::memory_order_relaxed);
    }
    /// Only what changes is written: the line may be another worker's next.
    template <class Record>
    static void set(Record& flow, std::size_t word, std::uint32_t value) {
        if (get(flow, word) != value) flow.memory[word].store(value, std::memory_order_relaxed);
    }
    template <class Record>
    static bool source_is_translated(const Record& flow) {
        return flow.tuple(Direction::original).source != flow.tuple(Direction::reply).destination;
    }

    /// A SYN: fixes the offset, which is 0 when the connection will use no timestamps. (When it
    /// comes out as 0, the clocks agree, and nothing is to be done.)
    template <class Record>
    void begin(const PacketView& packet, const Parsed<Family>& parsed, Record& flow,
               std::uint64_t now_ms) {
        if (mode_ == TcpTimestamps::strip) strip_timestamps(packet, parsed.l4_offset);
        if (mode_ != TcpTimestamps::normalize) return;
        std::uint32_t offset = 0;
        set(flow, flow_memory::timestamp_sent, 0);
        if (const std::uint32_t at = find_timestamps(packet, parsed.l4_offset); at != 0) {
            const std::uint32_t clock =
                clocks_.read(flow.tuple(Direction::reply).destination, now_ms);
            offset = clock - timestamp_value(packet, at);
            set_timestamp_value(packet, parsed.l4_offset, at, clock);
            set(flow, flow_memory::timestamp_sent, clock);
        }
        set(flow, flow_memory::timestamp_offset, offset);
    }

    /// Notes the last TSval, for a successor of the flow. Of an established flow only where the
    /// option is looked at anyway: the segments that end it say the same, and later.
    template <class Record>
    void note(const PacketView& packet, const Parsed<Family>& parsed, Record& flow) {
        if (mode_ == TcpTimestamps::normalize && get(flow, flow_memory::timestamp_offset) != 0)
            return;
        if (const std::uint32_t at = find_timestamps(packet, parsed.l4_offset); at != 0)
            set(flow, flow_memory::timestamp_sent, timestamp_value(packet, at));
    }

    /// Between the client's clock and the address' clock.
    template <class Record>
    void shift(const PacketView& packet, const Parsed<Family>& parsed, Record& flow,
               Direction direction, std::uint64_t now_ms) {
        const std::uint32_t offset = get(flow, flow_memory::timestamp_offset);
        if (offset == 0) return;
        const std::uint32_t at = find_timestamps(packet, parsed.l4_offset);
        if (at == 0) return;
        if (direction == Direction::original) {
            const std::uint32_t value = timestamp_value(packet, at) + offset;
            set_timestamp_value(packet, parsed.l4_offset, at, value);
            set(flow, flow_memory::timestamp_sent, value);
            clocks_.sent(flow.tuple(Direction::reply).destination, value, now_ms);
            return;
        }
        // Without ACK the field means nothing (RFC 7323, section 3.2); 0 is what hosts put there
        // that have nothing to echo.
        const std::uint32_t echo = timestamp_echo(packet, at);
        if ((parsed.tcp_flags & tcp_flag::ack) != 0 && echo != 0)
            set_timestamp_echo(packet, parsed.l4_offset, at, echo - offset);
    }

    TcpTimestamps mode_;
    std::unique_ptr<Clocks> own_;  ///< none: they are somebody else's
    Clocks& clocks_;
};

}  // namespace noclash::nat
