// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dpdk/config/config.hpp"
#include "dpdk/device/memory_plan.hpp"

namespace noclash::dpdk {

/// Memory that a key of the configuration asks for.
struct MemoryNeed {
    std::string key;   ///< as the configuration calls it
    std::string what;  ///< what the memory is for
    std::uint64_t bytes = 0;
};

/// The large tables and the packet buffers, before any of them is made. What is left out is below
/// some MiB.
[[nodiscard]] std::vector<MemoryNeed> memory_needs(const Config& config, const MemoryPlan& plan);

/// The memory that the machine has for this process.
struct MemoryThere {
    std::uint64_t bytes = UINT64_MAX;  ///< that can be had without swapping
    std::string bound;                 ///< what sets this bound, as "the cgroup's memory.max"
    std::uint64_t huge_bytes = 0;      ///< in reserved huge pages, beside `bytes`
    /// Bytes by which the address space may still grow (RLIMIT_AS); absent: no limit.
    std::optional<std::uint64_t> address_space;
};

/// Asks the kernel.
/// @param root  where its file systems are; other than "/" in tests
[[nodiscard]] MemoryThere memory_there(const std::string& root = "/");

/// Why the configuration does not fit into what there is, with the key to change; nothing when it
/// fits. `flows` takes its memory at once: later the kernel would kill the process.
[[nodiscard]] std::optional<std::string> memory_shortage(const Config& config,
                                                         const MemoryPlan& plan,
                                                         const MemoryThere& there);

}  // namespace noclash::dpdk
