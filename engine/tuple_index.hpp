// SPDX-License-Identifier: Apache-2.0
#pragma once

// # The tuple index
//
// Maps a tuple to (flow, direction). Fixed capacity, keyed hash, cache-line buckets. Lookup is
// wait-free; insert-if-absent and remove are lock-free. It is the one authority on who owns a
// tuple.
//
// ## Why it is correct
//
// A bucket's set of visible entries is its header word (engine/index_bucket.hpp), nothing else:
//
// * `find` loads the header once and looks at the slots it shows. That load is its linearization
//   point; a lookup in a burst has it in `candidates`, its second pass, and compares the tuple in
//   its third.
// * `insert` loads the header, finds the key absent among the slots it shows, takes an empty slot
//   by compare-and-swap (nobody sees it yet), then compare-and-swaps the header from the value it
//   scanned to one that shows the slot. Had an entry come or gone since the scan, the swap would
//   fail; then it scans again. The successful swap is its linearization point.
// * `remove` takes the slot out of the header by one atomic AND: its linearization point. The slot
//   itself stays taken until a grace period has passed and `reclaim_slot` empties it.
//
// The last rule gives three things. (1) A slot shown by a header that a reader has loaded keeps
// its content while the reader is in its critical section. (2) So a header that reads as before
// shows the same entries as before: the compare-and-swap needs no version beside the set (no ABA).
// (3) Within one critical section a slot can be shown at most once and hidden at most once more (it
// cannot be emptied for a third use), so the header changes at most 2 * 25 times during an
// `insert`, and its loop is bounded.
//
// Slots beyond the bucket's own work alike: the header says whether they are shown, and that is all
// a reader asks. Several buckets share them; a reference names its flow and tuple completely, so a
// slot is only ever shown by the bucket whose entry it holds.
//
// ## Ordered atomics
//
// Numbered as in docs/race.md, which names each one's partner.
//
// (1) the header's compare-and-swap in `insert` is a release: it synchronizes-with (2).
// (2) the header's load in `find`, `candidate` and `insert` is an acquire: a thread that sees a
// slot
//     shown sees the reference and the tuple written before (1). Later changes of the header are
//     read-modify-writes and so continue the release sequence.
// (3) the AND in `remove`, and (2) in `insert`, are sequentially consistent for the sake of the
//     layer above: of a thread that removes a tuple and then looks for searchers to tell, and a
//     searcher that announces itself and then proposes that tuple, at least one sees the other
//     (docs/race.md, "the map that is being made").
// Everything else is relaxed; that a slot is emptied only after its readers are gone is the
// quiescence's affair.

#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>

#include "engine/base/counters.hpp"
#include "engine/base/huge_array.hpp"
#include "engine/flow_pool.hpp"
#include "engine/index_bucket.hpp"
#include "engine/setup_error.hpp"
#include "engine/tuple.hpp"

namespace noclash {

/// An entry of the index: a flow and which of its tuples it is.
struct Found {
    FlowId flow = no_flow;
    Direction direction = Direction::original;

    explicit operator bool() const { return flow != no_flow; }
    friend bool operator==(Found, Found) = default;
};

/// @note `error` is `none`, `taken`, `busy` or `chain_too_long`
struct InsertResult {
    SetupError error;
    Found owner{};       ///< when `taken`
    IndexPlace place{};  ///< of the entry, without an error
};

template <class Family, class Traits>
class TupleIndex {
  public:
    using Pool = FlowPool<Family, Traits>;
    using Key = Tuple<Family>;

    /// Every caller of `find`, `insert` and `remove` is in a critical section of the quiescence
    /// that decides when `reclaim_slot` is called.
    TupleIndex(const Pool& pool, std::uint32_t flows);

    [[nodiscard]] std::uint64_t hash(const Key& key) const { return hash_(key); }

    /// Brings the bucket into the cache: to look, or to change it.
    void prefetch(std::uint64_t hash) const { fetch(&buckets_[bucket_of(hash)]); }
    void prefetch_for_write(std::uint64_t hash) const {
        __builtin_prefetch(&buckets_[bucket_of(hash)], 1, 3);
    }
    void prefetch_for_write(IndexPlace place) const {
        __builtin_prefetch(&buckets_[place.bucket()], 1, 3);
    }
    /// Brings in the tuple that a lookup will compare. Worth it a little after `prefetch`.
    void prefetch_flow(std::uint64_t hash) const { prefetch_tuple(candidate(hash)); }

