// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace noclash::tools {

/// Reads a batch of changes: a JSON array of changes as docs/json.md describes them, or just one.
/// An object without "op" is a service that is to be set.
/// @param file  `-`: standard input
/// @throws std::runtime_error when it cannot be read, or is no JSON
[[nodiscard]] nlohmann::json read_changes(const std::string& file);

/// The request that makes `changes`, an array.
/// @throws std::runtime_error when it is longer than noclash takes
[[nodiscard]] nlohmann::json change_request(nlohmann::json changes);

}  // namespace noclash::tools
