// SPDX-License-Identifier: Apache-2.0
#include "dpdk/datapath/gateway.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>

namespace noclash::dpdk {

std::shared_ptr<const Snapshot> Gateway::snapshot_before(const State& state, const Config& config,
                                                         nat::Identities& identities) {
    std::optional<Config> before = state.configuration_before();
    if (!before) return nullptr;
    // A policy calls ports by their places.
    if (!std::ranges::equal(before->ports, config.ports, {}, &PortConfig::name,
                            &PortConfig::name)) {
        spdlog::warn("the ports are not those of before: flows of rules that are gone live on");
        return nullptr;
    }
    return std::make_shared<const Snapshot>(std::move(*before), identities);
}

}  // namespace noclash::dpdk
