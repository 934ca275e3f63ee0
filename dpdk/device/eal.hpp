// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dpdk/config/config.hpp"
#include "dpdk/device/dpdk_log.hpp"
#include "dpdk/device/eal_arguments.hpp"
#include "dpdk/device/memory_plan.hpp"

namespace noclash::dpdk {

/// DPDK's environment: memory, and a thread for each worker (`lcore_of`). It must outlive every
/// port, pool and worker. One in a process, ever: DPDK cannot be started twice.
class Eal {
  public:
    /// @throws std::runtime_error with the reason and what to do about it
    explicit Eal(const Config& config);
    Eal(const Eal&) = delete;
    Eal& operator=(const Eal&) = delete;
    ~Eal();

    [[nodiscard]] PageSize pages() const { return pages_; }
    [[nodiscard]] const MemoryPlan& memory() const { return memory_; }

  private:
    DpdkLog log_;
    MemoryPlan memory_;
    PageSize pages_ = PageSize::normal;
};

}  // namespace noclash::dpdk
