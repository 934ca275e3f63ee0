// SPDX-License-Identifier: Apache-2.0
#pragma once

// # The store of fragments
//
// Fragments wait here for the rest of their packets (RFC 791, section 3.2; RFC 815). Whose buffers
// they lie in, the store does not know.
//
// * Nobody can aim packets at one place: the table of packets is keyed at random.
// * A copy of a fragment that is there is ignored. A true overlap, or two ends, cost the packet;
//   its key is remembered for a while, so that nothing that comes later is put in their place
//   (RFC 5722 demands it for IPv6).
// * All bounds hold against floods: so many fragments in all, of one source, and of one packet.
//   Where there is no room, the *oldest* other packet gives way, of the same source where it has
//   its share. A flood then has to fill a share, or the store, within the time that a packet takes
//   to arrive; if newcomers were refused, it would have a whole timeout for that.
// * The key of a packet that was whole is remembered, too: what still comes of it are copies, and
//   is counted as such when nothing becomes of it. A sender may use the key again, at once.
//
// Every call takes constant time but for the walk along one packet's pieces.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "engine/tuple_hash.hpp"
#include "nat/fragments/fragment_pieces.hpp"
#include "nat/fragments/fragment_quota.hpp"
#include "nat/packet/drop_reason.hpp"

namespace noclash::nat {

/// A packet comes in so many fragments at most: 65,535 bytes in fragments of 552 bytes of payload
/// (that fit the MTU of 576) are 119.
inline constexpr std::uint32_t most_pieces = 128;

struct ReassemblyBounds {
    std::uint32_t capacity;    ///< fragments that may wait, at least 1
    std::uint32_t per_source;  ///< of those, of one source
    std::uint64_t timeout_ms;  ///< from a packet's first fragment to come to its last
};

/// The fields that all fragments of a packet have in common.
template <class Family>
[[nodiscard]] Tuple<Family> fragment_key(const typename Family::Address& source,
                                         const typename Family::Address& destination,
                                         std::uint8_t protocol, std::uint32_t identification,
                                         std::uint16_t ingress_port) {
    return {source,
            destination,
            Be16::from_host(static_cast<std::uint16_t>(identification)),
            Be16::from_host(ingress_port),
            static_cast<std::uint16_t>(identification >> 16U),
            protocol};
}

/// One thread's own; allocates when it is made and never again. A `Sink` is told of every buffer
/// that was handed in, once, and owns it again:
///
///     drop(buffer, reason)    its packet will never be whole, for this reason
///     copy(buffer)            a copy of a fragment that is or was there
///     whole(pool, list)       the buffers of all of the list's pieces are a packet
template <class Family>
class ReassemblyStore {
  public:
    using Key = Tuple<Family>;

    explicit ReassemblyStore(const ReassemblyBounds& bounds)
        : bounds_(bounds),
          shares_(bounds.capacity, bounds.per_source),
          pool_(bounds.capacity),
          packets_(std::size_t{bounds.capacity} * 2),
          table_(std::bit_ceil(packets_.size()), no_index) {
        for (auto i = static_cast<std::uint32_t>(packets_.size()); i > 0; --i)
            give_back(i - 1);
    }

    /// Other bounds from now on; `capacity` stays.
    void set_bounds(std::uint32_t per_source, std::uint32_t timeout_ms) {
        bounds_.per_source = per_source;
        bounds_.timeout_ms = timeout_ms;
        shares_.set_most(per_source);
    }

    /// `key` is a `fragment_key`, in which no other bits are set.
    template <class Sink>
    void add(const Key& key, const Piece& piece, std::uint64_t now_ms, Sink& sink) {
        now_ms_ = now_ms;
        std::uint32_t at = find(key);
        if (at != no_index && is_over(packets_[at], now_ms)) at = end_of_time(at, sink);
        bool again = false;
        if (at != no_index && packets_[at].state == State::refused)
            return sink.drop(piece.buffer, packets_[at].reason);
        if (at != no_index && packets_[at].state == State::done) {
            again = true;
            at = forget(at);
        }
        if (at != no_index && packets_[at].pieces.count() == most_pieces && !is_copy(at, piece)) {
            sink.drop(piece.buffer, DropReason::fragment_count);
            return refuse(at, DropReason::fragment_count, sink);
        }
        if (const DropReason full = make_room(key.source, at, piece, sink);
            full != DropReason::none) {
            sink.drop(piece.buffer, full);
            if (at != no_index) refuse(at, full, sink);
            return;
        }
        if (at == no_index) at = begin(key, again);
        take(at, piece, sink);
    }

