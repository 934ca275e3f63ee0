// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/flow_pool.hpp"
#include "engine/production.hpp"
#include "engine/tuple_index.hpp"

namespace noclash {

/// The state that all workers share: flow records, tuple index and quiescence. Each worker works
/// on it through a `FlowWorker` of its own; other threads may read, and release flows, while online
/// as one of the readers.
template <class Family, class Traits = Production>
class FlowTable {
  public:
    using Pool = FlowPool<Family, Traits>;
    using Record = typename Pool::Record;
    using Index = TupleIndex<Family, Traits>;

    /// @param flows    how many may live at once, 1 .. 2^27
    /// @param workers  how many FlowWorkers there will be
    /// @param readers  threads that look at the table: the workers first, then others
    FlowTable(std::uint32_t flows, unsigned workers, unsigned readers)
        : capacity_(flows),
          workers_(workers),
          quiescence_(readers),
          pool_(flows, slack_for(flows, workers)),
          index_(pool_, flows) {}

    /// As above, on `records_for(flows, workers)` records that outlive the process: adopt them
    /// (engine/flow_adoption.hpp) before any worker begins.
    FlowTable(std::uint32_t flows, unsigned workers, unsigned readers, Record* kept)
        : capacity_(flows),
          workers_(workers),
          quiescence_(readers),
          pool_(flows, slack_for(flows, workers), kept),
          index_(pool_, flows) {}

    /// Records beyond the capacity: what workers' caches hold, three chunks each, and flows whose
    /// grace runs. A worker's own cache is for its own flows; so a few flows more than `flows` may
    /// live at once, never fewer.
    [[nodiscard]] static std::uint32_t slack_for(std::uint32_t flows, unsigned workers) {
        return std::max(workers * 3 * Pool::chunk, flows / 64);
    }
    [[nodiscard]] static std::size_t records_for(std::uint32_t flows, unsigned workers) {
        return Pool::records_for(flows, slack_for(flows, workers));
    }
    /// The bytes of memory that a table takes.
    [[nodiscard]] static std::size_t bytes_for(std::uint32_t flows, unsigned workers) {
        return Pool::bytes_for(flows, slack_for(flows, workers)) + Index::bytes_for(flows);
    }

    [[nodiscard]] Pool& pool() { return pool_; }
    [[nodiscard]] const Pool& pool() const { return pool_; }
    [[nodiscard]] Index& index() { return index_; }
    [[nodiscard]] const Index& index() const { return index_; }
    [[nodiscard]] typename Traits::Quiescence& quiescence() { return quiescence_; }
    [[nodiscard]] std::uint32_t capacity() const { return capacity_; }
    [[nodiscard]] unsigned workers() const { return workers_; }

    /// Tells the owners that many flows were released, so that they reclaim the records now and not
    /// when the flows' turn in the wheel comes. Any thread.
    void hurry_reclamation() {
        flushes_.fetch_add(1, std::memory_order_release);  // (9)
    }
    [[nodiscard]] std::uint32_t flushes() const {
        return flushes_.load(std::memory_order_acquire);  // (10)
    }
    /// Brings in what the end of a flow will change in the index.
    void prefetch_entries(FlowId id) const {
        for (const IndexPlace place : pool_[id].places)
            index_.prefetch_for_write(place);
    }
    [[nodiscard]] std::size_t bytes() const { return pool_.bytes() + index_.bytes(); }

    /// Begins to end a live flow: who gets true decides alone what becomes of its tuples. Others
    /// that find it wait meanwhile. Any online thread.
    [[nodiscard]] bool begin_end(FlowId id) {
        FlowStatus live = FlowStatus::live;
        // Sequentially consistent: who ends a flow for what it remembers looks at that afterwards.
        return pool_[id].status.compare_exchange_strong(
            live, FlowStatus::ending, std::memory_order_seq_cst, std::memory_order_relaxed);  // (6)
    }
    /// Makes a flow live again. For the thread that has begun to end it, as long as the flow has
    /// its tuples.
    void revive(FlowId id) {
        pool_[id].status.store(FlowStatus::live, std::memory_order_release);  // (4)
    }

    /// Ends a live flow: from now on neither tuple is found. Any online thread may; true for the
    /// one that did it. The record is reclaimed by its owner when its turn in the wheel comes.
    /// `gone(record)` is called after the tuples were given back.
    template <class Gone>
    bool release(FlowId id, EngineCounters& counters, Gone&& gone) {
        if (!begin_end(id)) return false;
        end(id, counters, gone);
        return true;
    }
    /// The rest of `release`, for who has begun to end the flow.
    template <class Gone>
    [[gnu::always_inline]] void end(FlowId id, EngineCounters& counters, Gone&& gone) {
        Record& record = pool_[id];
        for (const IndexPlace place : record.places)
            index_.remove(place);
        counters.removed.add();
        gone(record);
        // Only a flow that cannot be found any more may start its grace period.
        record.status.store(FlowStatus::dead, std::memory_order_release);  // (7)
    }

  private:
    std::uint32_t capacity_;
    unsigned workers_;
    typename Traits::template Atomic<std::uint32_t> flushes_{0};
    typename Traits::Quiescence quiescence_;
    Pool pool_;
    Index index_;
};

}  // namespace noclash
