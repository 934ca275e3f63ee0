// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "engine/expiry_wheel.hpp"
#include "engine/flow_cache.hpp"
#include "engine/flow_table.hpp"
#include "engine/retired.hpp"
#include "engine/succeeded.hpp"

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
          retired_(table.pool(), table.quiescence()),
          succeeded_(table) {}

    [[nodiscard]] Table& table() { return table_; }
    [[nodiscard]] std::uint16_t id() const { return id_; }
    [[nodiscard]] EngineCounters& counters() { return counters_; }
    [[nodiscard]] const EngineCounters& counters() const { return counters_; }
    [[nodiscard]] Record& record(FlowId id) { return table_.pool()[id]; }

    void online() { table_.quiescence().online(id_); }
    void offline() { table_.quiescence().offline(id_); }
    /// Between bursts: the worker holds no flow and no lookup result any more.
    void quiescent() { table_.quiescence().quiescent(id_); }

    /// Takes free records that make up no chunk. Before the worker begins.
    void stock(std::span<const FlowId> records) {
        for (const FlowId id : records)
            cache_.give(id);
    }

    /// Looks at flows whose time may have come and reclaims those whose grace period is over, at
    /// most `budget` of each. Called between bursts. `gone(record)` follows each release.
    template <class Gone>
    void maintain(std::uint64_t now_ms, std::uint32_t budget, Gone&& gone) {
        maintain(now_ms, budget, gone, [](Record&) { return false; });
    }
    /// As above. `lives_on(record)` is asked about live flows whose time is over: true for one that
    /// lives on all the same, having been given a new time.
    template <class Gone, class LivesOn>
    void maintain(std::uint64_t now_ms, std::uint32_t budget, Gone&& gone, LivesOn&& lives_on) {
        if (const std::uint32_t flushes = table_.flushes(); flushes != flushes_seen_) {
            flushes_seen_ = flushes;
            wheel_.look_at_all();
        }
        wheel_.advance(now_ms, budget,
                       [&](std::span<const FlowId> ids) { look(ids, now_ms, gone, lives_on); });
        retired_.collect(budget, [this](std::span<const FlowId> ids) { reclaim(ids); });
        succeeded_.collect(budget);
    }

    /// Ends one of the worker's own flows of which `may_go(record)` is true, looking at no more
    /// than `budget`. False when there was none. Its record can be taken after a grace period.
    template <class MayGo, class Gone>
    bool make_room(std::uint64_t now_ms, std::uint32_t budget, MayGo&& may_go, Gone&& gone) {
        bool made = false;
        wheel_.take_some(budget, [&](std::span<const FlowId> ids) {
            for (const FlowId id : ids) {
                if (made || !may_go(std::as_const(record(id))))
                    wheel_.arm(id, now_ms);
                else
                    made = end(id, now_ms, gone);
            }
        });
        return made;
    }
    /// Ends a flow of the worker's own that the caller holds, and the wheel does not. False when
    /// another thread is in the middle of ending it; then the wheel takes it.
    template <class Gone>
    [[gnu::noinline]] bool end_held(FlowId id, std::uint64_t now_ms, Gone&& gone) {
        return end(id, now_ms, gone);
    }
    /// Records that come back when their grace periods are over.
    [[nodiscard]] std::uint32_t records_in_grace() const { return retired_.size(); }

    // For Reservation:

    [[nodiscard]] FlowId take_record() {
        const FlowId id = cache_.take();
        if (id == no_flow) counters_.table_full.add();
        return id;
    }
    void give_back_record(FlowId id) { cache_.give(id); }
    [[gnu::always_inline]] void arm(FlowId id, std::uint64_t now_ms) { wheel_.arm(id, now_ms); }
    void retire(FlowId id) { retired_.add(id); }
    void succeed(FlowId id) { succeeded_.add(id); }

  private:
    using Wheel = ExpiryWheel<Family, Traits>;

    template <class Gone, class LivesOn>
    void look(std::span<const FlowId> ids, std::uint64_t now_ms, Gone&& gone, LivesOn&& lives_on) {
        std::array<FlowId, Wheel::lists> over;
        std::size_t count = 0;
        for (const FlowId id : ids) {
            Record& flow = record(id);
            const Moment expires = flow.expires.load(std::memory_order_relaxed);
            const bool stays =
                flow.status.load(std::memory_order_acquire) == FlowStatus::live &&  // (5)
                (ms_between(to_moment(now_ms), expires) > 0 || lives_on(flow));
            if (stays) {
                wheel_.arm(id, now_ms);
            } else {
                over[count++] = id;
                table_.prefetch_entries(id);
            }
        }
        for (const FlowId id : std::span(over).first(count))
            end(id, now_ms, gone);
    }

    /// Ends a flow that was taken out of the wheel. False when another thread is in the middle of
    /// ending it; then its turn comes again.
    template <class Gone>
    [[gnu::always_inline]] bool end(FlowId id, std::uint64_t now_ms, Gone&& gone) {
        if (table_.release(id, counters_, gone)) [[likely]] {
            retired_.add(id);
            return true;
        }
        const FlowStatus status = record(id).status.load(std::memory_order_acquire);  // (8)
        if (status == FlowStatus::dead || status == FlowStatus::succeeded) {
            retired_.add(id);
            return true;
        }
        wheel_.arm(id, now_ms);
        return false;
    }

    void reclaim(std::span<const FlowId> ids) {
        for (const FlowId id : ids)
            table_.prefetch_entries(id);
        for (const FlowId id : ids) {
            Record& flow = record(id);
            if (flow.status.load(std::memory_order_relaxed) != FlowStatus::succeeded)
                reclaim_slots(flow);
            flow.status.store(FlowStatus::free, std::memory_order_relaxed);
            cache_.give(id);
        }
    }
    void reclaim_slots(Record& flow) {
        table_.index().reclaim_slot(flow.place(Direction::original));
        // A claim that was rolled back may have an original tuple only.
        if (!rolled_back(flow)) table_.index().reclaim_slot(flow.place(Direction::reply));
    }
    static bool rolled_back(const Record& flow) {
        return flow.status.load(std::memory_order_relaxed) == FlowStatus::setup;
    }

    Table& table_;
    std::uint16_t id_;
    FlowCache<Family, Traits> cache_;
    Wheel wheel_;
    Retired<Family, Traits> retired_;
    Succeeded<Family, Traits> succeeded_;
    EngineCounters counters_;
    std::uint32_t flushes_seen_ = 0;
};

}  // namespace noclash
