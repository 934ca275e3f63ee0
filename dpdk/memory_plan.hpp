// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "dpdk/config.hpp"

namespace noclash::dpdk {

/// What packets need of DPDK's memory. The flow table lives outside of it.
struct MemoryPlan {
    std::uint32_t packet_buffers = 0;
    std::uint16_t buffer_room = 0;  ///< bytes of a buffer, with the headroom
    std::uint32_t cache = 0;        ///< buffers that each worker keeps to itself
    std::uint32_t megabytes = 0;
    /// True when some port reads and writes memory by itself, by physical or IOMMU address.
    bool device_dma = false;
};

[[nodiscard]] MemoryPlan plan_memory(const Config& config);

/// MiB in huge pages of any size that nobody uses.
[[nodiscard]] std::uint64_t free_huge_megabytes();

}  // namespace noclash::dpdk
