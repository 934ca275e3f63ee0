// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "dpdk/config/config.hpp"

namespace noclash::dpdk {

inline constexpr std::uint64_t mebibyte = 1U << 20U;

/// DPDK's memory for packets. The flow table lives outside of it.
struct MemoryPlan {
    std::uint32_t packet_buffers = 0;
    std::uint16_t buffer_room = 0;  ///< bytes of a buffer, with the headroom
    std::uint32_t cache = 0;        ///< buffers that each worker keeps to itself
    std::uint32_t megabytes = 0;
    /// True when some port reads and writes memory by itself, by physical or IOMMU address.
    bool device_dma = false;
};

[[nodiscard]] MemoryPlan plan_memory(const Config& config);

/// Second-level groups that rte_lpm needs for these prefixes: one for each /24 in which longer ones
/// lie.
[[nodiscard]] std::uint32_t route_groups(std::span<const Prefix<V4>> prefixes);

/// Packets of a worker that may wait for neighbours' addresses: as configured, but together not
/// more than a quarter of the packet buffers, should their number be configured.
[[nodiscard]] std::uint32_t hold_packets(const Config& config);

/// Bytes of the longest IP packet that is put together of fragments: the longest that there is.
inline constexpr std::uint32_t longest_datagram = 65535;

/// Bytes of the buffer that holds such a datagram, with room for headroom and Ethernet header.
inline constexpr std::uint32_t long_buffer_bytes = 65536 + 192;

/// Datagrams of a worker that may be on their way from reassembly to where they are fragmented
/// again: all at once, or while they wait for a neighbour's address.
inline constexpr std::uint32_t datagrams_at_once = 64;

/// MiB in huge pages of any size that nobody uses.
[[nodiscard]] std::uint64_t free_huge_megabytes();

}  // namespace noclash::dpdk
