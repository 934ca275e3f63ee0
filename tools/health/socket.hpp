// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <optional>
#include <string>

#include "tools/health/check.hpp"

namespace noclash::health {

/// Binds a new socket to the interface and the source address of a check, where it names any.
/// @return why that failed, for people
[[nodiscard]] std::optional<std::string> bind_to_source(int fd, const Check& check);

/// What an errno means: "connection refused".
[[nodiscard]] std::string error_text(int error);

/// "no answer within 500 ms"
[[nodiscard]] std::string silence_text(const char* what, const Check& check);

}  // namespace noclash::health
