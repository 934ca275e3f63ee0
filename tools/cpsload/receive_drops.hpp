// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "dpdk/device/port.hpp"
#include "tools/cpsload/losses.hpp"

namespace noclash::cpsload {

/// Counts what the two ports of a tester drop on their way in. One thread.
class ReceiveDrops {
  public:
    /// Counts from now on. The ports must have started, and outlive this.
    ReceiveDrops(const dpdk::Port& client, const dpdk::Port& server);

    [[nodiscard]] TesterLosses since_start() const;

  private:
    struct Side {
        [[nodiscard]] std::uint64_t dropped() const;

        const dpdk::Port& port;
        std::uint64_t before = 0;  ///< dropped at the start
    };
    Side client_;
    Side server_;
};

}  // namespace noclash::cpsload
