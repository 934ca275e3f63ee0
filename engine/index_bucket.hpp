// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "engine/flow.hpp"
#include "engine/index_place.hpp"
#include "engine/tuple.hpp"

namespace noclash {

/// A set of a bucket's positions, laid out as the header word is: bit 4*i+3 stands for tagged slot
/// i, bit 52+j for shared slot j. Iterate with `for (PositionSet set = ..; set; set.drop_first())`.
class PositionSet {
  public:
    explicit constexpr PositionSet(std::uint64_t bits) : bits_(bits) {}
    explicit constexpr operator bool() const { return bits_ != 0; }
    /// The lowest position. Not of an empty set.
    [[nodiscard]] constexpr unsigned first() const {
        const auto bit = static_cast<unsigned>(std::countr_zero(bits_));
        return bit < overflow_shift ? bit / 4 : bit - overflow_shift + overflow_shift / 4;
    }
    constexpr void drop_first() { bits_ &= bits_ - 1; }
    /// `first()`, of a set of tagged slots alone.
    [[nodiscard]] constexpr unsigned first_tagged() const {
        return static_cast<unsigned>(std::countr_zero(bits_)) / 4;
    }
    [[nodiscard]] constexpr unsigned size() const {
        return static_cast<unsigned>(std::popcount(bits_));
    }
    static constexpr unsigned overflow_shift = 52;

  private:
    std::uint64_t bits_;
};

/// The header word of an index bucket. It *is* the bucket's set of shown entries:
///
///     bit 63        52 51                                  0
///        [ overflow  ] [ tag 12 ] ...  [ tag 1 ] [ tag 0 ]
///
/// A tag is 4 bits of the hash, never 0; 0 says "nothing shown in this slot". The overflow bits say
/// whether slots of a block are shown that a few neighbouring buckets share (a bit is set in the
/// header of the bucket that owns the entry). Every change of the set is one compare-and-swap of
/// this word.
class BucketHeader {
  public:
    static constexpr unsigned local_slots = 13;
    static constexpr unsigned shared_slots = 12;
    static constexpr unsigned positions = local_slots + shared_slots;
    static_assert(positions <= 1U << IndexPlace::position_bits);

    constexpr BucketHeader() = default;
    explicit constexpr BucketHeader(std::uint64_t word) : word_(word) {}
    [[nodiscard]] constexpr std::uint64_t word() const { return word_; }

    [[nodiscard]] static constexpr unsigned tag_of(std::uint64_t hash) {
        return static_cast<unsigned>(((hash & 0xffffU) * 15U) >> 16U) + 1U;
    }

    /// The slots of the bucket's own line that show this tag, exactly.
    [[nodiscard]] constexpr PositionSet tagged(unsigned tag) const {
        return PositionSet(slots_with(tag));
    }
    /// As `tagged`, for less, when only the first one counts: those above it may be in error.
    [[nodiscard]] constexpr PositionSet first_tagged(unsigned tag) const {
        return PositionSet(lowest_with(tag));
    }
    /// The shared slots that are shown: what they hold has no tag.
    [[nodiscard]] constexpr PositionSet overflow() const {
        return PositionSet(word_ & overflow_mask);
    }
    [[nodiscard]] constexpr PositionSet shown() const {
        return PositionSet((~slots_with(0) & high_bits) | (word_ & overflow_mask));
    }
    [[nodiscard]] constexpr PositionSet hidden() const {
        return PositionSet(slots_with(0) | (~word_ & overflow_mask));
    }
    /// Whether `tagged(tag)` or `overflow()` has any slot: else no entry of that tag is shown.
    [[nodiscard]] constexpr bool may_show(unsigned tag) const {
        return (lowest_with(tag) | (word_ & overflow_mask)) != 0;
    }
    /// The lowest slot of the bucket's own line that is not shown; `local_slots` when all are.
    [[nodiscard]] constexpr unsigned first_hidden() const {
        return PositionSet(lowest_with(0) | 1ULL << PositionSet::overflow_shift).first_tagged();
    }
    [[nodiscard]] constexpr unsigned overflowing() const { return overflow().size(); }

