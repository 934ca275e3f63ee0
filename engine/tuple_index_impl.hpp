// SPDX-License-Identifier: Apache-2.0
#pragma once

// Bodies of TupleIndex; the theory of operation is in engine/tuple_index.hpp.

#include <cassert>

#include "engine/tuple_index.hpp"

namespace noclash {

template <class Family, class Traits>
TupleIndex<Family, Traits>::TupleIndex(const Pool& pool, std::uint32_t flows)
    : pool_(pool),
      format_(pool.last_id()),
      buckets_(buckets_for(flows)),
      shared_(buckets_.size() / buckets_per_share + 1) {}

template <class Family, class Traits>
template <class Accept>
Found TupleIndex<Family, Traits>::first_shown(std::size_t number, BucketHeader header,
                                              std::uint64_t hash, Accept accept) const {
    const Bucket& bucket = buckets_[number];
    for (PositionSet left = header.tagged(BucketHeader::tag_of(hash)); left; left.drop_first()) {
        const SlotRef ref =
            bucket.refs[left.first_tagged()].load(std::memory_order_acquire);  // (31)
        if (accept(ref)) return found(ref);
    }
    for (PositionSet left = header.overflow(); left; left.drop_first()) {
        const SlotRef ref = slot(number, left.first()).load(std::memory_order_acquire);  // (31)
        if (accept(ref)) return found(ref);
    }
    return {};
}

template <class Family, class Traits>
Found TupleIndex<Family, Traits>::scan(std::size_t bucket, BucketHeader header, const Key& key,
                                       std::uint64_t hash) const {
    return first_shown(bucket, header, hash, [&](SlotRef ref) { return holds(ref, key, hash); });
}

template <class Family, class Traits>
Found TupleIndex<Family, Traits>::candidate(const Bucket* buckets, std::size_t number,
                                            RefFormat format, std::uint64_t hash) const {
    const Bucket& bucket = buckets[number];
    const BucketHeader header(bucket.header.load(std::memory_order_acquire));  // (2)
    if (const PositionSet likely = header.first_tagged(BucketHeader::tag_of(hash))) [[likely]] {
        const SlotRef ref =
            bucket.refs[likely.first_tagged()].load(std::memory_order_acquire);  // (31)
        if (format.agrees(ref, hash)) [[likely]]
            return found(format, ref);
    } else if (!header.overflow()) [[likely]] {
        return {};
    }
    return candidate_behind(number, header, hash);
}

template <class Family, class Traits>
Found TupleIndex<Family, Traits>::find(const Key& key, std::uint64_t hash) const {
    const std::size_t bucket = bucket_of(hash);
    const BucketHeader header(buckets_[bucket].header.load(std::memory_order_acquire));  // (2)
    if (!header.may_show(BucketHeader::tag_of(hash))) [[likely]]
        return {};
    return scan(bucket, header, key, hash);
}

template <class Family, class Traits>
InsertResult TupleIndex<Family, Traits>::insert(FlowId flow, Direction direction, const Key& key,
                                                std::uint64_t hash, EngineCounters& counters) {
    const std::size_t bucket = bucket_of(hash);
    const SlotRef ref = format_.pack(flow, direction, hash);
    const std::uint64_t seen = buckets_[bucket].header.load(std::memory_order_seq_cst);  // (2)
    const BucketHeader header(seen);
    if (header.may_show(BucketHeader::tag_of(hash))) [[unlikely]]
        if (const Found owner = scan(bucket, header, key, hash)) return {SetupError::taken, owner};
    // The usual course: the first slot that is not shown is empty, and nobody changes the header
    // meanwhile.
    const unsigned mine = header.first_hidden();
    if (mine == BucketHeader::local_slots || !take(buckets_[bucket].refs[mine], ref)) [[unlikely]]
        return insert_again(bucket, ref, BucketHeader::positions, key, hash, counters);
    if (show(bucket, seen, mine, hash)) [[likely]]
        return {SetupError::none, {}, {bucket, mine}};
    counters.search_restart.add();
    return insert_again(bucket, ref, mine, key, hash, counters);
}

template <class Family, class Traits>
InsertResult TupleIndex<Family, Traits>::insert_again(std::size_t bucket, SlotRef ref,
                                                      unsigned mine, const Key& key,
                                                      std::uint64_t hash,
                                                      EngineCounters& counters) {
    for (unsigned scans = 0; scans < most_scans; ++scans) {
        const std::uint64_t seen = buckets_[bucket].header.load(std::memory_order_seq_cst);  // (2)
        const BucketHeader header(seen);
        if (const Found owner = scan(bucket, header, key, hash)) {
            // A slot that was taken and never shown goes back at once: nobody has looked at it.
            if (mine != BucketHeader::positions)
                slot(bucket, mine).store(0, std::memory_order_relaxed);
            return {SetupError::taken, owner};
        }
        if (mine == BucketHeader::positions) mine = take_slot(header.hidden(), bucket, ref);
        if (mine == BucketHeader::positions) {
            if (header.shown().size() < BucketHeader::local_slots) return {SetupError::busy};
            counters.chain_too_long.add();
            return {SetupError::chain_too_long};
        }
        if (show(bucket, seen, mine, hash)) return {SetupError::none, {}, IndexPlace(bucket, mine)};
        counters.search_restart.add();
    }
    std::abort();  // More changes than slots: a caller broke the quiescence contract.
}

/// The position of a slot among `hidden` that was empty and now holds `ref`; `positions` when all
/// are in use.
template <class Family, class Traits>
unsigned TupleIndex<Family, Traits>::take_slot(PositionSet hidden, std::size_t bucket,
                                               SlotRef ref) {
    for (; hidden; hidden.drop_first()) {
        Slot& free = slot(bucket, hidden.first());
        if (free.load(std::memory_order_relaxed) == 0 && take(free, ref)) return hidden.first();
    }
    return BucketHeader::positions;
}

template <class Family, class Traits>
void TupleIndex<Family, Traits>::remove(IndexPlace place) {
    assert((buckets_[place.bucket()].header.load(std::memory_order_relaxed) &
            ~BucketHeader::all_but(place.position())) != 0);  // it is shown
    buckets_[place.bucket()].header.fetch_and(BucketHeader::all_but(place.position()),
                                              std::memory_order_seq_cst);  // (3)
}

template <class Family, class Traits>
void TupleIndex<Family, Traits>::hand_over(IndexPlace place, FlowId to, Direction direction,
                                           std::uint64_t hash) {
    slot(place.bucket(), place.position())
        .store(format_.pack(to, direction, hash), std::memory_order_release);  // (30)
}

template <class Family, class Traits>
void TupleIndex<Family, Traits>::reclaim_slot(IndexPlace place) {
    slot(place.bucket(), place.position()).store(0, std::memory_order_relaxed);
}

template <class Family, class Traits>
auto TupleIndex<Family, Traits>::occupancy() const -> Occupancy {
    Occupancy result;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
        const BucketHeader header(buckets_[i].header.load(std::memory_order_relaxed));
        result.entries += header.shown().size();
        result.overflowing_buckets += header.overflowing() > 0 ? 1U : 0U;
    }
    return result;
}

}  // namespace noclash
