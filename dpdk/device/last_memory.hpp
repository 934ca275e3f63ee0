// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>

namespace noclash::dpdk {

/// Whether large pieces of DPDK's memory are left to the end of the process. DPDK writes zeros to
/// all memory that it frees, some 100 MiB of routes and packet buffers. The kernel takes this
/// memory back anyway, so a daemon that stops does not wait for the zeros.
class LastMemory {
  public:
    /// From now on they are not freed: the process is about to end.
    static void leave_it() { left_.store(true, std::memory_order_relaxed); }
    [[nodiscard]] static bool is_left() { return left_.load(std::memory_order_relaxed); }

  private:
    static inline std::atomic<bool> left_{false};
};

}  // namespace noclash::dpdk
