// SPDX-License-Identifier: Apache-2.0
#include "tests/schedule/free_records.hpp"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/schedule/failure.hpp"

namespace noclash::schedule {

void check_free_records(FlowTable<V4, Scheduled>& table,
                        std::span<FlowWorker<V4, Scheduled>* const> workers) {
    std::size_t in_use = 0;
    for (FlowId id = 1; id <= table.pool().last_id(); ++id)
        if (table.pool()[id].status.load() == FlowStatus::live) ++in_use;
    std::set<FlowId> seen;
    std::vector<std::pair<FlowWorker<V4, Scheduled>*, FlowId>> taken;
    for (auto* worker : workers) {
        for (FlowId id = worker->take_record(); id != no_flow; id = worker->take_record()) {
            taken.emplace_back(worker, id);
            if (!seen.insert(id).second)
                fail("no record twice: " + std::to_string(id) + " is free twice");
            if (table.pool()[id].status.load() != FlowStatus::free)
                fail("no record twice: " + std::to_string(id) + " can be taken and is in use");
        }
    }
    if (seen.size() + in_use != table.pool().last_id())
        fail("no leak: " + std::to_string(seen.size()) + " records can be taken and " +
             std::to_string(in_use) + " are in use, of " + std::to_string(table.pool().last_id()));
    for (const auto& [worker, id] : taken)
        worker->give_back_record(id);
}

}  // namespace noclash::schedule
