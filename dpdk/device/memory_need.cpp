// SPDX-License-Identifier: Apache-2.0
#include "dpdk/device/memory_need.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "engine/flow_table.hpp"
#include "nat/limits/source_table.hpp"
#include "nat/ports/occupancy_maps.hpp"

namespace noclash::dpdk {

namespace {

using Table = FlowTable<V4>;

/// Bytes of the neighbour table for each neighbour that it is to hold: it is at most half full.
constexpr std::uint64_t bytes_of_neighbor = 4ULL * 40;
/// Libraries and drivers that DPDK loads, heaps, buffers of sockets.
constexpr std::uint64_t other_address_space = 256 * mebibyte;
/// Beside the workers: DPDK's, those of the control socket, those that lay out tables.
constexpr std::uint64_t other_threads = 16;
constexpr std::uint64_t bytes_of_stack = 8 * mebibyte;

std::string packets_key(const Config& config) {
    if (config.memory.dpdk_megabytes != 0) return "[memory] dpdk_megabytes";
    if (config.memory.packet_buffers != 0) return "[memory] packet_buffers";
    return "workers, [[port]] descriptors, [fragments] capacity";
}

std::string size_text(std::uint64_t bytes) {
    if (bytes >= 10'240 * mebibyte)
        return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / (1024.0 * mebibyte));
    return fmt::format("{} MiB", (bytes + mebibyte - 1) / mebibyte);
}

/// Bytes of memory that is not in reserved huge pages. DPDK comes first; each array takes reserved
/// pages when they suffice for all of it.
std::uint64_t normal_bytes(const Config& config, const MemoryPlan& plan, std::uint64_t huge) {
    if (config.memory.huge_pages == HugePages::none) huge = 0;
    std::uint64_t normal = 0;
    const auto place = [&](std::uint64_t bytes) {
        if (bytes <= huge)
            huge -= bytes;
        else
            normal += bytes;
    };
    place(plan.megabytes * mebibyte);
    place(Table::Pool::bytes_for(config.flows, Table::slack_for(config.flows, config.workers)));
    place(Table::Index::bytes_for(config.flows));
    for (const MemoryNeed& need : memory_needs(config, plan))
        if (need.key != "flows" && need.key != packets_key(config)) place(need.bytes);
    return normal;
}

/// How many flows would fit; 0 when not even the least number would.
std::uint32_t flows_that_fit(Config config, const MemoryPlan& plan, const MemoryThere& there) {
    std::uint32_t fit = 0;
    for (std::uint32_t bit = 1U << 26U; bit >= 1024; bit >>= 1U) {
        config.flows = fit | bit;
        if (normal_bytes(config, plan, there.huge_bytes) <= there.bytes) fit |= bit;
    }
    return fit;
}

std::string shortage_text(const Config& config, const MemoryPlan& plan, std::uint64_t needed,
                          std::uint64_t available, std::string_view bound) {
    auto needs = memory_needs(config, plan);
    std::ranges::sort(needs, std::ranges::greater{}, &MemoryNeed::bytes);
    std::string parts;
    for (const MemoryNeed& need : needs)
        if (need.bytes >= mebibyte)
            parts +=
                fmt::format("{}{} {}", parts.empty() ? "" : ", ", size_text(need.bytes), need.what);
    return fmt::format("{}: {}: too little memory: {} are needed ({}), and {} are available ({})",
                       config.file, needs.front().key, size_text(needed), parts,
                       size_text(available), bound);
}

}  // namespace

std::vector<MemoryNeed> memory_needs(const Config& config, const MemoryPlan& plan) {
    std::vector<MemoryNeed> needs{
        {"flows", fmt::format("for {} flows", config.flows),
         Table::bytes_for(config.flows, config.workers)},
        {packets_key(config), "for packets and routes", plan.megabytes * mebibyte},
        {"[neighbors] capacity",
         fmt::format("for {} neighbours", config.neighbors.capacity * config.ports.size()),
         config.neighbors.capacity * config.ports.size() * bytes_of_neighbor},
    };
    if (config.limits.of_sources())
        needs.push_back({"[limits] sources", fmt::format("for {} sources", config.limits.sources),
                         nat::SourceTable<V4, Production>::bytes_for(config.limits.sources)});
    return needs;
}

std::optional<std::string> memory_shortage(const Config& config, const MemoryPlan& plan,
                                           const MemoryThere& there) {
    const std::uint64_t normal = normal_bytes(config, plan, there.huge_bytes);
    if (normal > there.bytes) {
        std::string text = shortage_text(config, plan, normal, there.bytes, there.bound);
        const auto needs = memory_needs(config, plan);
        if (std::ranges::max_element(needs, {}, &MemoryNeed::bytes)->key == "flows") {
            if (const std::uint32_t fit = flows_that_fit(config, plan, there); fit != 0)
                text += fmt::format("; {} flows would fit", fit);
        }
        return text;
    }
    if (!there.address_space) return std::nullopt;
    const auto needs = memory_needs(config, plan);
    std::uint64_t all = other_address_space + (config.workers + other_threads) * bytes_of_stack;
    for (const MemoryNeed& need : needs)
        all += need.bytes;
    if (all <= *there.address_space) return std::nullopt;
    return shortage_text(config, plan, all, *there.address_space,
                         "the rest of the limit of the address space: `ulimit -v`, RLIMIT_AS") +
           "; raise that limit";
}

}  // namespace noclash::dpdk
