// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "bench/tables/table.hpp"
#include "engine/base/huge_array.hpp"
#include "engine/flow.hpp"

namespace noclash::bench {

/// Flow records of the other tables: laid out at start on huge pages as noclash's are, handed out
/// through a cache of each worker, like a kernel's slab. Number 0 is none.
template <class Record>
class RecordSlab {
  public:
    static_assert(sizeof(Record) == 128, "as much as noclash's record");

    RecordSlab(std::uint32_t capacity, unsigned workers)
        : records_(std::size_t{capacity} + std::size_t{workers} * slack_of_a_worker + 1) {
        free_.reserve(records_.size());
        for (auto id = static_cast<FlowId>(records_.size() - 1); id > no_flow; --id)
            free_.push_back(id);
    }

    [[nodiscard]] Record& operator[](FlowId id) { return records_[id]; }
    [[nodiscard]] const Record& operator[](FlowId id) const { return records_[id]; }

    class Cache {
      public:
        explicit Cache(RecordSlab& slab) : slab_(slab) { free_.reserve(2 * chunk); }

        [[nodiscard]] FlowId take() {
            if (free_.empty()) slab_.move(slab_.free_, free_);
            if (free_.empty()) return no_flow;
            const FlowId id = free_.back();
            free_.pop_back();
            return id;
        }
        void give(FlowId id) {
            if (free_.size() == 2 * chunk) slab_.move(free_, slab_.free_);
            free_.push_back(id);
        }

      private:
        RecordSlab& slab_;
        std::vector<FlowId> free_;
    };

  private:
    static constexpr std::size_t chunk = 64;
    // In its cache, and waiting for a grace period to end.
    static constexpr std::size_t slack_of_a_worker = 4096;

    void move(std::vector<FlowId>& from, std::vector<FlowId>& to) {
        const std::lock_guard guard(mutex_);
        for (std::size_t i = 0; i < chunk && !from.empty(); ++i) {
            to.push_back(from.back());
            from.pop_back();
        }
    }

    HugeArray<Record> records_;
    std::mutex mutex_;
    std::vector<FlowId> free_;  ///< under mutex_
};

/// The record of tables that know nothing of flows: noclash's record without its links.
struct alignas(64) PlainRecord {
    std::array<Tuple<V4>, 2> tuples{};
    std::atomic<Moment> expires{0};
    std::atomic<FlowStatus> status{FlowStatus::free};
    std::array<std::int32_t, 2> positions{};  ///< rte_hash's, from deletion to reclamation
    alignas(64) std::array<FlowCounters<Production>, 2> counters;

    void fill_in(const FlowKeys& keys, std::uint64_t now_ms) {
        tuples = {keys.original, keys.reply};
        expires.store(to_moment(now_ms + lifetime_ms), std::memory_order_relaxed);
        status.store(FlowStatus::setup, std::memory_order_relaxed);
        for (auto& counter : counters) {
            counter.packets.store(0, std::memory_order_relaxed);
            counter.bytes.store(0, std::memory_order_relaxed);
        }
    }
    void publish() { status.store(FlowStatus::live, std::memory_order_release); }
};

}  // namespace noclash::bench
