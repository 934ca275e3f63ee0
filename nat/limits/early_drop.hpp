// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "engine/base/counters.hpp"
#include "engine/flow_worker.hpp"

namespace noclash::nat {

/// netfilter's early drop: when the table is full, a flow that is not assured (no traffic in both
/// directions yet) ends to make room for a new one. Never one that is assured; and not at all
/// unless the configuration says so [RFC 6888 REQ-11]. One per worker.
///
/// A worker looks at 16 of its own flows for a packet, others each time, and ends one. The record
/// comes back after a grace period, which the packet waits for.
template <class Family, class Traits>
class EarlyDrop {
  public:
    using Worker = FlowWorker<Family, Traits>;
    using Record = typename Worker::Record;

    explicit EarlyDrop(Worker& worker) : worker_(worker) {}

    /// Whether a record is on its way back for a packet that found none. `gone(record)` as in
    /// `FlowTable::release`.
    template <class Gone>
    [[nodiscard]] bool make_room(std::uint64_t now_ms, Gone&& gone) {
        // The packets of this round before this one wait for the first of the records.
        if (worker_.records_in_grace() > waiting_++) return true;
        if (nothing_found_ms_ == now_ms) return false;  // a flood is to cost little
        const auto may_go = [](const Record& flow) {
            return (flow.marks.load(std::memory_order_relaxed) & flow_mark::assured) == 0 &&
                   flow.tuples[0].reserved == 0;  // the flow of a packet
        };
        if (!worker_.make_room(now_ms, candidates, may_go, gone)) {
            nothing_found_ms_ = now_ms;
            return false;
        }
        dropped_.add();
        return true;
    }
    /// All packets of a round have been seen.
    void round_is_over() { waiting_ = 0; }

    /// Flows that had to go.
    [[nodiscard]] const Counter& dropped() const { return dropped_; }

  private:
    static constexpr std::uint32_t candidates = 16;

    Worker& worker_;
    std::uint32_t waiting_ = 0;           ///< packets of this round
    std::uint64_t nothing_found_ms_ = 0;  ///< when all candidates were assured
    Counter dropped_;
};

}  // namespace noclash::nat
