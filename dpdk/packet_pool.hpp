// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "dpdk/memory_plan.hpp"

struct rte_mempool;

namespace noclash::dpdk {

/// The packet buffers, shared by all ports and workers. Needs a running `Eal`, and must outlive the
/// ports and every packet.
class PacketPool {
  public:
    /// @throws std::runtime_error when the memory does not suffice
    explicit PacketPool(const MemoryPlan& plan);

    [[nodiscard]] rte_mempool* get() const { return pool_.get(); }

  private:
    struct Free {
        void operator()(rte_mempool* pool) const;
    };
    std::unique_ptr<rte_mempool, Free> pool_;
};

}  // namespace noclash::dpdk
