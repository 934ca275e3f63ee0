// SPDX-License-Identifier: Apache-2.0
#pragma once

// Bodies of TupleIndex; the theory of operation is in engine/tuple_index.hpp.

#include "engine/tuple_index.hpp"

namespace noclash {

template <class Family, class Traits>
TupleIndex<Family, Traits>::TupleIndex(const Pool& pool, std::uint32_t flows)
    : pool_(pool),
      format_(pool.last_id()),
      buckets_(buckets_for(flows)),
      shared_(buckets_.size() / buckets_per_share + 1) {}

template <class Family, class Traits>
Found TupleIndex<Family, Traits>::scan(BucketHeader header, const Key& key,
                                       std::uint64_t hash) const {
    for (std::uint64_t left = header.matches(BucketHeader::tag_of(hash)); left != 0;
         left &= left - 1) {
        const SlotRef ref = slot(hash, BucketHeader::slot_of(left)).load(std::memory_order_relaxed);
        if (holds(ref, key, hash)) return found(ref);
    }
    for (unsigned left = header.overflow_bits(); left != 0; left &= left - 1) {
        const unsigned position =
            BucketHeader::tagged_slots + static_cast<unsigned>(std::countr_zero(left));
        const SlotRef ref = slot(hash, position).load(std::memory_order_relaxed);
        if (holds(ref, key, hash)) return found(ref);
    }
    return {};
}

template <class Family, class Traits>
void TupleIndex<Family, Traits>::prefetch_flow(std::uint64_t hash) const {
    const BucketHeader header(bucket(hash).header.load(std::memory_order_acquire));  // (2)
    for (std::uint64_t left = header.matches(BucketHeader::tag_of(hash)); left != 0;
         left &= left - 1) {
        const SlotRef ref = slot(hash, BucketHeader::slot_of(left)).load(std::memory_order_relaxed);
        if (!format_.agrees(ref, hash)) continue;
        const auto* record = reinterpret_cast<const char*>(&pool_[format_.flow(ref)]);
        __builtin_prefetch(record, 1, 3);
        __builtin_prefetch(record + 64, 1, 3);
        return;
    }
}

template <class Family, class Traits>
Found TupleIndex<Family, Traits>::find(const Key& key, std::uint64_t hash) const {
    return scan(BucketHeader(bucket(hash).header.load(std::memory_order_acquire)), key,
                hash);  // (2)
}

template <class Family, class Traits>
InsertResult TupleIndex<Family, Traits>::insert(FlowId flow, Direction direction, const Key& key,
                                                std::uint64_t hash, EngineCounters& counters) {
    auto& header = bucket(hash).header;
    const SlotRef ref = format_.pack(flow, direction, hash);
    unsigned mine = BucketHeader::positions;
    for (unsigned scans = 0; scans < most_scans; ++scans) {
        std::uint64_t seen = header.load(std::memory_order_acquire);  // (2)
        if (const Found owner = scan(BucketHeader(seen), key, hash)) {
            // A slot that was taken and never shown goes back at once: nobody has looked at it.
            if (mine != BucketHeader::positions)
                slot(hash, mine).store(0, std::memory_order_relaxed);
            return {InsertOutcome::taken, owner};
        }
        if (mine == BucketHeader::positions) mine = take_slot(hash, ref);
        if (mine == BucketHeader::positions) {
            if (BucketHeader(seen).visible() < BucketHeader::local_slots)
                return {InsertOutcome::busy};
            counters.chain_too_long.add();
            return {InsertOutcome::chain_too_long};
        }
        const BucketHeader shown = BucketHeader(seen).with(mine, BucketHeader::tag_of(hash));
        if (header.compare_exchange_strong(seen, shown.word(), std::memory_order_acq_rel,
                                           std::memory_order_relaxed))  // (1)
            return {InsertOutcome::inserted};
        counters.search_restart.add();
    }
    std::abort();  // More changes than slots: a caller broke the quiescence contract.
}

/// The position of a slot that was empty and now holds `ref`; `positions` when all are in use.
template <class Family, class Traits>
unsigned TupleIndex<Family, Traits>::take_slot(std::uint64_t hash, SlotRef ref) {
    for (unsigned position = 0; position < BucketHeader::positions; ++position) {
        Slot& candidate = slot(hash, position);
        SlotRef empty = 0;
        if (candidate.load(std::memory_order_relaxed) == 0 &&
            candidate.compare_exchange_strong(empty, ref, std::memory_order_relaxed,
                                              std::memory_order_relaxed))
            return position;
    }
    return BucketHeader::positions;
}

template <class Family, class Traits>
unsigned TupleIndex<Family, Traits>::position_of(std::uint64_t hash, SlotRef ref) const {
    for (unsigned position = 0; position < BucketHeader::positions; ++position)
        if (slot(hash, position).load(std::memory_order_relaxed) == ref) return position;
    std::abort();  // Removed twice, or never inserted.
}

template <class Family, class Traits>
void TupleIndex<Family, Traits>::remove(FlowId flow, Direction direction, std::uint64_t hash) {
    const unsigned position = position_of(hash, format_.pack(flow, direction, hash));
    auto& header = bucket(hash).header;
    std::uint64_t seen = header.load(std::memory_order_relaxed);
    // Bounded as in `insert`; a release too, so that a reader of the new header sees all before it.
    while (!header.compare_exchange_weak(seen, BucketHeader(seen).without(position).word(),
                                         std::memory_order_acq_rel, std::memory_order_relaxed)) {
    }
}

template <class Family, class Traits>
void TupleIndex<Family, Traits>::reclaim_slot(FlowId flow, Direction direction,
                                              std::uint64_t hash) {
    const unsigned position = position_of(hash, format_.pack(flow, direction, hash));
    slot(hash, position).store(0, std::memory_order_relaxed);
}

template <class Family, class Traits>
auto TupleIndex<Family, Traits>::occupancy() const -> Occupancy {
    constexpr unsigned local = BucketHeader::local_slots - BucketHeader::tagged_slots;
    Occupancy result;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
        const BucketHeader header(buckets_[i].header.load(std::memory_order_relaxed));
        result.entries += header.visible();
        result.overflowing_buckets += (header.overflow_bits() >> local) != 0 ? 1U : 0U;
    }
    return result;
}

}  // namespace noclash
