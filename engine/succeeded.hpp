// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "engine/flow_table.hpp"
#include "engine/retired.hpp"

namespace noclash {

/// One worker's flows, of whichever owner, whose reply tuple went to a flow of this worker's. They
/// stand in their owners' wheels, where each comes up within 10 s: too long for the slot that their
/// original tuple had in the index, when the same client comes again and again. So the slot is
/// emptied here, after a grace period; then the flow is `succeeded`, and its owner has a mere
/// record to reclaim. Until then it is `ending`, and the owner leaves it alone.
template <class Family, class Traits>
class Succeeded {
  public:
    using Table = FlowTable<Family, Traits>;

    explicit Succeeded(Table& table) : table_(table), waiting_(table.pool(), table.quiescence()) {}

    /// Neither tuple is in the index as the flow's any more.
    void add(FlowId id) {
        waiting_.add(id);
        // Before records run short, the owners look for those that are dead. Their looking at all
        // flows is spread over so many that each costs a few looks.
        if (++count_ % (table_.capacity() / 16 + 1) == 0) table_.hurry_reclamation();
    }

    /// Between bursts; at most `budget` flows. Never waits.
    void collect(std::uint32_t budget) {
        waiting_.collect(budget, [this](std::span<const FlowId> ids) {
            for (const FlowId id : ids) {
                auto& flow = table_.pool()[id];
                table_.index().reclaim_slot(flow.place(Direction::original));
                flow.status.store(FlowStatus::succeeded, std::memory_order_release);  // (7)
            }
        });
    }

  private:
    /// `Flow::link` is the owner's. `pool_link` is of use in free records alone.
    struct PoolLink {
        template <class Record>
        static void set(Record& flow, FlowId next) {
            flow.pool_link.store(next, std::memory_order_relaxed);
        }
        template <class Record>
        [[nodiscard]] static FlowId get(const Record& flow) {
            return flow.pool_link.load(std::memory_order_relaxed);
        }
    };

    Table& table_;
    Retired<Family, Traits, PoolLink> waiting_;
    std::uint32_t count_ = 0;
};

}  // namespace noclash
