// SPDX-License-Identifier: Apache-2.0
#pragma once

// # A new incarnation of a live connection
//
// Hosts crash, and come back from the same port. The gateway still holds the connection that both
// ends have forgotten; every number it knows is wrong [RFC 9293 section 3.5.1]. A SYN alone proves
// nothing: anybody can send one, and a server that does remember answers it with a challenge ACK,
// after which the client ends the old connection by an exact RST (RFC 5961, section 4).
//
// So the SYN gets a record of its own beside the flow's, as if it opened a connection: with its
// sequence numbers, windows and timestamp offset, tracked by the same code, always strictly. Until
// it is decided which of the two is alive, both count: a segment that fits the new one belongs to
// it, any other is judged as ever.
//
//     client  SYN              a record begins                    the flow stays as it is
//     server  SYN-ACK of it    the record notes it
//     client  ACK of that      the flow takes over what the record knows, and the record ends
//
// Nobody gets so far who does not see what the other side sends, or forges both sides. A RST that
// refuses exactly this SYN closes the flow, as an exact RST of the old connection does. A client
// that resets what answers its SYN ends the record alone.
//
// The record's tuples are the flow's, with a mark that no packet's tuple has (`wildcard`): its
// owner is decided by the index, its memory is bounded by the table, its life by the timeout of an
// opening, its reclamation is as any record's. When the table has no room, the SYN goes to its
// receiver all the same, and the next one may find room.

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "engine/flow_worker.hpp"
#include "engine/reservation.hpp"
#include "nat/conntrack/conntrack.hpp"
#include "nat/conntrack/timestamps.hpp"
#include "nat/mapping/flow_end.hpp"
#include "nat/mapping/mapping.hpp"
#include "nat/packet/packet_context.hpp"

namespace noclash::nat {

/// Whether a segment belongs to a new incarnation of its flow.
enum class OfIncarnation : std::uint8_t {
    no,     ///< it is to be judged as one of the connection that the flow knows
    yes,    ///< it has been tracked, and its timestamps are what they should be
    later,  ///< another worker is setting up or ending the record: look again soon
};

/// The new incarnation that `record` knows is the connection of `flow`. A worker that has a segment
/// of it at this very moment may see old and new numbers, as when its words went back
/// (nat/conntrack/tcp_window.hpp).
template <class Record>
void take_over(Record& flow, const Record& record, Moment expires) {
    const auto copy = [](const auto& from, auto& to) {
        to.store(from.load(std::memory_order_relaxed), std::memory_order_relaxed);
    };
    for (std::size_t i = 0; i < flow.memory.size(); ++i)
        copy(record.memory[i], flow.memory[i]);
    copy(record.protocol_detail, flow.protocol_detail);
    copy(record.protocol_word, flow.protocol_word);
    const TcpProgress now = tcp_progress(record);
    move_progress(flow, [now](TcpProgress) { return now; });
    mark(flow, flow_mark::replied | flow_mark::assured);
    refresh(flow, expires);
}

/// Tracks what may be new incarnations of live connections. One per worker.
template <class Family, class Traits>
class Incarnations {
  public:
    using Worker = FlowWorker<Family, Traits>;
    using Record = typename Worker::Record;

    using Round = nat::Round<Family>;

    /// All outlive this; `timestamps` may be null.
    Incarnations(Worker& worker, Timestamps<Family, Traits>* timestamps,
                 FlowEnd<Family, Traits>& end)
        : worker_(worker), timestamps_(timestamps), end_(end) {}

    /// A segment of `flow`, which is not over.
    [[nodiscard]] OfIncarnation track(const PacketContext<Family>& context, Record& flow,
                                      Direction direction, Round round) {
        const TcpProgress seen = tcp_progress(flow);
        if (direction == Direction::original && is_opening(context.parsed))
            return may_begin(context, flow, seen) ? begin(context, flow, round) : OfIncarnation::no;
        return seen.has_incarnation() ? go_on(context, flow, direction, round) : OfIncarnation::no;
    }

    /// The new incarnation of a flow; null: there is none.
    [[nodiscard]] const Record* of(const Record& flow) const {
        if (!tcp_progress(flow).has_incarnation()) return nullptr;
        const FlowId id = find(flow);
        return id == no_flow ? nullptr : &worker_.record(id);
    }

  private:
    using Claim = Reservation<Family, Traits>;

    /// None begins while the connection opens: then the latest SYN counts, and its copies change
    /// nothing.
    static bool may_begin(const PacketContext<Family>& context, const Record& flow,
                          TcpProgress seen) {
        if (seen.state() == TcpState::syn_sent || seen.state() == TcpState::syn_sent2) return false;
        return seen.state() != TcpState::syn_recv ||
               tcp_closing::end_of(flow, Direction::original) !=
                   segment_of(context.packet, context.parsed).end;
    }