    /// The header with one entry more.
    [[nodiscard]] constexpr BucketHeader with(unsigned position, unsigned tag) const {
        return BucketHeader(word_ | bits_of(position, tag));
    }
    /// The bits of a header word that stay when the entry at `position` goes.
    [[nodiscard]] static constexpr std::uint64_t all_but(unsigned position) {
        return ~bits_of(position, 0xf);
    }

  private:
    static constexpr std::uint64_t ones = 0x0001'1111'1111'1111ULL;
    static constexpr std::uint64_t high_bits = 0x0008'8888'8888'8888ULL;
    static constexpr std::uint64_t tags_mask = 0x000f'ffff'ffff'ffffULL;
    static constexpr std::uint64_t overflow_mask = ~tags_mask;
    static_assert(PositionSet::overflow_shift == 4 * local_slots);

    /// The tagged slots whose tag is `tag`, 0 included; no slot is reported in error.
    [[nodiscard]] constexpr std::uint64_t slots_with(unsigned tag) const {
        const std::uint64_t different = (word_ ^ (ones * tag)) & tags_mask;
        const std::uint64_t nonzero = ((different & ~high_bits) + (high_bits - ones)) | different;
        return ~nonzero & high_bits;
    }
    /// As `slots_with`, for less, when only the lowest slot counts: those above may be in error.
    [[nodiscard]] constexpr std::uint64_t lowest_with(unsigned tag) const {
        const std::uint64_t different = word_ ^ (ones * tag);
        return (different - ones) & ~different & high_bits;
    }
    static constexpr std::uint64_t bits_of(unsigned position, unsigned tag) {
        return position < local_slots
                   ? std::uint64_t{tag} << (4 * position)
                   : 1ULL << (PositionSet::overflow_shift + position - local_slots);
    }

    std::uint64_t word_ = 0;
};

/// The content of a slot: a flow, one of its two tuples, and as many bits of that tuple's hash as
/// there is room for, so that a lookup reads a flow that is not its own about once in a hundred.
/// 0 is an empty slot.
using SlotRef = std::uint32_t;

/// Packs and unpacks `SlotRef` for a pool of a given size.
class RefFormat {
  public:
    explicit constexpr RefFormat(FlowId last_id)
        : hash_mask_(~SlotRef{0} << (std::bit_width(last_id) + 1)) {}

    [[nodiscard]] constexpr SlotRef pack(FlowId flow, Direction direction,
                                         std::uint64_t hash) const {
        return (static_cast<SlotRef>(hash) & hash_mask_) | (flow << 1U) |
               static_cast<SlotRef>(direction);
    }
    [[nodiscard]] constexpr FlowId flow(SlotRef ref) const { return (ref & ~hash_mask_) >> 1U; }
    [[nodiscard]] static constexpr Direction direction(SlotRef ref) {
        return static_cast<Direction>(ref & 1U);
    }
    /// Whether the hash bits in `ref` agree with `hash`.
    [[nodiscard]] constexpr bool agrees(SlotRef ref, std::uint64_t hash) const {
        return ((ref ^ static_cast<SlotRef>(hash)) & hash_mask_) == 0;
    }

  private:
    /// The bits above the flow's number and direction. There they are the hash's own: above those
    /// of the tag, and below those that chose the bucket.
    SlotRef hash_mask_;
};

/// One cache line, four bytes of which are left over.
template <class Traits>
struct alignas(64) IndexBucket {
    typename Traits::template Atomic<std::uint64_t> header{0};
    std::array<typename Traits::template Atomic<SlotRef>, BucketHeader::local_slots> refs{};
};

/// The slots that neighbouring buckets share.
template <class Traits>
struct SharedOverflow {
    std::array<typename Traits::template Atomic<SlotRef>, BucketHeader::shared_slots> refs{};
};

}  // namespace noclash
