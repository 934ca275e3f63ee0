// SPDX-License-Identifier: Apache-2.0
#include "tools/health/daemon.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace noclash::health {

namespace {

using nlohmann::json;

// A change takes some 110 bytes: all of them take far less than a request may have.
constexpr std::size_t most_changes_at_once = 256;

json request_of(std::span<const Change> changes) {
    json list = json::array();
    for (const Change& change : changes)
        list.push_back({{"op", "health"},
                        {"name", change.backend.first},
                        {"backend", change.backend.second},
                        {"up", change.up}});
    return {{"command", "service change"}, {"changes", std::move(list)}};
}

void write_part(tools::Client& client, std::span<const Change> changes,
                std::vector<Refusal>& refused) {
    try {
        client.call(request_of(changes), [](std::string_view) {});
        return;
    } catch (const tools::DaemonError& error) {
        if (changes.size() == 1) {
            refused.push_back({changes.front(), error.what()});
            return;
        }
    }
    const std::size_t half = changes.size() / 2;
    write_part(client, changes.first(half), refused);
    write_part(client, changes.subspan(half), refused);
}

}  // namespace

std::vector<Service> list_services(tools::Client& client) {
    std::vector<Service> services;
    client.call({{"command", "service list"}},
                [&](std::string_view row) { services.push_back(service_of(row)); });
    return services;
}

void beat(tools::Client& client) {
    try {
        client.call({{"command", "service heartbeat"}, {"name", "noclash-health"}},
                    [](std::string_view) {});
    } catch (const tools::DaemonError& error) {
        if (std::string_view(error.what()).find("no such command") == std::string_view::npos) throw;
    }
}

std::vector<Refusal> write_changes(tools::Client& client, std::span<const Change> changes) {
    std::vector<Refusal> refused;
    while (!changes.empty()) {
        const auto part = changes.first(std::min(changes.size(), most_changes_at_once));
        write_part(client, part, refused);
        changes = changes.subspan(part.size());
    }
    return refused;
}

}  // namespace noclash::health