    [[nodiscard, gnu::always_inline]] inline Found find(const Key& key, std::uint64_t hash) const;

    /// `find`'s likely answer, read from the bucket alone: about 1 in 100 is wrong, and "none" is
    /// never wrong. A burst of lookups is `prefetch`, then `candidates` and a prefetch of each
    /// record, then a comparison of each record's tuple, and `find` where they differ. Some 32
    /// elements are a good burst: enough for cache misses to overlap, few enough for the L1 cache.
    [[nodiscard]] Found candidate(std::uint64_t hash) const {
        return candidate(&buckets_[0], bucket_of(hash), format_, hash);
    }
    /// The same for a burst: `take(element, candidate)`. `hash_of(element)` is its hash.
    template <class Burst, class HashOf, class Take>
    [[gnu::always_inline]] void candidates(Burst&& burst, HashOf hash_of, Take take) const {
        // In registers: what is atomic keeps a compiler from knowing that members stay as they are.
        const Bucket* const buckets = &buckets_[0];
        const std::size_t count = buckets_.size();
        const RefFormat format = format_;
        for (auto&& element : burst) {
            const std::uint64_t hash = std::invoke(hash_of, element);
            take(element, candidate(buckets, scaled(hash, count), format, hash));
        }
    }
    /// Inserts unless the tuple is there. The caller has written the tuple to the flow's record
    /// before and leaves it alone until the entry is removed and reclaimed.
    [[gnu::always_inline]] inline InsertResult insert(FlowId flow, Direction direction,
                                                      const Key& key, std::uint64_t hash,
                                                      EngineCounters& counters);

    /// Takes a shown entry out of sight. Once for each `inserted`.
    void remove(IndexPlace place);

    /// The shown entry at `place` becomes that of another flow's tuple with the same key: it is in
    /// the index all the time, of one flow first and then of the other. The caller alone may remove
    /// the entry, and has written the tuple to the other's record before.
    void hand_over(IndexPlace place, FlowId to, Direction direction, std::uint64_t hash);

    /// Empties the slot of a removed entry, after a grace period.
    void reclaim_slot(IndexPlace place);

    [[nodiscard]] std::size_t bytes() const { return buckets_.bytes() + shared_.bytes(); }
    /// The bytes of memory that an index for `flows` flows takes.
    [[nodiscard]] static std::size_t bytes_for(std::uint32_t flows) {
        const std::size_t buckets = buckets_for(flows);
        return HugeArray<Bucket>::bytes_for(buckets) +
               HugeArray<SharedOverflow<Traits>>::bytes_for(buckets / buckets_per_share + 1);
    }
    /// Where the buckets lie in memory.
    [[nodiscard]] const void* address() const { return &buckets_[0]; }
    [[nodiscard]] std::size_t buckets() const { return buckets_.size(); }

    struct Occupancy {
        std::uint64_t entries = 0;
        std::uint64_t overflowing_buckets = 0;  ///< that show entries outside their cache line
    };
    /// Looks at every bucket; for statistics.
    [[nodiscard]] Occupancy occupancy() const;

  private:
    using Bucket = IndexBucket<Traits>;
    using Slot = typename Traits::template Atomic<SlotRef>;

    // Within one critical section a header changes at most twice for each slot (see above).
    static constexpr unsigned most_scans = 2 * BucketHeader::positions + 1;
    static constexpr std::size_t buckets_per_share = 12;

