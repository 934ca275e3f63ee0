// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace noclash::tools {

/// What lies at a path, as docs/json.md describes it.
/// @throws std::runtime_error when it cannot be read
[[nodiscard]] nlohmann::ordered_json state_row(const std::string& path);

/// The same for people.
[[nodiscard]] std::string state_text(const nlohmann::json& row);

}  // namespace noclash::tools
