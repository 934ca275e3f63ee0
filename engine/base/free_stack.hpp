// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cassert>
#include <cstdint>

namespace noclash {

/// Lock-free stack of indices (Treiber 1986). The links lie with the elements: `link(i)` gives an
/// atomic 32-bit word of element `i`. Index 0 means "empty". A counter beside the top index makes a
/// stale compare-and-swap fail: it would have to wrap 2^32 times within one `pop`.
template <class Traits>
class FreeStack {
  public:
    template <class Link>
    void push(std::uint32_t index, Link&& link) {
        assert(index != 0);
        std::uint64_t top = top_.load(std::memory_order_relaxed);
        std::uint64_t next_top = 0;
        do {
            link(index).store(static_cast<std::uint32_t>(top), std::memory_order_relaxed);
            next_top = pack(index, top);
            // The thread that pops `index` sees all that was written to it before.
        } while (!top_.compare_exchange_weak(top, next_top, std::memory_order_release,  // (11)
                                             std::memory_order_relaxed));
    }

    /// 0 when there is none.
    template <class Link>
    [[nodiscard]] std::uint32_t pop(Link&& link) {
        std::uint64_t top = top_.load(std::memory_order_acquire);  // (12)
        for (;;) {
            const auto index = static_cast<std::uint32_t>(top);
            if (index == 0) return 0;
            const std::uint32_t next = link(index).load(std::memory_order_relaxed);
            if (top_.compare_exchange_weak(top, pack(next, top),
                                           std::memory_order_acquire,  // (12)
                                           std::memory_order_acquire))
                return index;
        }
    }

  private:
    static std::uint64_t pack(std::uint32_t index, std::uint64_t previous_top) {
        return (((previous_top >> 32U) + 1) << 32U) | index;
    }

    // All workers change it; whatever lies beside it they only read, with every packet.
    alignas(64) typename Traits::template Atomic<std::uint64_t> top_{0};
};

}  // namespace noclash
