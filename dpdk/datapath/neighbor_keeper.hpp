// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "dpdk/datapath/egress.hpp"
#include "dpdk/datapath/gateway.hpp"
#include "dpdk/datapath/neighbor_events.hpp"
#include "dpdk/datapath/worker_counters.hpp"
#include "nat/packet/arp.hpp"

namespace noclash::dpdk {

/// One worker's ARP: takes in what others say, answers, defends our own addresses, and drives the
/// asking that no packet drives: pinned neighbours (the first worker's work) are known before the
/// first packet comes, and stay known; a neighbour whose address another station claims is verified
/// although nothing is sent to it.
class NeighborKeeper {
  public:
    enum class Duty : std::uint8_t { own, own_and_pinned };

    NeighborKeeper(Gateway& gateway, Egress& egress, WorkerCounters& counters, Duty duty);

    /// The neighbours of a new policy that are pinned.
    void take(std::span<const PinnedNeighbor> pinned);

    /// An ARP message that came in on `port`.
    void handle(std::uint16_t port, const nat::ArpMessage& message, Round round);

    /// Once a round.
    void round(std::uint64_t now_ms) {
        if (now_ms == round_ms()) return;
        now_ms_.store(now_ms, std::memory_order_relaxed);
        advance();
    }
    /// When the last round began; 0 before the first. For any thread.
    [[nodiscard]] std::uint64_t round_ms() const { return now_ms_.load(std::memory_order_relaxed); }

    /// For the thread that logs.
    [[nodiscard]] NeighborEvents& events() { return events_; }

  private:
    struct Place {
        std::uint16_t port;
        V4Address address;
        std::uint64_t until_ms = 0;  ///< of a doubted one, when it is forgotten
    };
    struct Pinned {
        Place place;
        std::uint64_t not_before_ms = 0;  ///< it does not answer
    };

    void learn(std::uint16_t port, const nat::ArpMessage& message, LearnMode mode);
    void defend(std::uint16_t port, const nat::ArpMessage& message);
    void advance();
    NeighborState advance(const Place& place);

    Gateway& gateway_;
    Egress& egress_;
    WorkerCounters& counters_;
    Duty duty_;
    NeighborEvents events_;
    std::atomic<std::uint64_t> now_ms_{0};  ///< written by the worker, read by anyone
    std::vector<Pinned> pinned_;
    std::size_t next_pinned_ = 0;
    std::array<Place, 32> doubted_{};
};

}  // namespace noclash::dpdk
