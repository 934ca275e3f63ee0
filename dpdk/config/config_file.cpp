// SPDX-License-Identifier: Apache-2.0
#include "dpdk/config/config_file.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "dpdk/config/error.hpp"

namespace noclash::dpdk {

namespace {

constexpr std::uintmax_t largest_file = 64U << 20;

[[noreturn]] void unreadable(const std::string& file, std::string_view why) {
    throw ConfigError(
        fmt::format("{}: cannot be read: {}; expected a configuration file in TOML", file, why));
}

}  // namespace

std::string read_config_file(const std::string& file) {
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

}  // namespace noclash::dpdk
