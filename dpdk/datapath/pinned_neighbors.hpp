// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "dpdk/config/config.hpp"
#include "dpdk/datapath/neighbor.hpp"

namespace noclash::dpdk {

/// The neighbours that a configuration names: `via` of routes, and, where they lie in a port's
/// subnet, targets of dnat rules, backends of services and insides of static mappings; and all of
/// [[neighbor]]. Each once.
[[nodiscard]] std::vector<PinnedNeighbor> pinned_neighbors(const Config& config);

}  // namespace noclash::dpdk
