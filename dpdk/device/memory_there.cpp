// SPDX-License-Identifier: Apache-2.0

// Memory that there is, as the kernel reports it.

#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

#include "dpdk/device/memory_need.hpp"

namespace noclash::dpdk {

namespace {

constexpr std::uint64_t kibibyte = 1024;

/// The number behind `key` in a file of lines such as `MemAvailable:   1234 kB`.
std::optional<std::uint64_t> number_of(const std::string& file, const std::string& key) {
    std::ifstream stream(file);
    std::string word;
    while (stream >> word) {
        std::uint64_t value = 0;
        if (word == key && stream >> value) return value;
        stream.clear();
        stream.ignore(4096, '\n');
    }
    return std::nullopt;
}

/// The number that a file consists of; nothing for "max", or when there is no such file.
std::optional<std::uint64_t> number_in(const std::string& file) {
    std::ifstream stream(file);
    std::uint64_t value = 0;
    return stream >> value ? std::optional(value) : std::nullopt;
}

struct Controller {
    std::string directory;  ///< of the root group
    std::string limit, usage;
    std::string cache, shared;  ///< in memory.stat: what can be given back, and what of it cannot
    std::string name;
};

/// The tightest bound of a group and those that it is in. Page cache counts as usage, and gives
/// way; what lies in tmpfs is counted with it, and does not.
void bound_by_group(const Controller& controller, std::string group, MemoryThere& there) {
    for (;;) {
        const std::string directory = controller.directory + group;
        const auto limit = number_in(directory + "/" + controller.limit);
        const auto usage = number_in(directory + "/" + controller.usage);
        if (limit && usage) {
            const std::string stat = directory + "/memory.stat";
            const std::uint64_t cache = number_of(stat, controller.cache).value_or(0);
            const std::uint64_t shared = number_of(stat, controller.shared).value_or(0);
            const std::uint64_t held = *usage - std::min(*usage, cache - std::min(cache, shared));
            const std::uint64_t left = *limit - std::min(*limit, held);
            if (left < there.bytes) {
                there.bytes = left;
                there.bound = controller.name;
            }
        }
        if (group.empty() || group == "/") return;
        group.erase(group.rfind('/'));
    }
}

void bound_by_groups(const std::string& root, MemoryThere& there) {
    std::ifstream groups(root + "proc/self/cgroup");
    for (std::string line; std::getline(groups, line);) {
        // Number, controllers, group: `0::/system.slice`, or, of version 1, `4:memory:/x`.
        const std::size_t first = line.find(':');
        const std::size_t second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) continue;
        const std::string controllers = line.substr(first + 1, second - first - 1);
        const std::string group = line.substr(second + 1);
        if (controllers.empty())
            bound_by_group({root + "sys/fs/cgroup", "memory.max", "memory.current", "file", "shmem",
                            "the rest of memory.max of the cgroup"},
                           group, there);
        else if (controllers == "memory")
            bound_by_group(
                {root + "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
                 "total_cache", "total_shmem", "the rest of memory.limit_in_bytes of the cgroup"},
                group, there);
    }
}

}  // namespace

MemoryThere memory_there(const std::string& root) {
    MemoryThere there;
    if (const auto available = number_of(root + "proc/meminfo", "MemAvailable:")) {
        there.bytes = *available * kibibyte;
        there.bound = "MemAvailable";
    }
    bound_by_groups(root, there);
    there.huge_bytes = free_huge_megabytes() << 20U;
    rlimit limit{};
    if (::getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        const std::uint64_t used =
            number_of(root + "proc/self/status", "VmSize:").value_or(0) * kibibyte;
        there.address_space = limit.rlim_cur - std::min<std::uint64_t>(limit.rlim_cur, used);
    }
    return there;
}

}  // namespace noclash::dpdk
