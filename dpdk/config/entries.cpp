// SPDX-License-Identifier: Apache-2.0
#include "dpdk/config/entries.hpp"

#include <fmt/format.h>

#include <utility>

#include "dpdk/config/rule_text.hpp"
#include "dpdk/config/values.hpp"

namespace noclash::dpdk {

namespace {

/// All values of an entry, for those that need no better words.
std::string summary(const Settings& settings) {
    std::string words;
    for (const Setting& setting : settings)
        words += fmt::format("{}{} {}", words.empty() ? "" : ", ", setting.key,
                             shown_values(setting.values));
    return words;
}

}  // namespace

std::vector<Entry> ports_of(const Config& config) {
    std::vector<Entry> entries;
    for (const PortConfig& port : config.ports) {
        const Settings settings = settings_of(port);
        entries.push_back({port.name, settings, summary(settings)});
    }
    return entries;
}

std::vector<Entry> routes_of(const Config& config) {
    std::vector<Entry> entries;
    for (const RouteConfig& route : config.routes) {
        const Settings settings = settings_of(route, config);
        entries.push_back({to_text(route.to), settings, summary(settings)});
    }
    return entries;
}

std::vector<Entry> neighbors_of(const Config& config) {
    std::vector<Entry> entries;
    for (const StaticNeighbor& neighbor : config.static_neighbors) {
        const Settings settings = settings_of(neighbor, config);
        entries.push_back({to_string<V4>(neighbor.address), settings, summary(settings)});
    }
    return entries;
}

std::vector<Entry> pools_of(const Config& config) {
    std::vector<Entry> entries;
    for (const auto& pool : config.policy.pools) {
        Settings settings = settings_of(pool);
        std::string words =
            fmt::format("{}, ports {}", shown_values(settings.front().values), to_text(pool.ports));
        entries.push_back({pool.name, std::move(settings), std::move(words)});
    }
    return entries;
}

std::vector<Entry> rules_of(const Config& config) {
    std::vector<Entry> entries;
    for (const auto& rule : config.policy.rules)
        entries.push_back(
            {rule.name, settings_of(rule, config),
             fmt::format("{}: {}", match_text(rule, config), action_text(rule, config))});
    return entries;
}

std::vector<Entry> services_of(const Config& config) {
    std::vector<Entry> entries;
    entries.reserve(config.policy.services.size());
    for (const auto& service : config.policy.services) {
        if (service.by_command) continue;  // no file says it: no file changes it
        entries.push_back({service.name, settings_of(service, config),
                           fmt::format("{}, backends: {}", endpoint_text(service, config),
                                       service.backends.size())});
    }
    return entries;
}

}  // namespace noclash::dpdk
