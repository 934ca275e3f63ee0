// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tools/health/check.hpp"
#include "tools/health/schedule.hpp"

namespace noclash::health {

/// What a file of noclash-health says.
struct Config {
    std::string file;
    std::string control_socket = "/run/noclash/control.sock";
    Ceilings ceilings;
    std::vector<Check> checks;  ///< no service is in two of them
};

/// @param file  as faults name it
/// @throws dpdk::ConfigError with every fault
[[nodiscard]] Config parse_config(std::string_view text, const std::string& file);

/// @throws dpdk::ConfigError
[[nodiscard]] Config load_config(const std::string& file);

}  // namespace noclash::health
