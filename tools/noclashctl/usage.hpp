// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace noclash::tools {

/// The one of `known` that `word` is a misspelling or the beginning of.
[[nodiscard]] std::optional<std::string> closest(std::string_view word,
                                                 const std::vector<std::string>& known);

/// `; did you mean X?`, or nothing.
[[nodiscard]] std::string suggestion(std::string_view word, const std::vector<std::string>& known);

/// Explains a command line that `app` refused with `error`: the command, the word, what
/// may stand there, and how to learn more.
[[nodiscard]] std::string explain(const CLI::App& app, const CLI::ParseError& error);

}  // namespace noclash::tools
