// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

namespace noclash::dpdk {

/// What was asked of the daemon.
struct CommandLine {
    std::string file;
    bool strict = false;

    /// Takes it from the arguments. An exit status where nothing is left to be done: 0 after --help
    /// and --version, `misuse` after a mistake, which has been named.
    std::optional<int> read(int argc, char** argv, int misuse);
};

}  // namespace noclash::dpdk
