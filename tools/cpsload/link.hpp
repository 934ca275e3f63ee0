// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "dpdk/device/interrupt_gate.hpp"

namespace noclash::cpsload {

inline constexpr std::uint16_t burst = 64;

/// Packets of one side.
struct LinkCounters {
    std::uint64_t received = 0;
    std::uint64_t sent = 0;
    std::uint64_t waited = 0;  ///< bursts that the device took only in part
};

/// Queue 0 of a started DPDK port, with a queue before it for what the device does not take at
/// once: nothing is ever dropped on the way out. One thread.
class Link {
  public:
    explicit Link(std::uint16_t port) : port_(port) {}
    /// A memif port; it is this `user` of the gate. `receive` must be called all the time.
    Link(std::uint16_t port, dpdk::InterruptGate& gate, std::uint16_t user)
        : port_(port), gate_(&gate), user_(user), held_(true) {
        gate.join(user);
    }
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;
    ~Link() {
        if (gate_ != nullptr) gate_->leave(user_);
        rte_pktmbuf_free_bulk(waiting_.data(), static_cast<unsigned>(waiting_count_));
    }

    /// Frames that are there, at most `burst`; none while there is no room for their answers. They
    /// belong to the caller and are valid until the next call.
    [[nodiscard]] std::span<rte_mbuf*> receive() {
        if (gate_ != nullptr) held_ = gate_->window(user_);
        if (held_ || room() < burst) return {};
        const std::uint16_t count = rte_eth_rx_burst(port_, 0, received_.data(), burst);
        counters_.received += count;
        return std::span(received_).first(count);
    }

    /// How many frames `send` takes before the next `flush`.
    [[nodiscard]] std::size_t room() const { return waiting_.size() - waiting_count_; }

    /// Sends a frame of `length` bytes at the beginning of a buffer. There must be `room`.
    void send(rte_mbuf* frame, std::uint16_t length) {
        frame->data_len = length;
        frame->pkt_len = length;
        frame->ol_flags = 0;
        waiting_[waiting_count_++] = frame;
    }

    void flush() {
        if (held_) return;
        std::size_t sent = 0;
        while (sent < waiting_count_) {
            const std::size_t wanted = std::min<std::size_t>(burst, waiting_count_ - sent);
            const std::uint16_t taken = rte_eth_tx_burst(port_, 0, waiting_.data() + sent,
                                                         static_cast<std::uint16_t>(wanted));
            sent += taken;
            if (taken == wanted) continue;
            ++counters_.waited;
            break;
        }
        counters_.sent += sent;
        waiting_count_ -= sent;
        if (sent > 0 && waiting_count_ > 0)
            std::copy_n(waiting_.begin() + static_cast<std::ptrdiff_t>(sent), waiting_count_,
                        waiting_.begin());
    }

    [[nodiscard]] const LinkCounters& counters() const { return counters_; }

  private:
    std::uint16_t port_;
    dpdk::InterruptGate* gate_ = nullptr;
    std::uint16_t user_ = 0;
    bool held_ = false;  ///< by the gate, until the next `receive`
    std::array<rte_mbuf*, burst> received_{};
    std::array<rte_mbuf*, 1024> waiting_{};
    std::size_t waiting_count_ = 0;
    LinkCounters counters_;
};

}  // namespace noclash::cpsload
