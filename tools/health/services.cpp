// SPDX-License-Identifier: Apache-2.0
#include "tools/health/services.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "dpdk/config/values.hpp"

namespace noclash::health {

namespace {

constexpr std::uint16_t dns_port = 53;

Health health_of(const std::string& word) {
    const auto found = std::ranges::find(health_words, word);
    return found == health_words.end() ? Health::unknown
                                       : static_cast<Health>(found - health_words.begin());
}

/// The port of a check where neither the check nor the backend names one.
std::optional<std::uint16_t> port_of(const Check& check, const Service& service) {
    if (check.kind == Kind::icmp) return std::uint16_t{0};
    if (check.kind == Kind::dns) return dns_port;
    if (service.ports.size() != 1) return std::nullopt;
    const auto range = dpdk::parse_port_range(service.ports.front());
    if (!range || range->first != range->last) return std::nullopt;
    return range->first;
}

}  // namespace

Service service_of(std::string_view row) {
    const auto json = nlohmann::json::parse(row);
    Service service;
    json.at("name").get_to(service.name);
    json.at("ports").get_to(service.ports);
    for (const auto& backend : json.at("backends"))
        service.backends.push_back({backend.at("backend").get<std::string>(),
                                    health_of(backend.at("health").get<std::string>())});
    return service;
}

Targets targets_of(const std::vector<Check>& checks, const std::vector<Service>& services) {
    std::unordered_map<std::string_view, const Service*> by_name;
    for (const Service& service : services)
        by_name.emplace(service.name, &service);
    Targets targets;
    for (const Check& check : checks) {
        for (const std::string& name : check.services) {
            const auto found = by_name.find(name);
            if (found == by_name.end()) {
                targets.problems.push_back(fmt::format(
                    "{} is no service of noclash: nothing is checked; the [[check]] of line {} "
                    "names it",
                    name, check.line));
                continue;
            }
            for (const Backend& backend : found->second->backends) {
                const auto target = dpdk::parse_target(backend.name);
                if (!target) {
                    targets.problems.push_back(fmt::format(
                        "{} {}: not checked: it is no IPv4 address", name, backend.name));
                    continue;
                }
                auto port = check.port ? check.port : target->port;
                if (!port) port = port_of(check, *found->second);
                if (!port) {
                    targets.problems.push_back(fmt::format(
                        "{} {}: not checked: it has no port of its own; name a `port` in the "
                        "[[check]] of line {}",
                        name, backend.name, check.line));
                    continue;
                }
                targets.all.emplace(BackendName(name, backend.name),
                                    Target{&check, {target->address, *port}, backend.health});
            }
        }
    }
    return targets;
}

}  // namespace noclash::health
