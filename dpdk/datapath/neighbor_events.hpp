// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

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
    /// On the worker's thread.
    void push(const NeighborEvent& event) {
        const std::uint64_t end = end_.load(std::memory_order_relaxed);
        if (end - begin_.load(std::memory_order_acquire) == room) {  // (58)
            missed_.fetch_add(1, std::memory_order_relaxed);
            return;
        }
        events_[end % room] = event;
        end_.store(end + 1, std::memory_order_release);  // (57)
    }
    /// On one other thread. Hands each event to `take`, and returns how many found no room since.
    template <class Take>
    std::uint64_t drain(Take&& take) {
        std::uint64_t begin = begin_.load(std::memory_order_relaxed);
        const std::uint64_t end = end_.load(std::memory_order_acquire);  // (60)
        for (; begin != end; ++begin)
            take(events_[begin % room]);
        begin_.store(begin, std::memory_order_release);  // (59)
        return missed_.exchange(0, std::memory_order_relaxed);
    }

    static constexpr std::size_t room = 64;

  private:
    std::array<NeighborEvent, room> events_{};
    std::atomic<std::uint64_t> begin_{0};  ///< written by the reader
    std::atomic<std::uint64_t> end_{0};    ///< written by the worker
    std::atomic<std::uint64_t> missed_{0};
};

}  // namespace noclash::dpdk
