// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "dpdk/datapath/spsc_ring.hpp"
#include "engine/base/address.hpp"
#include "nat/packet/headers.hpp"

namespace noclash::dpdk {

enum class NeighborNews : std::uint8_t {
    moved,     ///< a neighbour in use has another MAC address
    kept,      ///< another station claimed a neighbour's address, which still answers as before
    refused,   ///< another station claimed the address of a neighbour that is fixed
    conflict,  ///< another station uses an address of our own
};

/// An event that an operator should hear of. `claimed` is the other station.
struct NeighborEvent {
    NeighborNews news;
    std::uint16_t port;
    V4Address address;
    nat::MacAddress known;  ///< before; of a conflict, ours
    nat::MacAddress claimed;

    friend bool operator==(const NeighborEvent&, const NeighborEvent&) = default;
};

/// A worker's events on their way to the thread that logs them. Bounded: what finds no room is only
/// counted.
class NeighborEvents {
  public:
    static constexpr std::size_t room = 64;

    /// On the worker's thread.
    void push(const NeighborEvent& event) {
        if (!events_.push(event)) missed_.fetch_add(1, std::memory_order_relaxed);
    }
    /// On one other thread. Hands each event to `take`, and returns how many found no room since.
    template <class Take>
    std::uint64_t drain(Take&& take) {
        events_.drain(take);
        return missed_.exchange(0, std::memory_order_relaxed);
    }

  private:
    SpscRing<NeighborEvent, room> events_;
    std::atomic<std::uint64_t> missed_{0};
};

}  // namespace noclash::dpdk
