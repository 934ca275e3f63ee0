// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace noclash::tools {

/// The ports, and what was lost at their devices.
[[nodiscard]] std::string ports_text(const std::vector<nlohmann::json>& ports);

/// Packets lost at the devices of the ports, as far as there are any; else nothing.
[[nodiscard]] std::string losses_text(const std::vector<nlohmann::json>& ports);

}  // namespace noclash::tools
