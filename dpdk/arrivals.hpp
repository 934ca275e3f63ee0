// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace noclash::dpdk {

/// What comes in at one queue of a port. While packets come faster than they are decided, it is one
/// burst ahead: the frames that will be decided next are in hand, and can be brought into the cache
/// while those before them are sent. At any other time, frames are decided as soon as they come, and
/// nothing waits here. One worker's own.
template <std::size_t burst>
class Arrivals {
  public:
    Arrivals() = default;
    Arrivals(const Arrivals&) = delete;
    Arrivals& operator=(const Arrivals&) = delete;
    ~Arrivals() { rte_pktmbuf_free_bulk(bursts_[turn_].frames.data(), bursts_[turn_].count); }

    /// The next burst, the caller's from now on; valid until the next call.
    [[nodiscard]] std::span<rte_mbuf*> take(std::uint16_t port, std::uint16_t queue) {
        Burst& now = bursts_[turn_];
        Burst& next = bursts_[turn_ ^ 1U];
        if (now.count == 0) receive(port, queue, now);
        // A burst that is not full was all there was.
        if (now.count == burst) receive(port, queue, next);
        turn_ ^= 1U;
        const std::size_t taken = std::exchange(now.count, 0);
        return std::span(now.frames).first(taken);
    }

    /// Brings the frame that is `i`th in the next burst into the cache, if there is one.
    void prefetch(std::size_t i) const {
        const Burst& next = bursts_[turn_];
        if (i >= next.count) return;
        // Where a fresh buffer has its data: the buffer itself, which knows, is on its way, too.
        constexpr std::size_t data = sizeof(rte_mbuf) + RTE_PKTMBUF_HEADROOM;
        const auto* const buffer = reinterpret_cast<const std::byte*>(next.frames[i]);
        __builtin_prefetch(buffer, 0, 3);
        __builtin_prefetch(buffer + data, 0, 3);
    }

  private:
    struct Burst {
        std::array<rte_mbuf*, burst> frames;
        std::uint16_t count = 0;
    };

    static void receive(std::uint16_t port, std::uint16_t queue, Burst& into) {
        into.count = rte_eth_rx_burst(port, queue, into.frames.data(), burst);
    }

    std::array<Burst, 2> bursts_{};
    unsigned turn_ = 0;  ///< which burst comes next
};

}  // namespace noclash::dpdk
