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

/// The frames of one RX queue of a port. While packets come faster than they are decided, it is one
/// burst ahead: the frames that will be decided next are in hand, and can be brought into the cache
/// while those before them are sent. At any other time, frames are decided as soon as they come,
/// and nothing waits here. One worker's own.
template <std::size_t burst>
class RxQueue {
  public:
    RxQueue() = default;
    RxQueue(const RxQueue&) = delete;
    RxQueue& operator=(const RxQueue&) = delete;
    ~RxQueue() { rte_pktmbuf_free_bulk(bursts_[turn_].frames.data(), bursts_[turn_].count); }

    /// The next burst, the caller's from now on, its headers on their way into the cache. Valid
    /// until the next call.
    [[nodiscard]] std::span<rte_mbuf*> take(std::uint16_t port, std::uint16_t queue) {
        Burst& now = bursts_[turn_];
        Burst& next = bursts_[turn_ ^ 1U];
        if (now.count == 0) {
            receive(port, queue, now);
            for (rte_mbuf* frame : std::span(now.frames).first(now.count))
                rte_prefetch0(rte_pktmbuf_mtod(frame, void*));
        }
        // A burst that is not full was all there was.
        if (now.count == burst) receive(port, queue, next);
        turn_ ^= 1U;
        const std::size_t taken = std::exchange(now.count, std::uint16_t{0});
        return std::span(now.frames).first(taken);
    }

    /// The burst after it, as far as it is there; not the caller's yet.
    [[nodiscard]] std::span<rte_mbuf* const> ahead() const {
        return std::span(bursts_[turn_].frames).first(bursts_[turn_].count);
    }
    /// Brings a frame that is ahead into the cache: the buffer, and where a fresh one has its data,
    /// since the buffer, which knows, is only on its way.
    static void prefetch(const rte_mbuf* frame) {
        constexpr std::size_t data = sizeof(rte_mbuf) + RTE_PKTMBUF_HEADROOM;
        rte_prefetch0(frame);
        rte_prefetch0(reinterpret_cast<const std::byte*>(frame) + data);
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
