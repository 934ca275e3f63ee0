// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dpdk/control/reload.hpp"
#include "dpdk/datapath/gateway.hpp"
#include "dpdk/datapath/worker.hpp"
#include "engine/flow_adoption.hpp"

namespace noclash::dpdk {

/// What came of the flows that the process before this one left.
struct AdoptionReport {
    AdoptionCounts records;      ///< by what became of them; mappings among them
    ReloadOutcome::Flows flows;  ///< by what the policy makes of them
    std::uint64_t took_ms = 0;

    /// Flows that live.
    [[nodiscard]] std::uint64_t adopted() const { return flows.unchanged + flows.live_on; }
    /// Records that cannot be what some process has left.
    [[nodiscard]] std::uint32_t refused() const {
        return records.conflicting + records.orphaned + records.implausible;
    }
};

/// Makes the flows of the process before this one the gateway's, and has them go by its policy.
/// Before any worker runs. @throws std::runtime_error when the state cannot be written
[[nodiscard]] AdoptionReport adopt(Gateway& gateway,
                                   const std::vector<std::unique_ptr<Worker>>& workers,
                                   Reloader& reloader);

/// In one line, for the log.
[[nodiscard]] std::string to_string(const AdoptionReport& report, const std::string& instance);

}  // namespace noclash::dpdk
