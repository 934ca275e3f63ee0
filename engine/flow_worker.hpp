// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "engine/expiry_wheel.hpp"
#include "engine/flow_table.hpp"
#include "engine/retired.hpp"

namespace noclash {

/// One worker's part of the flow engine: its free records, its timers, its retired flows and its
/// counters. Used by its worker alone; the counters may be read by anyone.
template <class Family, class Traits = Production>
class FlowWorker {
  public:
    using Table = FlowTable<Family, Traits>;
    using Record = typename Table::Record;

    /// @param id  the worker's number, and its reader id in the table's quiescence
    FlowWorker(Table& table, std::uint16_t id, std::uint64_t now_ms)
        : table_(table),
          id_(id),
          cache_(table.pool()),
          wheel_(table.pool(), now_ms),
          retired_(table.pool(), table.quiescence()) {}

    [[nodiscard]] Table& table() { return table_; }
    [[nodiscard]] std::uint16_t id() const { return id_; }
    [[nodiscard]] EngineCounters& counters() { return counters_; }
    [[nodiscard]] const EngineCounters& counters() const { return counters_; }
    [[nodiscard]] Record& record(FlowId id) { return table_.pool()[id]; }

    void online() { table_.quiescence().online(id_); }
    void offline() { table_.quiescence().offline(id_); }
    /// Between bursts: the worker holds no flow and no lookup result any more.
    void quiescent() { table_.quiescence().quiescent(id_); }

    /// Looks at flows whose time may have come and reclaims those whose grace period is over, at
    /// most `budget` of each. Called between bursts. `gone(record)` follows each release.
    template <class Gone>
    void maintain(std::uint64_t now_ms, std::uint32_t budget, Gone&& gone) {
        if (const std::uint32_t flushes = table_.flushes(); flushes != flushes_seen_) {
            flushes_seen_ = flushes;
            wheel_.look_at_all();
        }
        wheel_.advance(now_ms, budget, [&](FlowId id) { look(id, now_ms, gone); });
        retired_.collect(budget, [this](FlowId id) { reclaim(id); });
    }

    // For Reservation:

    [[nodiscard]] FlowId take_record() {
        const FlowId id = cache_.take();
        if (id == no_flow) counters_.table_full.add();
        return id;
    }
    void give_back_record(FlowId id) { cache_.give(id); }
    void arm(FlowId id, std::uint64_t now_ms) { wheel_.arm(id, now_ms); }
    void retire(FlowId id) { retired_.add(id); }

  private:
    template <class Gone>
    void look(FlowId id, std::uint64_t now_ms, Gone&& gone) {
        Record& flow = record(id);
        if (flow.status.load(std::memory_order_acquire) == FlowStatus::live) {
            const Moment expires = flow.expires.load(std::memory_order_relaxed);
            if (ms_between(to_moment(now_ms), expires) > 0) return wheel_.arm(id, now_ms);
            table_.release(id, counters_, gone);
        }
        // Acquire: pairs with the release in FlowTable::release. Another thread may be in the
        // middle of ending it; then its turn comes again.
        if (flow.status.load(std::memory_order_acquire) != FlowStatus::dead)
            return wheel_.arm(id, now_ms);
        retired_.add(id);
    }

    void reclaim(FlowId id) {
        Record& flow = record(id);
        auto& index = table_.index();
        for (const Direction direction : {Direction::original, Direction::reply}) {
            // A claim that was rolled back has an original tuple only.
            if (direction == Direction::reply && rolled_back(flow)) break;
            index.reclaim_slot(id, direction, index.hash(flow.tuple(direction)));
        }
        flow.status.store(FlowStatus::free, std::memory_order_relaxed);
        cache_.give(id);
    }
    static bool rolled_back(const Record& flow) {
        return flow.status.load(std::memory_order_relaxed) == FlowStatus::setup;
    }

    Table& table_;
    std::uint16_t id_;
    FlowCache<Family, Traits> cache_;
    ExpiryWheel<Family, Traits> wheel_;
    Retired<Family, Traits> retired_;
    EngineCounters counters_;
    std::uint32_t flushes_seen_ = 0;
};

}  // namespace noclash
