// SPDX-License-Identifier: Apache-2.0
#include "dpdk/device/memory_plan.hpp"

#include <algorithm>
#include <bit>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "dpdk/config/device_string.hpp"

namespace noclash::dpdk {

namespace {

constexpr std::uint32_t headroom = 128;               // RTE_PKTMBUF_HEADROOM
constexpr std::uint32_t least_room = 2048;            // what drivers expect of a buffer
constexpr std::uint32_t link_layer = 14 + 2 * 4;      // Ethernet with two VLAN tags
constexpr std::uint32_t per_buffer = 128 + 64 + 128;  // rte_mbuf, mempool header, padding
constexpr std::uint32_t page_bytes = 4096;
constexpr std::uint32_t cache_size = 256;
constexpr std::uint32_t xdp_ring = 2048;        // AF_XDP fills rings of this size whatever one asks
constexpr std::uint32_t parked_packets = 512;   // of a worker, while another sets their flow up
constexpr std::uint32_t slack = 2048;           // bursts in flight, ARP and ICMP of our own
constexpr std::uint64_t base_megabytes = 32;    // EAL, drivers
constexpr std::uint64_t route_tables = 2;       // of the policy in force, and of the next
constexpr std::uint64_t megabytes_of_port = 4;  // descriptor rings

std::uint32_t largest_mtu(const Config& config) {
    std::uint32_t mtu = 0;
    for (const PortConfig& port : config.ports)
        mtu = std::max<std::uint32_t>(mtu, port.mtu);
    return mtu;
}

/// Buffers of all workers for datagrams made of fragments. (Fragments that wait lie in the buffers
/// that they came in; the tables of them are no memory of DPDK's.)
std::uint64_t bytes_for_reassembly(const Config& config) {
    if (config.fragments.capacity == 0) return 0;
    const std::uint64_t datagram = long_buffer_bytes + per_buffer;
    return config.workers * (datagrams_at_once * datagram + page_bytes);
}

/// Bytes of one table of routes: rte_lpm's 2^24 entries of four bytes, 256 more for each group, and
/// its list of the routes.
std::uint64_t bytes_for_routes(const Config& config) {
    constexpr std::uint64_t first_level = 64 * mebibyte, group = 1024, rule = 8;
    std::vector<Prefix<V4>> prefixes;
    for (const PortConfig& port : config.ports)
        prefixes.push_back({port.address, port.prefix_length});
    for (const RouteConfig& route : config.routes)
        prefixes.push_back(route.to);
    return first_level + route_groups(prefixes) * group + (prefixes.size() + 2) * rule + mebibyte;
}

std::uint64_t count_buffers(const Config& config) {
    // A mempool cache holds up to one and a half times its size.
    const std::uint64_t of_worker =
        cache_size * 3 / 2 + parked_packets + hold_packets(config) + config.fragments.capacity;
    std::uint64_t count = slack + config.workers * of_worker;
    for (std::size_t i = 0; i < config.ports.size(); ++i) {
        const auto device = parse_device(config.ports[i], i, config.workers);
        const auto* known = std::get_if<Device>(&device);
        const bool xdp = known != nullptr && known->kind == DeviceKind::af_xdp;
        const std::uint64_t queue_pair =
            2U * config.ports[i].descriptors + (xdp ? 3U * xdp_ring : 0U);
        count += config.workers * queue_pair;
    }
    return count;
}

}  // namespace

std::uint32_t route_groups(std::span<const Prefix<V4>> prefixes) {
    std::vector<std::uint32_t> divided;
    for (const Prefix<V4>& prefix : prefixes)
        if (prefix.length > 24) divided.push_back(prefix.network.value.host() >> 8U);
    std::ranges::sort(divided);
    return static_cast<std::uint32_t>(std::unique(divided.begin(), divided.end()) -
                                      divided.begin());
}

std::uint32_t hold_packets(const Config& config) {
    const std::uint32_t wanted = config.neighbors.queue_packets;
    if (config.memory.packet_buffers == 0) return wanted;
    const std::uint32_t share = config.memory.packet_buffers / (4U * config.workers);
    return std::clamp(wanted, 1U, std::max(1U, share));
}

MemoryPlan plan_memory(const Config& config) {
    MemoryPlan plan;
    const std::uint32_t mtu = largest_mtu(config);
    for (std::size_t i = 0; i < config.ports.size(); ++i) {
        const auto device = parse_device(config.ports[i], i, config.workers);
        const auto* known = std::get_if<Device>(&device);
        plan.device_dma |= known != nullptr && known->kind == DeviceKind::pci;
    }
    const std::uint32_t frame = std::max(least_room, (mtu + link_layer + 63) / 64 * 64);
    plan.buffer_room = static_cast<std::uint16_t>(headroom + frame);
    plan.cache = cache_size;
    plan.packet_buffers = config.memory.packet_buffers;
    if (plan.packet_buffers == 0) {
        plan.packet_buffers = static_cast<std::uint32_t>(count_buffers(config));
    }
    // A device that uses addresses of its own needs each buffer within a page.
    std::uint64_t size = plan.buffer_room + per_buffer;
    if (plan.device_dma) size = std::max<std::uint64_t>(size, page_bytes);
    plan.megabytes = config.memory.dpdk_megabytes;
    if (plan.megabytes == 0) {
        const std::uint64_t total = base_megabytes +
                                    route_tables * (bytes_for_routes(config) / mebibyte + 1) +
                                    megabytes_of_port * config.ports.size() +
                                    (plan.packet_buffers * (size + 16)) / mebibyte + 1 +
                                    bytes_for_reassembly(config) / mebibyte + 1;
        plan.megabytes = static_cast<std::uint32_t>((total + 1) / 2 * 2);
    }
    return plan;
}

std::uint64_t free_huge_megabytes() {
    std::uint64_t megabytes = 0;
    std::error_code error;
    const std::filesystem::directory_iterator sizes("/sys/kernel/mm/hugepages", error);
    if (error) return 0;
    for (const auto& entry : sizes) {
        // hugepages-2048kB/free_hugepages
        const std::string name = entry.path().filename().string();
        constexpr std::string_view prefix = "hugepages-";
        if (!name.starts_with(prefix)) continue;
        std::uint64_t pages = 0;
        std::ifstream(entry.path() / "free_hugepages") >> pages;
        megabytes += std::strtoull(name.c_str() + prefix.size(), nullptr, 10) * pages / 1024;
    }
    return megabytes;
}

}  // namespace noclash::dpdk