    /// The slot at a position of a bucket.
    [[nodiscard]] const Slot& slot(std::size_t bucket, unsigned position) const {
        if (position < BucketHeader::local_slots) return buckets_[bucket].refs[position];
        return shared_[bucket / buckets_per_share].refs[position - BucketHeader::local_slots];
    }
    [[nodiscard]] Slot& slot(std::size_t bucket, unsigned position) {
        return const_cast<Slot&>(std::as_const(*this).slot(bucket, position));
    }
    [[nodiscard]] std::size_t bucket_of(std::uint64_t hash) const {
        return scaled(hash, buckets_.size());
    }
    [[nodiscard]] static std::size_t scaled(std::uint64_t hash, std::size_t count) {
        __extension__ using Wide = unsigned __int128;
        return static_cast<std::size_t>((static_cast<Wide>(hash) * count) >> 64U);
    }

    [[nodiscard, gnu::always_inline]] inline Found candidate(const Bucket* buckets,
                                                             std::size_t number, RefFormat format,
                                                             std::uint64_t hash) const;
    /// `candidate`, when the first slot with the tag holds another tuple.
    [[nodiscard, gnu::noinline]] Found candidate_behind(std::size_t number, BucketHeader header,
                                                        std::uint64_t hash) const {
        return first_shown(number, header, hash,
                           [&](SlotRef ref) { return format_.agrees(ref, hash); });
    }
    /// The first shown entry of the hash's bucket that may be it by its tag, and that is accepted.
    template <class Accept>
    [[nodiscard, gnu::always_inline]] inline Found first_shown(std::size_t number,
                                                               BucketHeader header,
                                                               std::uint64_t hash,
                                                               Accept accept) const;
    [[nodiscard, gnu::noinline]] Found scan(std::size_t bucket, BucketHeader header, const Key& key,
                                            std::uint64_t hash) const;
    [[nodiscard]] bool holds(SlotRef ref, const Key& key, std::uint64_t hash) const {
        return format_.agrees(ref, hash) &&
               pool_[format_.flow(ref)].tuple(RefFormat::direction(ref)) == key;
    }
    [[nodiscard]] Found found(SlotRef ref) const { return found(format_, ref); }
    [[nodiscard]] static Found found(RefFormat format, SlotRef ref) {
        return {format.flow(ref), RefFormat::direction(ref)};
    }
    void prefetch_tuple(Found found) const { fetch(&pool_[found.flow].tuple(found.direction)); }
    /// To the second-level cache, which waits for more lines at once than the first level can: a
    /// burst's lookups overlap better for it (docs/performance.md).
    static void fetch(const void* line) { __builtin_prefetch(line, 0, 2); }
    /// The rare steps of `insert`.
    /// @param mine  the position of the slot that it has taken; `positions`: none
    [[nodiscard, gnu::noinline]] InsertResult insert_again(std::size_t bucket, SlotRef ref,
                                                           unsigned mine, const Key& key,
                                                           std::uint64_t hash,
                                                           EngineCounters& counters);
    /// Makes an empty slot refer to an entry that nobody sees yet. False when it is in use.
    [[nodiscard]] static bool take(Slot& free, SlotRef ref) {
        SlotRef empty = 0;
        return free.compare_exchange_strong(empty, ref, std::memory_order_relaxed,
                                            std::memory_order_relaxed);
    }
    /// Shows the entry in slot `mine`, unless the header has changed since it was `seen`.
    [[nodiscard]] bool show(std::size_t bucket, std::uint64_t seen, unsigned mine,
                            std::uint64_t hash) {
        const BucketHeader shown = BucketHeader(seen).with(mine, BucketHeader::tag_of(hash));
        return buckets_[bucket].header.compare_exchange_strong(
            seen, shown.word(), std::memory_order_acq_rel, std::memory_order_relaxed);  // (1)
    }
    [[nodiscard]] unsigned take_slot(PositionSet hidden, std::size_t bucket, SlotRef ref);

    // A bucket holds 5 entries on average when all flows live. Then one bucket in 1,400 reaches for
    // shared slots, and one insert in 3 thousand million finds no room there (Poisson).
    static constexpr std::size_t buckets_for(std::uint32_t flows) {
        return static_cast<std::size_t>(flows) * 2 / 5 + 1;
    }

    const Pool& pool_;
    RefFormat format_;
    typename Traits::Hash hash_;
    HugeArray<Bucket> buckets_;
    HugeArray<SharedOverflow<Traits>> shared_;
};

}  // namespace noclash

#include "engine/tuple_index_impl.hpp"
