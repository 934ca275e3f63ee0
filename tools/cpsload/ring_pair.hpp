// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

struct rte_mempool;
struct rte_ring;

namespace noclash::cpsload {

/// Two Ethernet ports of DPDK's, started, each of which receives what the other one sends: a wire
/// within the process. Needs a running `Eal`. One at a time.
class RingPair {
  public:
    /// @throws std::runtime_error
    explicit RingPair(rte_mempool* packets);
    RingPair(const RingPair&) = delete;
    RingPair& operator=(const RingPair&) = delete;
    ~RingPair();

    [[nodiscard]] std::uint16_t port(std::size_t side) const { return ports_[side]; }

  private:
    void close();

    std::array<rte_ring*, 2> rings_{};
    std::array<std::uint16_t, 2> ports_{};
    std::size_t open_ports_ = 0;
};

}  // namespace noclash::cpsload
