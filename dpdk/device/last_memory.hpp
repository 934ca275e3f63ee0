// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>

namespace noclash::dpdk {

/// DPDK writes zeros to all memory that it frees: for routes and packet buffers some 100 MiB, which
/// may never have been touched before. A daemon that stops need not wait for that, nor does the one
/// that follows it: the process takes its memory along.
class LastMemory {
  public:
    /// Large pieces of DPDK's memory are not freed from now on. The process is about to end.
    static void leave_it() { left_.store(true, std::memory_order_relaxed); }
    [[nodiscard]] static bool is_left() { return left_.load(std::memory_order_relaxed); }

  private:
    static inline std::atomic<bool> left_{false};
};

}  // namespace noclash::dpdk
