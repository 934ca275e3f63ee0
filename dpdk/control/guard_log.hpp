// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "dpdk/datapath/gateway.hpp"

namespace noclash::dpdk {

/// Tells the operator when the SYN proxy of a service with `syn_proxy = "auto"` begins and ends.
/// One thread's own.
class GuardLog {
  public:
    /// To be called about once a second. @return the lines to log
    [[nodiscard]] std::vector<std::string> look(const Snapshot& policy,
                                                const nat::SynProxyShared<V4, Production>& proxy,
                                                std::uint64_t now_ms);

  private:
    std::unordered_map<nat::RuleId, std::string> guarded_;  ///< names of services
};

}  // namespace noclash::dpdk
