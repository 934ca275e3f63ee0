// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "dpdk/config/config.hpp"
#include "nat/policy/backend_table.hpp"

namespace noclash::dpdk {

/// What commands have said of a backend, whoever made its service.
struct KeptBackend {
    std::string service;
    nat::Backend<V4> backend;
    bool drains = false;
    nat::Health health = nat::Health::unknown;
};

/// What commands have made of services, which no file says: it outlives the process.
struct KeptServices {
    std::vector<nat::Service<V4>> services;  ///< that commands have made
    std::vector<KeptBackend> backends;
};

/// A service in the words of the configuration file.
[[nodiscard]] nlohmann::json service_json(const nat::Service<V4>& service, const Config& config);

/// A service that a command makes.
/// @param place   how faults name it: `changes[3]`
/// @param config  its ports and pools are what the service may name
/// @throws ConfigError
[[nodiscard]] nat::Service<V4> read_service(const nlohmann::json& object, const std::string& place,
                                            const Config& config);

/// As text, to be kept.
[[nodiscard]] std::string to_text(const KeptServices& services, const Config& config);

/// Reads what `to_text` wrote. A service that `config` does not allow any more is left out.
/// @param complaints  gets a line for each of these
[[nodiscard]] KeptServices read_kept_services(const std::string& text, const Config& config,
                                              std::vector<std::string>& complaints);

}  // namespace noclash::dpdk
