// SPDX-License-Identifier: Apache-2.0
#include "dpdk/state/state_path.hpp"

#include "dpdk/device/memory_plan.hpp"
#include "dpdk/state/state_header.hpp"
#include "dpdk/state/state_place.hpp"
#include "engine/flow_table.hpp"

namespace noclash::dpdk {

std::size_t state_records(const Config& config) {
    return FlowTable<V4>::records_for(config.flows, config.workers);
}

std::string state_path(const Config& config) {
    if (!config.state.file.empty()) return config.state.file;
    // DPDK takes its part of the huge pages, too.
    const std::uint64_t huge =
        config.memory.huge_pages == HugePages::none
            ? 0
            : state_bytes(state_records(config)) + plan_memory(config).megabytes * mebibyte;
    return state_place(config.name, huge);
}

}  // namespace noclash::dpdk