    /// Ends what has waited too long, or is remembered for long enough: some of it at a time.
    template <class Sink>
    void expire(std::uint64_t now_ms, Sink& sink) {
        constexpr int at_once = 256;
        for (int i = 0; i < at_once && !waiting_.empty(); ++i) {
            if (!is_over(packets_[waiting_.first], now_ms)) break;
            end_of_time(waiting_.first, sink);
        }
        for (int i = 0; i < at_once && !settled_.empty(); ++i) {
            if (!is_over(packets_[settled_.first], now_ms)) break;
            forget(settled_.first);
        }
    }

    /// Gives every buffer back as expired.
    template <class Sink>
    void clear(Sink& sink) {
        while (!waiting_.empty())
            end_of_time(waiting_.first, sink);
    }

    /// Fragments that wait.
    [[nodiscard]] std::uint32_t waiting() const { return shares_.total(); }
    /// Whether `expire` may have something to do.
    [[nodiscard]] bool empty() const { return waiting_.empty() && settled_.empty(); }

  private:
    enum class State : std::uint8_t { waiting, refused, done };

    struct Packet {
        Key key{};
        PieceList pieces;               ///< of one that is `waiting`: at least one
        std::uint64_t since_ms = 0;     ///< its first fragment came, or it stopped waiting
        ListLink age;                   ///< among those that wait, or among the others
        ListLink of_source;             ///< among those of its source that wait
        std::uint32_t next = no_index;  ///< in its chain of the table, or of the free ones
        State state = State::waiting;
        bool again = false;  ///< its key was that of a packet that had become whole
        DropReason reason = DropReason::none;  ///< `refused`: why
    };

    [[nodiscard]] auto by_age() {
        return [this](std::uint32_t at) -> ListLink& { return packets_[at].age; };
    }
    [[nodiscard]] auto by_source() {
        return [this](std::uint32_t at) -> ListLink& { return packets_[at].of_source; };
    }
    [[nodiscard]] bool is_over(const Packet& packet, std::uint64_t now_ms) const {
        return now_ms - packet.since_ms > bounds_.timeout_ms;
    }
    [[nodiscard]] std::uint32_t& chain(const Key& key) {
        return table_[hash_(key) & (table_.size() - 1)];
    }
    [[nodiscard]] std::uint32_t find(const Key& key) {
        std::uint32_t at = chain(key);
        while (at != no_index && packets_[at].key != key)
            at = packets_[at].next;
        return at;
    }
    void give_back(std::uint32_t at) {
        packets_[at].next = free_;
        free_ = at;
    }
    [[nodiscard]] bool is_copy(std::uint32_t at, const Piece& piece) const {
        return packets_[at].pieces.holds(pool_, piece);
    }

    /// A packet whose first piece is taken next.
    [[nodiscard]] std::uint32_t begin(const Key& key, bool again) {
        const std::uint32_t at = free_;
        Packet& packet = packets_[at];
        free_ = packet.next;
        packet = {};
        packet.key = key;
        packet.since_ms = now_ms_;
        packet.again = again;
        std::uint32_t& head = chain(key);
        packet.next = head;
        head = at;
        waiting_.push_back(at, by_age());
        return at;
    }

    /// There is room for the piece.
    template <class Sink>
    void take(std::uint32_t at, const Piece& piece, Sink& sink) {
        Packet& packet = packets_[at];
        const Fit fit = packet.pieces.add(pool_, piece);
        if (fit == Fit::copy) return sink.copy(piece.buffer);
        if (fit == Fit::contradicts) {
            sink.drop(piece.buffer, DropReason::fragment_overlap);
            return refuse(at, DropReason::fragment_overlap, sink);
        }
        shares_.add(packet.key.source);
        if (packet.pieces.count() == 1) shares_.note(packet.key.source).push_back(at, by_source());
        if (!packet.pieces.whole()) return;
        sink.whole(pool_, packet.pieces);
        settle(at, State::done, [](const Piece&) {});
    }

