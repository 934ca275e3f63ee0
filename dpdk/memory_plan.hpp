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

/// Packets of a worker that may wait for neighbours' addresses: as configured, but together not
/// more than a quarter of the packet buffers, should their number be configured.
[[nodiscard]] std::uint32_t hold_packets(const Config& config);

/// Datagrams of a worker that may be on their way from reassembly to where they are fragmented
/// again: all at once, or while they wait for a neighbour's address.
inline constexpr std::uint32_t datagrams_at_once = 64;

/// Bytes of the longest IP packet that is put together of fragments: as many as a fragment table of
/// DPDK keeps (`RTE_LIBRTE_IP_FRAG_MAX_FRAG`), each as long as the largest MTU; and it must fit one
/// buffer, whose length has 16 bits.
[[nodiscard]] std::uint32_t longest_datagram(const Config& config);

/// MiB in huge pages of any size that nobody uses.
[[nodiscard]] std::uint64_t free_huge_megabytes();

}  // namespace noclash::dpdk
