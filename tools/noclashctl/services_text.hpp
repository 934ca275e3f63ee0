// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace noclash::tools {

/// The rows of `service list`: a line for each service, and its backends below it.
[[nodiscard]] std::string services_text(const std::vector<nlohmann::json>& services);

/// What a batch of changes has done, in a sentence.
[[nodiscard]] std::string changed_text(const nlohmann::json& outcome);

}  // namespace noclash::tools
