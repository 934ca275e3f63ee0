// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/health/check.hpp"
#include "tools/health/standing.hpp"

namespace noclash::health {

/// A backend of a service, as `service list` of the control socket names it.
struct Backend {
    std::string name;  ///< "10.2.0.2:80", or "10.2.0.2"
    Health health = Health::unknown;
};

/// A service, as `service list` names it.
struct Service {
    std::string name;
    std::vector<std::string> ports;  ///< "80" or "8000-8010"
    std::vector<Backend> backends;
};

/// @param row  of the answer to `service list`
/// @throws nlohmann::json::exception when it is something else
[[nodiscard]] Service service_of(std::string_view row);

/// A backend by the names of its service and its own.
using BackendName = std::pair<std::string, std::string>;

/// A backend that a check is for.
struct Target {
    const Check* check = nullptr;  ///< lives as long as the checks do
    Endpoint endpoint;
    Health health = Health::unknown;  ///< as the daemon has it
};

/// What is to be checked, and why something is not.
struct Targets {
    std::map<BackendName, Target> all;
    std::vector<std::string> problems;  ///< a line each, for people
};

/// The backends of the services that `checks` name.
[[nodiscard]] Targets targets_of(const std::vector<Check>& checks,
                                 const std::vector<Service>& services);

}  // namespace noclash::health
