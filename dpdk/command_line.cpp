// SPDX-License-Identifier: Apache-2.0
#include "dpdk/command_line.hpp"

#include <CLI/CLI.hpp>

#include "dpdk/config/version.hpp"

namespace noclash::dpdk {

std::optional<int> CommandLine::read(int argc, char** argv, int misuse) {
    CLI::App app{
        "noclash: a NAT gateway in which no connection is lost to a tuple clash.\n"
        "Runs in the foreground until SIGINT or SIGTERM; `noclashctl` talks to it meanwhile.\n"
        "SIGHUP reads the configuration again, as `noclashctl reload` does."};
    app.footer(
        "Example:\n"
        "  noclash --config /etc/noclash/gateway.toml\n"
        "`noclashctl config check FILE` checks a configuration without starting anything.\n"
        "Exit codes: 0 stopped by a signal, 1 could not run, 2 bad configuration or usage.");
    app.add_option("-c,--config", file, "configuration file (TOML)")->required();
    app.add_flag("--strict", strict, "treat warnings about the configuration as errors");
    app.set_version_flag("--version", "noclash " + std::string(noclash_version));
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : misuse;
    }
    return std::nullopt;
}

}  // namespace noclash::dpdk
