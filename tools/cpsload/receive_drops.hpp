// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "dpdk/port.hpp"
#include "tools/cpsload/losses.hpp"

namespace noclash::cpsload {

/// Counts what the two ports of a tester drop on their way in. One thread.
class ReceiveDrops {
  public:
    /// Counts from now on. The ports must have started, and outlive this.
    ReceiveDrops(const dpdk::Port& client, const dpdk::Port& server);

    [[nodiscard]] TesterLosses since_start();

  private:
    struct Side {
        explicit Side(const dpdk::Port& of) : port(of) {}
        [[nodiscard]] std::uint64_t read();

        const dpdk::Port& port;
        std::uint64_t ring = 0;    ///< of a packet socket, read so far
        std::uint64_t before = 0;  ///< at the start
    };
    Side client_;
    Side server_;
};

}  // namespace noclash::cpsload
