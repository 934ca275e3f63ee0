// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace noclash::dpdk {

/// How soon the scheduler lets a worker run that shares its core. One thread's own.
///
/// A frame that ends a worker's nap has waited for nobody so far; behind threads that compute, it
/// would wait for milliseconds. So a worker runs before them (SCHED_FIFO), as the kernel's own
/// forwarding does in its software interrupts; and one that has found work without a pause for some
/// milliseconds goes on as one thread among others, as they do, until it has nothing to do.
///
/// It needs CAP_SYS_NICE. Without it, a worker asks for short time slices alone, which Linux 6.12
/// and later serve sooner.
class Urgency {
  public:
    /// For the calling thread, from now on.
    void begin(std::uint64_t now_ms);

    /// After each round of work that no nap follows.
    void worked(std::uint64_t now_ms) {
        if (urgent_ && now_ms - since_ms_ > longest_ms) [[unlikely]]
            lower();
    }
    /// After each nap.
    void rested(std::uint64_t now_ms) {
        since_ms_ = now_ms;
        if (lowered_) [[unlikely]]
            raise();
    }

    [[nodiscard]] bool urgent() const { return urgent_; }

    static constexpr std::uint64_t longest_ms = 3;

  private:
    void raise();
    void lower();

    std::uint64_t since_ms_ = 0;  ///< it has not napped
    bool urgent_ = false;
    bool lowered_ = false;
};

}  // namespace noclash::dpdk
