// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <vector>

#include "tools/noclashctl/client.hpp"
#include "tools/noclashctl/commands.hpp"
#include "tools/noclashctl/output.hpp"
#include "tools/noclashctl/reload_text.hpp"

namespace noclash::tools {

namespace {

using nlohmann::json;

/// What noclash has to say about a configuration; people get its warnings at once, and programs the
/// rows as they are.
ReloadAnswer ask(const Settings& settings, const json& request) {
    ReloadAnswer answer;
    JsonArray array;
    Client client(settings.socket, settings.timeout_s);
    client.call(request, [&](std::string_view row) {
        if (settings.format == Format::json) array.add(row);
        answer.add(json::parse(row));
    });
    if (settings.format == Format::json) array.close();
    if (settings.format == Format::text)
        for (const std::string& warning : answer.warnings)
            fmt::print(stderr, "{}\n", warning);
    return answer;
}

}  // namespace

std::string reload_request(StaleFlows stale) {
    return json{{"command", "reload"}, {"end_stale", stale == StaleFlows::ended}}.dump();
}

std::string diff_request(const std::string& file, StaleFlows stale) {
    return json{{"command", "config diff"},
                {"file", std::filesystem::absolute(file).string()},
                {"end_stale", stale == StaleFlows::ended}}
        .dump();
}

void reload_config(const Settings& settings, StaleFlows stale) {
    ReloadAnswer answer;
    try {
        answer = ask(settings, json::parse(reload_request(stale)));
    } catch (const DaemonError& error) {
        // Of a faulty file each line is a finding, which begins with its place.
        fmt::print(stderr, "{}\n", error.what());
        throw std::runtime_error("nothing was changed");
    }
    if (settings.format == Format::text) print(changes_table(answer.changes));
    if (const std::string refusal = refusal_text(answer); !refusal.empty())
        throw std::runtime_error("nothing was changed: " + refusal);
    if (settings.format == Format::text) print(reloaded_text(answer));
}

bool diff_config(const Settings& settings, const std::string& file, StaleFlows stale) {
    try {
        const ReloadAnswer answer = ask(settings, json::parse(diff_request(file, stale)));
        if (settings.format == Format::text)
            print(changes_table(answer.changes) + would_reload_text(answer));
        return true;
    } catch (const DaemonError& error) {
        fmt::print(stderr, "{}\n", error.what());
        return false;
    }
}

}  // namespace noclash::tools
