// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "dpdk/state/state_transfer.hpp"
#include "tools/noclashctl/commands.hpp"

namespace noclash::tools {

/// Whose state is meant; one of them is there.
struct Instance {
    std::optional<std::string> config;  ///< its configuration file
    std::optional<std::string> name;
    std::optional<std::string> path;  ///< the state file itself
};

// What noclash has left, or will find. None needs a running noclash.

/// Prints what lies there. @return whether anything does
bool show_state(const Settings& settings, const Instance& instance);
/// @return whether there was one
bool remove_state(const Settings& settings, const Instance& instance);
/// @param file  `-`: standard output
void export_state(const Settings& settings, const Instance& instance, const std::string& file);
/// @param instance  with `config`
/// @param file      `-`: standard input
void import_state(const Settings& settings, const Instance& instance, const std::string& file,
                  dpdk::Replace replace);

}  // namespace noclash::tools
