// SPDX-License-Identifier: Apache-2.0
#include "dpdk/config/config.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "dpdk/config/checks.hpp"
#include "dpdk/config/error.hpp"
#include "dpdk/config/sections.hpp"

namespace noclash::dpdk {

namespace {

constexpr std::uintmax_t largest_file = 64U << 20;

[[noreturn]] void unreadable(const std::string& file, std::string_view why) {
    throw ConfigError(
        fmt::format("{}: cannot be read: {}; expected a configuration file in TOML", file, why));
}

std::string read_file(const std::string& file) {
    std::error_code error;
    const auto status = std::filesystem::status(file, error);
    if (std::filesystem::is_directory(status)) unreadable(file, "it is a directory");
    errno = 0;
    std::ifstream stream(file, std::ios::binary);
    if (!stream) unreadable(file, std::strerror(errno != 0 ? errno : EIO));
    std::string text;
    char part[1 << 16];
    while (stream.read(part, sizeof part), stream.gcount() > 0) {
        text.append(part, static_cast<std::size_t>(stream.gcount()));
        if (text.size() > largest_file) unreadable(file, "it is larger than 64 MiB");
    }
    if (stream.bad()) unreadable(file, std::strerror(errno));
    return text;
}

}  // namespace

Config parse_config(std::string_view text, const std::string& file, const Machine& machine) {
    Findings findings(file);
    Config config;
    config.file = file;
    config.text = text;
    try {
        const toml::table table = toml::parse(text, std::string_view(file));
        const Section top(table, "", findings);
        read_general(top, config);
        read_state(top, config);
        read_memory(top, config);
        read_neighbors(top, config);
        read_fragments(top, config);
        read_timeouts(top, config);
        read_ports(top, config);
        read_routes(top, config);
        read_pools(top, config);
        read_rules(top, config);
        read_services(top, config);
        read_limits(top, config);
        read_static_neighbors(top, config);
        check_whole(top, config, machine);
    } catch (const toml::parse_error& error) {
        findings.add_syntax_error(error);
    }
    config.warnings = findings.take();
    return config;
}

Config load_config(const std::string& file) {
    return parse_config(read_file(file), file, this_machine());
}

}  // namespace noclash::dpdk
