// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>

#include "dpdk/device/eal_arguments.hpp"
#include "dpdk/device/memory_plan.hpp"
#include "engine/base/huge_array.hpp"

struct rte_mempool;

namespace noclash::dpdk {

/// The packet buffers, shared by all ports and workers. Needs a running `Eal`, and must outlive the
/// ports and every packet.
class PacketPool {
  public:
    /// With normal pages, and when no device reads it by itself, the buffers lie in memory of their
    /// own, for which the kernel is asked for transparent huge pages: DPDK's would be on small
    /// ones.
    /// @throws std::runtime_error when the memory does not suffice
    PacketPool(const MemoryPlan& plan, PageSize pages);

    [[nodiscard]] rte_mempool* get() const { return pool_.get(); }

  private:
    struct Free {
        void operator()(rte_mempool* pool) const;
    };
    std::unique_ptr<HugeArray<std::byte>> memory_;
    std::unique_ptr<rte_mempool, Free> pool_;
};

}  // namespace noclash::dpdk
