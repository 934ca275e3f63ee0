// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cassert>
#include <cstdint>
#include <cstring>
#include <vector>

#include "nat/fragments/index_list.hpp"

namespace noclash::nat {

/// A fragment that waits for the rest of its packet: which bytes of the packet's payload it holds,
/// and where they lie.
struct Piece {
    void* buffer = nullptr;               ///< the owner's; nothing here looks into it
    const std::uint8_t* bytes = nullptr;  ///< of the payload, in the buffer
    std::uint32_t begin = 0;              ///< in bytes of the packet's payload
    std::uint32_t end = 0;                ///< more than `begin`
    std::uint16_t packet_bytes = 0;       ///< of the IP packet that the fragment is
    bool last = false;                    ///< no "more fragments"
};

/// All pieces that can wait at a time. One thread's own; allocates when it is made and never again.
class PiecePool {
  public:
    explicit PiecePool(std::uint32_t capacity) : nodes_(capacity) {
        for (std::uint32_t i = capacity; i > 0; --i)
            release(i - 1);
    }

    /// There must be a free one.
    [[nodiscard]] std::uint32_t take(const Piece& piece) {
        assert(free_ != no_index);
        const std::uint32_t index = free_;
        free_ = nodes_[index].next;
        nodes_[index] = {piece, no_index};
        return index;
    }
    void release(std::uint32_t index) {
        nodes_[index].next = free_;
        free_ = index;
    }
    [[nodiscard]] const Piece& piece(std::uint32_t index) const { return nodes_[index].piece; }
    [[nodiscard]] std::uint32_t next(std::uint32_t index) const { return nodes_[index].next; }
    void set_next(std::uint32_t index, std::uint32_t next) { nodes_[index].next = next; }

  private:
    struct Node {
        Piece piece;
        std::uint32_t next = no_index;  ///< of the packet, or of the free ones
    };
    std::vector<Node> nodes_;
    std::uint32_t free_ = no_index;
};

/// How a fragment goes with those of its packet that are there.
enum class Fit : std::uint8_t {
    fits,        ///< it brings bytes that were missing
    copy,        ///< the same bytes at the same place as one of them
    contradicts  ///< it overlaps one of them, or they do not agree where the packet ends
};

/// The pieces of one packet, in the order of their bytes. None overlap, so that the packet is whole
/// when there are as many bytes as it has.
class PieceList {
  public:
    [[nodiscard]] std::uint32_t count() const { return count_; }
    [[nodiscard]] std::uint32_t first() const { return first_; }
    [[nodiscard]] bool whole() const { return held_ == end_; }
    /// Bytes of the packet's payload, when it is `whole`.
    [[nodiscard]] std::uint32_t payload_bytes() const { return held_; }

    /// Takes the piece if it fits, and if so needs a free place in the pool. At once where
    /// fragments come in order, forwards or backwards; else it looks at no more than `count()` of
    /// them.
    Fit add(PiecePool& pool, const Piece& piece) {
        const Place place = place_of(pool, piece);
        if (place.behind != no_index) {
            const Piece& other = pool.piece(place.behind);
            if (other.begin < piece.end) return same(piece, other) ? Fit::copy : Fit::contradicts;
        }
        if (!agrees(pool, piece)) return Fit::contradicts;
        const std::uint32_t index = pool.take(piece);
        pool.set_next(index, place.behind);
        if (place.before == no_index)
            first_ = index;
        else
            pool.set_next(place.before, index);
        if (place.behind == no_index) last_ = index;
        ++count_;
        held_ += piece.end - piece.begin;
        if (piece.last) end_ = piece.end;
        return Fit::fits;
    }

    /// Whether the piece is a copy of one of them.
    [[nodiscard]] bool holds(const PiecePool& pool, const Piece& piece) const {
        const Place place = place_of(pool, piece);
        return place.behind != no_index && same(piece, pool.piece(place.behind));
    }

    /// Gives all pieces back to the pool, after `visit(piece)` of each.
    template <class Visit>
    void clear(PiecePool& pool, Visit&& visit) {
        for (std::uint32_t at = first_; at != no_index;) {
            const std::uint32_t next = pool.next(at);
            visit(pool.piece(at));
            pool.release(at);
            at = next;
        }
        *this = {};
    }

  private:
    static constexpr std::uint32_t unknown = 0xffff'ffff;

    /// Neighbours: the last that ends before a piece begins, and the one behind that.
    struct Place {
        std::uint32_t before;
        std::uint32_t behind;
    };
    [[nodiscard]] Place place_of(const PiecePool& pool, const Piece& piece) const {
        if (last_ == no_index || pool.piece(last_).end <= piece.begin) return {last_, no_index};
        Place place{no_index, first_};
        while (pool.piece(place.behind).end <= piece.begin)
            place = {place.behind, pool.next(place.behind)};
        return place;
    }

    [[nodiscard]] static bool same(const Piece& a, const Piece& b) {
        return a.begin == b.begin && a.end == b.end && a.last == b.last &&
               std::memcmp(a.bytes, b.bytes, a.end - a.begin) == 0;
    }
    /// On where the packet ends; the piece overlaps none.
    [[nodiscard]] bool agrees(const PiecePool& pool, const Piece& piece) const {
        if (piece.last)
            return end_ == unknown && (last_ == no_index || pool.piece(last_).end <= piece.begin);
        return piece.end < end_;
    }

    std::uint32_t first_ = no_index;
    std::uint32_t last_ = no_index;
    std::uint32_t count_ = 0;
    std::uint32_t held_ = 0;       ///< bytes
    std::uint32_t end_ = unknown;  ///< of the packet's payload
};

}  // namespace noclash::nat
