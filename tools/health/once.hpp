// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tools/health/config.hpp"
#include "tools/noclashctl/commands.hpp"

namespace noclash::health {

/// Checks each backend once, tells the daemon nothing, and prints what came of it.
/// @return whether all checks succeeded
/// @throws tools::NoDaemon, tools::DaemonError, nlohmann::json::exception, std::runtime_error
[[nodiscard]] bool check_once(const Config& config, tools::Format format);

}  // namespace noclash::health
