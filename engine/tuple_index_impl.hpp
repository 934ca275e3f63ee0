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
    for (PositionSet left = header.may_hold(BucketHeader::tag_of(hash)); left; left.drop_first()) {
        const SlotRef ref = slot(hash, left.first()).load(std::memory_order_relaxed);
        if (holds(ref, key, hash)) return found(ref);
    }
    return {};
}

template <class Family, class Traits>
void TupleIndex<Family, Traits>::prefetch_flow(std::uint64_t hash) const {
    const BucketHeader header(bucket(hash).header.load(std::memory_order_acquire));  // (2)
    for (PositionSet left = header.may_hold(BucketHeader::tag_of(hash)); left; left.drop_first()) {
        const SlotRef ref = slot(hash, left.first()).load(std::memory_order_relaxed);
        if (!format_.agrees(ref, hash)) continue;
        pool_.prefetch(format_.flow(ref));
        return;
    }
}

template <class Family, class Traits>
Found TupleIndex<Family, Traits>::find(const Key& key, std::uint64_t hash) const {
    return scan(BucketHeader(bucket(hash).header.load(std::memory_order_acquire)), key,
                hash);  // (2)
}

template <class Family, class Traits>
template <class Burst, class Projection>
void TupleIndex<Family, Traits>::find_burst(Burst&& burst, Projection lookup_of) const {
    for (auto&& element : burst) {
        Lookup<Family>& lookup = std::invoke(lookup_of, element);
        lookup.hash = hash(lookup.key);
        prefetch(lookup.hash);
    }
    for (auto&& element : burst)
        prefetch_flow(std::invoke(lookup_of, element).hash);
    for (auto&& element : burst) {
        Lookup<Family>& lookup = std::invoke(lookup_of, element);
        lookup.found = find(lookup.key, lookup.hash);
    }
}

template <class Family, class Traits>
InsertResult TupleIndex<Family, Traits>::insert(FlowId flow, Direction direction, const Key& key,
                                                std::uint64_t hash, EngineCounters& counters) {
    auto& header = bucket(hash).header;
    const SlotRef ref = format_.pack(flow, direction, hash);
    unsigned mine = BucketHeader::positions;
    for (unsigned scans = 0; scans < most_scans; ++scans) {
        std::uint64_t seen = header.load(std::memory_order_seq_cst);  // (2)
        if (const Found owner = scan(BucketHeader(seen), key, hash)) {
            // A slot that was taken and never shown goes back at once: nobody has looked at it.
            if (mine != BucketHeader::positions)
                slot(hash, mine).store(0, std::memory_order_relaxed);
            return {InsertOutcome::taken, owner};
        }
        if (mine == BucketHeader::positions)
            mine = take_slot(BucketHeader(seen).hidden(), hash, ref);
        if (mine == BucketHeader::positions) {
            if (BucketHeader(seen).shown().size() < BucketHeader::local_slots)
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

/// The position of a slot among `hidden` that was empty and now holds `ref`; `positions` when all
/// are in use.
template <class Family, class Traits>
unsigned TupleIndex<Family, Traits>::take_slot(PositionSet hidden, std::uint64_t hash,
                                               SlotRef ref) {
    for (; hidden; hidden.drop_first()) {
        Slot& candidate = slot(hash, hidden.first());
        SlotRef empty = 0;
        if (candidate.load(std::memory_order_relaxed) == 0 &&
            candidate.compare_exchange_strong(empty, ref, std::memory_order_relaxed,
                                              std::memory_order_relaxed))
            return hidden.first();
    }
    return BucketHeader::positions;
}

template <class Family, class Traits>
unsigned TupleIndex<Family, Traits>::position_of(PositionSet among, std::uint64_t hash,
                                                 SlotRef ref) const {
    for (; among; among.drop_first())
        if (slot(hash, among.first()).load(std::memory_order_relaxed) == ref) return among.first();
    std::abort();  // Removed twice, or never inserted.
}

template <class Family, class Traits>
void TupleIndex<Family, Traits>::remove(FlowId flow, Direction direction, std::uint64_t hash) {
    auto& header = bucket(hash).header;
    std::uint64_t seen = header.load(std::memory_order_relaxed);
    // Our entry stays where it is, whatever else changes: one search is enough.
    const unsigned position = position_of(BucketHeader(seen).may_hold(BucketHeader::tag_of(hash)),
                                          hash, format_.pack(flow, direction, hash));
    // Bounded as in `insert`.
    while (!header.compare_exchange_weak(seen, BucketHeader(seen).without(position).word(),
                                         std::memory_order_seq_cst,  // (3)
                                         std::memory_order_relaxed)) {
    }
}

template <class Family, class Traits>
void TupleIndex<Family, Traits>::reclaim_slot(FlowId flow, Direction direction,
                                              std::uint64_t hash) {
    const BucketHeader seen(bucket(hash).header.load(std::memory_order_relaxed));
    const unsigned position = position_of(seen.hidden(), hash, format_.pack(flow, direction, hash));
    slot(hash, position).store(0, std::memory_order_relaxed);
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
