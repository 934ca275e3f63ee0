// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace noclash::tools {

/// What the commands on services may be told.
struct ServiceWish {
    std::string name;
    std::string backend;
    std::uint16_t weight = 1;
    std::string file;
    /// Of `service set`: what the line names; the daemon knows the defaults of the rest.
    struct Keys {
        std::string address, protocol;
        std::vector<std::string> ports, backends;
        std::optional<std::string> in, source, affinity, no_backend, on_gone, syn_proxy, inhibit;
        std::optional<std::uint32_t> drain_s, syn_proxy_above;
    } keys;
};

/// Declares `noclashctl service` with its commands.
/// @param chosen  takes what makes the array of changes that the line asks for
void add_service(CLI::App& app, ServiceWish& wish,
                 const std::function<void(std::function<nlohmann::json()>)>& chosen);

}  // namespace noclash::tools
