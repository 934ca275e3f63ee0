// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "dpdk/control/flow_reader.hpp"

namespace noclash::dpdk {

/// Calls `each(reader, view)` for each live flow that matches, some thousand records at a time, and
/// `between()` after these: outside of the reader's critical section, so both may take their time.
template <class Each, class Between>
void for_each_flow(Gateway& gateway, const FlowFilter& filter, Each&& each, Between&& between) {
    constexpr std::uint32_t records_at_once = 4096;  // looked at in one critical section
    FlowReader reader(gateway);
    std::vector<FlowView> found;
    for (FlowId first = 1; first <= gateway.flows.pool().last_id(); first += records_at_once) {
        found.clear();
        reader.copy(first, records_at_once, filter, found);
        for (const FlowView& flow : found)
            each(reader, flow);
        between();
    }
}

}  // namespace noclash::dpdk
