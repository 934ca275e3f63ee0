// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "dpdk/config/checks.hpp"

namespace noclash::dpdk {

namespace {

/// Two workers on one CPU: if they nap, each gives way to the other; if they poll, neither ever
/// does, and each stands still for whole time slices of the scheduler.
void check_repetition(const Whole& whole) {
    auto cores = whole.config.cores;
    std::ranges::sort(cores);
    const auto twice = std::ranges::adjacent_find(cores);
    if (twice == cores.end()) return;
    if (whole.config.idle == Idle::poll)
        whole.top.fault(
            "cores",
            fmt::format("CPU {} is named twice, and workers that poll cannot share it", *twice),
            "each CPU once, or `idle = \"nap\"`");
    else
        whole.top.warn("cores", fmt::format("CPU {} is named twice: its workers share it", *twice),
                       "name each CPU once");
}

void check_presence(const Whole& whole, const Machine& machine) {
    for (const std::uint16_t core : whole.config.cores) {
        if (std::ranges::find(machine.cpus, core) != machine.cpus.end()) continue;
        whole.top.warn("cores",
                       fmt::format("this process may not use CPU {}, only {}", core,
                                   fmt::join(machine.cpus, ", ")),
                       "name CPUs that it may use, or noclash will not start (see taskset, and "
                       "the cpuset of the service)");
        return;
    }
}

}  // namespace

void check_cpus(const Whole& whole, const Machine& machine) {
    const Config& config = whole.config;
    if (!config.cores.empty()) check_repetition(whole);
    if (config.reply_locality && config.workers == 1)
        whole.top.warn("reply_locality", "there is one worker, which gets all replies",
                       "leave it out, or raise `workers`");
    if (machine.cpus.empty()) return;
    check_presence(whole, machine);
    if (config.cores.empty() && config.idle == Idle::poll && config.workers > machine.cpus.size())
        whole.top.warn(
            "workers",
            fmt::format("{} workers poll on {} CPUs: workers that share a CPU take turns, and "
                        "packets wait meanwhile",
                        config.workers, machine.cpus.size()),
            "one worker for each CPU at most, or `idle = \"nap\"`");
}

}  // namespace noclash::dpdk
