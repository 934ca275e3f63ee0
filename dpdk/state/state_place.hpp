// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace noclash::dpdk {

/// Where a state file may lie.
struct StatePlaces {
    std::string mounts = "/proc/self/mounts";
    /// Directories, in the order of preference.
    std::string run = "/run/noclash";
    std::string shared_memory = "/dev/shm/noclash";
};

/// The path of the state file of an instance whose configuration names none: the file that is there
/// already; else one on huge pages, if so many bytes of them are free; else one on a tmpfs.
/// @param name   of the instance
/// @param bytes  that the file will have; 0: not on huge pages
[[nodiscard]] std::string state_place(const std::string& name, std::uint64_t bytes,
                                      const StatePlaces& places = {});

/// Bytes of memory that a file has already; 0 when there is none.
struct MemoryOfFile {
    std::uint64_t bytes = 0;
    bool huge = false;  ///< reserved huge pages
};
[[nodiscard]] MemoryOfFile memory_of_file(const std::string& path);

}  // namespace noclash::dpdk
