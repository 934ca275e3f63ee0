// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/cpsload/options.hpp"

namespace CLI {
class App;
}

namespace noclash::cpsload {

/// The options that are more than a number, as typed.
struct CommandLine {
    std::string profile = "tcp-crr";
    std::string client_address, server_address, client_gateway, server_gateway, first_source;
    std::vector<std::string> services, backends;
    std::string mix = "tcp-crr=6,udp=3,dns=1";
    std::string ports = "1024-65535";
    std::string order = "step";
    std::string ramp;
    std::string rate = "5000";
    std::string measure;
    std::string idle = "nap";
    std::string huge_pages = "auto";
    std::uint64_t connections = 0;
    double duration_s = 0, reuse_after_s = 240, trial_s = 3, pause_s = 1;
    std::uint32_t rto_ms = 1000;
    bool search = false;
    bool no_self_test = false;
};

/// Declares all options; those that are numbers go to `options` at once.
void declare(CLI::App& app, CommandLine& line, Options& options);

/// Works out `options` from what was typed, but for what `check` looks at.
/// @throws UsageError
void resolve(const CLI::App& app, const CommandLine& line, Options& options);

/// Whether sequence numbers can name so many connections, and whether the source tuples suffice for
/// the run without being used again too early.
/// @throws UsageError
void check(const Options& options);

}  // namespace noclash::cpsload