    /// So that one more fragment of a source, of packet `at` where it has begun, may wait.
    template <class Sink>
    [[nodiscard]] DropReason make_room(const typename Family::Address& source, std::uint32_t at,
                                       const Piece& piece, Sink& sink) {
        const bool exhausted = shares_.exhausted(source);
        if (!exhausted && !shares_.full()) [[likely]]
            return DropReason::none;
        if (at != no_index && is_copy(at, piece)) return DropReason::none;
        const DropReason reason =
            exhausted ? DropReason::fragment_source : DropReason::fragment_full;
        std::uint32_t oldest = exhausted ? shares_.note(source).first : waiting_.first;
        if (oldest == at && at != no_index)
            oldest = exhausted ? packets_[at].of_source.behind : packets_[at].age.behind;
        if (oldest == no_index) return reason;
        give_up(oldest, reason, sink);
        return DropReason::none;
    }

    /// A packet that waits never becomes whole, for `reason`; nothing remembers it.
    template <class Sink>
    void give_up(std::uint32_t at, DropReason reason, Sink& sink) {
        const bool again = packets_[at].again;
        stop_waiting(at, [&](const Piece& piece) {
            if (again)
                sink.copy(piece.buffer);
            else
                sink.drop(piece.buffer, reason);
        });
        unchain(at);
        give_back(at);
    }

    /// Likewise, and nothing that still comes of it is taken.
    template <class Sink>
    void refuse(std::uint32_t at, DropReason reason, Sink& sink) {
        packets_[at].reason = reason;
        settle(at, State::refused, [&](const Piece& piece) { sink.drop(piece.buffer, reason); });
    }

    /// Ends the time of a packet of either kind; returns that there is none.
    template <class Sink>
    std::uint32_t end_of_time(std::uint32_t at, Sink& sink) {
        if (packets_[at].state != State::waiting) return forget(at);
        give_up(at, DropReason::fragment_timeout, sink);
        return no_index;
    }

    template <class Visit>
    void stop_waiting(std::uint32_t at, Visit&& visit) {
        Packet& packet = packets_[at];
        const std::uint32_t count = packet.pieces.count();
        shares_.note(packet.key.source).remove(at, by_source());
        shares_.remove(packet.key.source, count);
        waiting_.remove(at, by_age());
        packet.pieces.clear(pool_, visit);
    }

    template <class Visit>
    void settle(std::uint32_t at, State state, Visit&& visit) {
        stop_waiting(at, visit);
        packets_[at].state = state;
        packets_[at].since_ms = now_ms_;
        if (settled_count_ == bounds_.capacity) forget(settled_.first);
        settled_.push_back(at, by_age());
        ++settled_count_;
    }

    /// A packet that does not wait; returns that there is none.
    std::uint32_t forget(std::uint32_t at) {
        settled_.remove(at, by_age());
        --settled_count_;
        unchain(at);
        give_back(at);
        return no_index;
    }

    void unchain(std::uint32_t at) {
        std::uint32_t* link = &chain(packets_[at].key);
        while (*link != at)
            link = &packets_[*link].next;
        *link = packets_[at].next;
    }

    ReassemblyBounds bounds_;
    FragmentQuota<Family, IndexList> shares_;  ///< of fragments; beside them, who waits, by age
    PiecePool pool_;
    std::vector<Packet> packets_;       ///< as many as fragments can wait, and those remembered
    std::vector<std::uint32_t> table_;  ///< heads of chains, by hash
    std::uint64_t now_ms_ = 0;          ///< of the last fragment
    std::uint32_t free_ = no_index;
    std::uint32_t settled_count_ = 0;  ///< never more than `capacity`
    IndexList waiting_;                ///< by age
    IndexList settled_;                ///< refused and done, by age
    TupleHash hash_;
};

}  // namespace noclash::nat
