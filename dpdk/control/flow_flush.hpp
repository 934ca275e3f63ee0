// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "dpdk/control/flow_walk.hpp"

namespace noclash::dpdk {

/// Ends flows for people: `noclashctl flows flush`, and what a reload ends. One thread at a time
/// does so, since its counters have one writer; any thread reads them.
class FlowFlush {
  public:
    explicit FlowFlush(Gateway& gateway)
        : gateway_(gateway), engine_(gateway.config.workers), mappings_(gateway.config.workers) {}

    /// Ends the connections that match and that `ends(view)` says true of; `between()` is called
    /// now and then. @return how many ended
    template <class Ends, class Between>
    std::uint64_t flush(const FlowFilter& filter, Ends&& ends, Between&& between) {
        std::unique_lock lock(mutex_, std::try_to_lock);
        for (; !lock; lock.try_lock()) {
            between();
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        std::uint64_t ended = 0;
        const auto each = [&](FlowReader& reader, const FlowView& flow) {
            if (!flow.is_wildcard() && ends(flow) &&
                reader.flush(flow, engine_[flow.worker], mappings_[flow.worker]))
                ++ended;
        };
        for_each_flow(gateway_, filter, each, between);
        if (ended > 0) gateway_.flows.hurry_reclamation();
        return ended;
    }

    /// Of the flows of a worker that were ended here.
    [[nodiscard]] const EngineCounters& engine(std::size_t worker) const { return engine_[worker]; }
    [[nodiscard]] const nat::MappingCounters& mappings(std::size_t worker) const {
        return mappings_[worker];
    }

  private:
    Gateway& gateway_;
    std::mutex mutex_;
    std::vector<EngineCounters> engine_;          ///< by worker
    std::vector<nat::MappingCounters> mappings_;  ///< likewise
};

}  // namespace noclash::dpdk
