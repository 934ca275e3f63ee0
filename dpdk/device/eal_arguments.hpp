// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "dpdk/config/config.hpp"
#include "dpdk/device/memory_plan.hpp"

namespace noclash::dpdk {

/// The lcore that runs a worker; lcore 0 is the main thread's.
[[nodiscard]] constexpr unsigned lcore_of(unsigned worker) {
    return worker + 1;
}

/// The CPU of each worker: the configured ones, else the `allowed` ones in turn, so that there may
/// be more workers than CPUs.
/// @throws std::runtime_error when a configured CPU is not allowed
[[nodiscard]] std::vector<unsigned> cpus_of_workers(const Config& config,
                                                    const std::vector<unsigned>& allowed);

enum class PageSize { normal, huge };

/// DPDK's command line, so that nobody has to know it. Virtual devices are not on it: `Port` adds
/// them one by one, which tells whose fault it is when one fails.
[[nodiscard]] std::vector<std::string> eal_arguments(const Config& config, const MemoryPlan& memory,
                                                     PageSize pages,
                                                     const std::vector<unsigned>& allowed);

}  // namespace noclash::dpdk
