// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tools/storm/receive.hpp"
#include "tools/storm/send.hpp"

namespace noclash::tools {

enum class Command : std::uint8_t { send, fill, receive };

/// The options of all subcommands, as typed.
struct CommandLine {
    Command command = Command::send;
    std::string destination;
    std::string gateway;
    std::string gateway_mac = "auto";
    std::string source_base;
    std::string protocol = "tcp";
    std::uint32_t idle_ms = 500;
    std::uint32_t limit_s = 120;
    bool free_running = false;
    bool pairs = false;
    bool json = false;

    SendOptions send;
    FillOptions fill;
    ReceiveOptions receive;

    /// Takes it from the arguments. An exit status where nothing is left to be done: 0 after
    /// --help, `misuse` after a mistake, which has been named.
    std::optional<int> read(int argc, char** argv, int misuse);
};

}  // namespace noclash::tools
