// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "tools/noclashctl/client.hpp"
#include "tools/noclashctl/commands.hpp"
#include "tools/noclashctl/output.hpp"
#include "tools/noclashctl/service_changes.hpp"
#include "tools/noclashctl/services_text.hpp"

namespace noclash::tools {

using nlohmann::json;

bool show_services(const Settings& settings, const std::optional<std::string>& name) {
    std::vector<json> services;
    JsonArray array;
    bool is_found = false;
    Client client(settings.socket, settings.timeout_s);
    client.call({{"command", "service list"}}, [&](std::string_view row) {
        // All of them are many, and programs get them as they are.
        if (settings.format == Format::json && !name) return array.add(row);
        json service = json::parse(row);
        if (name && service.at("name") != *name) return;
        is_found = true;
        if (settings.format == Format::json)
            array.add(row);
        else
            services.push_back(std::move(service));
    });
    if (settings.format == Format::json)
        array.close();
    else if (is_found || !name)
        print(services_text(services));
    return is_found || !name;
}

void change_services(const Settings& settings, json changes) {
    const bool is_one = changes.size() == 1;
    const json request = change_request(std::move(changes));
    JsonArray array;
    try {
        Client client(settings.socket, settings.timeout_s);
        client.call(request, [&](std::string_view row) {
            if (settings.format == Format::json)
                array.add(row);
            else
                print(changed_text(json::parse(row)));
        });
    } catch (const DaemonError& error) {
        // Among one change nobody asks which.
        constexpr std::string_view place = "changes[0]: ";
        std::string_view text = error.what();
        if (is_one && text.starts_with(place)) text.remove_prefix(place.size());
        throw std::runtime_error("nothing was changed: " + std::string(text));
    }
    if (settings.format == Format::json) array.close();
}

}  // namespace noclash::tools