    OfIncarnation begin(const PacketContext<Family>& context, Record& flow, Round round) {
        const Tuple<Family> original = incarnation_of(flow.tuple(Direction::original));
        const std::uint64_t hash = index().hash(original);
        if (const Found found = index().find(original, hash)) {
            Record& record = worker_.record(found.flow);
            if (!is_live(record)) return OfIncarnation::later;
            if (!belongs_to(record, flow)) {  // to a flow before this one
                release(found.flow, round);
                return OfIncarnation::later;
            }
            begin_again(context, record, round);
        } else {
            Claim claim(worker_, original, hash);
            if (claim.error() == SetupError::taken || claim.error() == SetupError::busy)
                return OfIncarnation::later;
            if (claim.error() != SetupError::none ||
                claim.reserve(incarnation_of(flow.tuple(Direction::reply))) != SetupError::none)
                return OfIncarnation::no;
            Record& record = claim.record();
            record.rule = flow.rule;
            const Moment expires = track_first(record, context.packet, context.parsed,
                                               round.policy.timeouts, round.now_ms);
            if (timestamps_ != nullptr)
                timestamps_->opens(context.packet, context.parsed, record, round.now_ms);
            claim.publish(expires, round.now_ms);
        }
        move_progress(flow, [](TcpProgress seen) {
            const bool lives =
                seen.state() != TcpState::syn_sent && seen.state() != TcpState::time_wait;
            return lives ? seen.with_incarnation(true) : seen;
        });
        return OfIncarnation::yes;
    }

    /// A copy of the SYN, or another one.
    void begin_again(const PacketContext<Family>& context, Record& record, Round round) {
        const TcpSegment syn = segment_of(context.packet, context.parsed);
        const bool is_copy = tcp_closing::end_of(record, Direction::original) == syn.end;
        if (!is_copy) {
            TcpWords(record, Direction::original, TcpWindow::strict)
                .open(syn, window_scale_of(context.packet, context.parsed));
            move_progress(record, [](TcpProgress) { return TcpProgress(TcpState::syn_sent); });
            refresh(record, expiry(round.now_ms, round.policy.timeouts.tcp_syn_sent_s));
        }
        if (timestamps_ != nullptr)
            timestamps_->passes(context.packet, context.parsed, record, Direction::original,
                                !is_copy, round.now_ms);
    }

    OfIncarnation go_on(const PacketContext<Family>& context, Record& flow, Direction direction,
                        Round round) {
        const FlowId id = find(flow);
        if (id == no_flow) {
            move_progress(flow, [](TcpProgress seen) { return seen.with_incarnation(false); });
            return OfIncarnation::no;
        }
        Record& record = worker_.record(id);
        const TcpOutcome outcome = tcp_tracking::move(record, direction, context.packet,
                                                      context.parsed, TcpWindow::strict);
        if (!outcome.fits) return OfIncarnation::no;
        if (timestamps_ != nullptr)
            timestamps_->passes(context.packet, context.parsed, record, direction, false,
                                round.now_ms);
        decide(flow, id, direction, outcome.state, round);
        return OfIncarnation::yes;
    }

    /// The live record of a flow's new incarnation; 0: there is none.
    FlowId find(const Record& flow) const {
        const Tuple<Family> original = incarnation_of(flow.tuple(Direction::original));
        const Found found = index().find(original, index().hash(original));
        const bool is_its = found && is_live(worker_.record(found.flow)) &&
                            belongs_to(worker_.record(found.flow), flow);
        return is_its ? found.flow : no_flow;
    }

    /// A segment of `direction` has moved the record to `state`.
    void decide(Record& flow, FlowId id, Direction direction, TcpState state, Round round) {
        Record& record = worker_.record(id);
        if (state == TcpState::close) {
            if (direction == Direction::reply) {
                move_progress(flow, [](TcpProgress seen) { return seen.only(TcpState::close); });
                refresh(flow, expiry(round.now_ms, round.policy.timeouts.tcp_close_s));
            } else {
                move_progress(flow, [](TcpProgress seen) { return seen.with_incarnation(false); });
            }
            release(id, round);
        } else if (direction == Direction::original && !is_half_open(state)) {
            take_over(flow, record,
                      expiry(round.now_ms, timeout_s(round.policy.timeouts, tcp_state(record))));
            release(id, round);
        } else {
            refresh(record, expiry(round.now_ms, timeout_s(round.policy.timeouts, state)));
        }
    }

    static bool is_live(const Record& record) {
        return record.status.load(std::memory_order_acquire) == FlowStatus::live;  // (5)
    }
    static bool belongs_to(const Record& record, const Record& flow) {
        return record.tuple(Direction::reply) == incarnation_of(flow.tuple(Direction::reply));
    }
    void release(FlowId id, Round round) {
        worker_.table().release(id, worker_.counters(), end_.under(round.policy, round.now_ms));
    }
    [[nodiscard]] auto& index() const { return worker_.table().index(); }

    Worker& worker_;
    Timestamps<Family, Traits>* timestamps_;
    FlowEnd<Family, Traits>& end_;
};

}  // namespace noclash::nat
