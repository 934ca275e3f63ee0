// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sched.h>

#include <atomic>
#include <cstdint>

namespace noclash::bench {

/// test-and-test-and-set; 4 bytes, as the kernel's. Lets others run when it takes long: in
/// userspace the holder may have been preempted.
class SpinLock {
  public:
    void lock() {
        for (unsigned tries = 0; locked_.exchange(1, std::memory_order_acquire) != 0;) {
            while (locked_.load(std::memory_order_relaxed) != 0) {
                __builtin_ia32_pause();
                if (++tries % 256 == 0) ::sched_yield();
            }
        }
    }
    void unlock() { locked_.store(0, std::memory_order_release); }

  private:
    std::atomic<std::uint32_t> locked_{0};
};

}  // namespace noclash::bench
