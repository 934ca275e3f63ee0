// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>

#include "tools/noclashctl/commands.hpp"

namespace noclash::tools {

/// A decimal number; `kind` says of what, as in "70000 is no port".
[[nodiscard]] CLI::Validator number(const char* kind, std::uint32_t least, std::uint32_t most);

/// The options that say which flows are meant.
void add_filter(CLI::App& command, FlowFilter& filter);

/// Makes those options required that name one flow: its five-tuple.
void require_five_tuple(CLI::App& command, const FlowFilter& filter);

}  // namespace noclash::tools
