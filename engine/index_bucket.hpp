// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "engine/flow.hpp"
#include "engine/tuple.hpp"

namespace noclash {

/// The header word of an index bucket. It *is* the bucket's set of visible entries:
///
///     bit 63      58 57        48 47                                  0
///        [ version ] [ overflow ] [ tag 11 ] ...  [ tag 1 ] [ tag 0 ]
///
/// A tag is 4 bits of the hash, never 0; 0 says "nothing visible in this slot". The overflow bits
/// say whether untagged slots are visible: two more in the bucket, and eight in a block that a few
/// neighbouring buckets share (a bit is set in the header of the bucket that owns the entry). Every
/// change of the set is one compare-and-swap of this word that also bumps the version.
class BucketHeader {
  public:
    static constexpr unsigned tagged_slots = 12;
    static constexpr unsigned local_slots = 14;
    static constexpr unsigned shared_slots = 8;
    static constexpr unsigned positions = local_slots + shared_slots;
    static constexpr unsigned versions = 64;

    constexpr BucketHeader() = default;
    explicit constexpr BucketHeader(std::uint64_t word) : word_(word) {}
    [[nodiscard]] constexpr std::uint64_t word() const { return word_; }

    [[nodiscard]] static constexpr unsigned tag_of(std::uint64_t hash) {
        return static_cast<unsigned>(((hash & 0xffffU) * 15U) >> 16U) + 1U;
    }

    /// Bit 4*i+3 is set when slot i shows `tag`. Exact: no slot is reported in error.
    [[nodiscard]] constexpr std::uint64_t matches(unsigned tag) const {
        const std::uint64_t different = (word_ ^ (ones * tag)) & tags_mask;
        const std::uint64_t nonzero = ((different & ~high_bits) + (high_bits - ones)) | different;
        return ~nonzero & high_bits;
    }
    [[nodiscard]] static constexpr unsigned slot_of(std::uint64_t matches) {
        return static_cast<unsigned>(std::countr_zero(matches)) / 4;
    }
    [[nodiscard]] constexpr unsigned overflow_bits() const {
        return static_cast<unsigned>(word_ >> overflow_shift) & 0x3ffU;
    }
    [[nodiscard]] constexpr unsigned visible() const {
        return static_cast<unsigned>(std::popcount(~matches(0) & high_bits) +
                                     std::popcount(overflow_bits()));
    }

    /// The header with one entry more or less, and the next version. Positions count the tagged
    /// slots, then those that the overflow bits stand for.
    [[nodiscard]] constexpr BucketHeader with(unsigned position, unsigned tag) const {
        return BucketHeader(next_version(word_ | bits_of(position, tag)));
    }
    [[nodiscard]] constexpr BucketHeader without(unsigned position) const {
        return BucketHeader(next_version(word_ & ~bits_of(position, 0xf)));
    }

  private:
    static constexpr std::uint64_t tags_mask = 0x0000'ffff'ffff'ffffULL;
    static constexpr std::uint64_t ones = 0x0000'1111'1111'1111ULL;
    static constexpr std::uint64_t high_bits = 0x0000'8888'8888'8888ULL;
    static constexpr unsigned overflow_shift = 48;
    static constexpr unsigned version_shift = 58;

    static constexpr std::uint64_t bits_of(unsigned position, unsigned tag) {
        return position < tagged_slots ? std::uint64_t{tag} << (4 * position)
                                       : 1ULL << (overflow_shift + position - tagged_slots);
    }
    static constexpr std::uint64_t next_version(std::uint64_t word) {
        return word + (1ULL << version_shift);  // wraps within its own bits: they are the top ones
    }

    std::uint64_t word_ = 0;
};

/// What a slot refers to: a flow, one of its two tuples, and as many bits of that tuple's hash as
/// there is room for, so that a lookup reads a flow that is not its own about once in a hundred.
/// 0 is an empty slot.
using SlotRef = std::uint32_t;

/// Packs and unpacks `SlotRef` for a pool of a given size.
class RefFormat {
  public:
    explicit constexpr RefFormat(FlowId last_id)
        : id_bits_(static_cast<unsigned>(std::bit_width(last_id)) + 1U) {}

    [[nodiscard]] constexpr SlotRef pack(FlowId flow, Direction direction,
                                         std::uint64_t hash) const {
        return (hash_bits(hash) << id_bits_) | (flow << 1U) | static_cast<SlotRef>(direction);
    }
    [[nodiscard]] constexpr FlowId flow(SlotRef ref) const {
        return (ref & ((SlotRef{1} << id_bits_) - 1U)) >> 1U;
    }
    [[nodiscard]] static constexpr Direction direction(SlotRef ref) {
        return static_cast<Direction>(ref & 1U);
    }
    /// Whether the hash bits in `ref` agree with `hash`.
    [[nodiscard]] constexpr bool agrees(SlotRef ref, std::uint64_t hash) const {
        return (ref >> id_bits_) == hash_bits(hash);
    }

  private:
    [[nodiscard]] constexpr SlotRef hash_bits(std::uint64_t hash) const {
        return static_cast<SlotRef>(hash >> 16U) & (~SlotRef{0} >> id_bits_);
    }
    unsigned id_bits_;  ///< 2..31: flow number and direction
};

/// One cache line.
template <class Traits>
struct alignas(64) IndexBucket {
    typename Traits::template Atomic<std::uint64_t> header{0};
    std::array<typename Traits::template Atomic<SlotRef>, BucketHeader::local_slots> refs{};
};

/// The slots that neighbouring buckets share; a bucket in 4,000 reaches for them.
template <class Traits>
struct SharedOverflow {
    std::array<typename Traits::template Atomic<SlotRef>, BucketHeader::shared_slots> refs{};
};

}  // namespace noclash
