// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "tools/noclashctl/state.hpp"

namespace noclash::tools {

/// What the commands on state files may be told.
struct StateWish {
    Instance instance;
    std::string file = "-";
    bool replace = false;
};

/// Does what one of the commands says; false: there is no state file.
using StateAction = std::function<bool(const Settings&, const StateWish&)>;

/// Declares `noclashctl state` with its commands.
/// @param chosen  takes the action of the one that the line names
void add_state(CLI::App& app, StateWish& wish, const std::function<void(StateAction)>& chosen);

}  // namespace noclash::tools
