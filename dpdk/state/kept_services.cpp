// SPDX-License-Identifier: Apache-2.0
#include "dpdk/state/kept_services.hpp"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "dpdk/config/protocol_names.hpp"
#include "dpdk/config/reader.hpp"
#include "dpdk/config/service_conflicts.hpp"
#include "dpdk/config/services.hpp"
#include "dpdk/config/values.hpp"
#include "dpdk/config/words.hpp"

namespace noclash::dpdk {

using nlohmann::json;

namespace {

constexpr std::array<Word, 3> health_words{"unknown", "up", "down"};

std::string source_words(const nat::Service<V4>& service, const Config& config) {
    switch (service.source_nat) {
        case nat::SourceNat::keep:
            return "keep";
        case nat::SourceNat::masquerade:
            return "masquerade";
        case nat::SourceNat::pool:
            break;
    }
    return "pool:" + config.policy.pools[service.pool].name;
}

/// What the readers of the configuration read. Numbers with a fraction, and null, have no place in
/// it: they become words that no key takes.
toml::table table_of(const json& object);

toml::array array_of(const json& array);

void insert(const json& value, auto&& into) {
    if (value.is_object())
        into(table_of(value));
    else if (value.is_array())
        into(array_of(value));
    else if (value.is_boolean())
        into(value.get<bool>());
    else if (value.is_number_integer())
        into(value.get<std::int64_t>());
    else if (value.is_string())
        into(value.get<std::string>());
    else
        into(value.dump());
}

toml::table table_of(const json& object) {
    toml::table table;
    for (const auto& [key, value] : object.items())
        insert(value, [&, &name = key](auto&& element) {
            table.insert(name, std::forward<decltype(element)>(element));
        });
    return table;
}

toml::array array_of(const json& array) {
    toml::array elements;
    for (const json& value : array)
        insert(value, [&](auto&& element) {
            elements.push_back(std::forward<decltype(element)>(element));
        });
    return elements;
}

}  // namespace

json service_json(const nat::Service<V4>& service, const Config& config) {
    json ports = json::array(), backends = json::array();
    for (const nat::PortRange range : service.ports)
        ports.push_back(to_text(range));
    for (const auto& backend : service.backends)
        backends.push_back({{"address", backend_text(backend)}, {"weight", backend.weight}});
    json object{{"name", service.name},
                {"address", to_string<V4>(service.address)},
                {"ports", std::move(ports)},
                {"protocol", std::string(protocol_name(service.protocol))},
                {"source", source_words(service, config)},
                {"affinity", word_of(affinity_words, service.affinity)},
                {"no_backend", word_of(no_backend_words, service.no_backend)},
                {"on_gone", word_of(on_gone_words, service.on_gone)},
                {"drain_s", service.drain_s},
                {"syn_proxy", word_of(syn_proxy_words, service.syn_proxy)},
                {"syn_proxy_above", service.syn_proxy_above},
                {"backends", std::move(backends)}};
    if (const auto& offer = service.syn_offer)
        object["syn_offer"] = {{"mss", offer->max_segment_size},
                               {"window_scale", offer->window_scale},
                               {"sack", offer->sack},
                               {"timestamps", offer->timestamps}};
    if (service.ingress_port) object["in"] = config.ports[*service.ingress_port].name;
    // A release before this one knows no such key, and the usual service is to outlive a way back.
    if (const nat::Inhibit& inhibit = service.inhibit; inhibit.failures != 0)
        object["inhibit"] = {{"failures", inhibit.failures},
                             {"first_s", inhibit.first_s},
                             {"most_s", inhibit.most_s}};
    return object;
}

nat::Service<V4> read_service(const json& object, const std::string& place, const Config& config) {
    if (!object.is_object())
        throw ConfigError(place +
                          ": service: is no object; expected one with the keys of a "
                          "[[service]]");
    Findings findings(place, Places::none);
    const toml::table table = table_of(object);
    nat::Service<V4> service = read_service(Section(table, "service", findings), config);
    static_cast<void>(findings.take());
    service.by_command = true;
    return service;
}

std::string to_text(const KeptServices& kept, const Config& config) {
    json services = json::array(), backends = json::array();
    for (const auto& service : kept.services)
        services.push_back(service_json(service, config));
    for (const KeptBackend& backend : kept.backends)
        backends.push_back({{"service", backend.service},
                            {"backend", backend_text(backend.backend)},
                            {"drains", backend.drains},
                            {"health", word_of(health_words, backend.health)}});
    return json{{"services", std::move(services)}, {"backends", std::move(backends)}}.dump(
        -1, ' ', false, json::error_handler_t::replace);
}

KeptServices read_kept_services(const std::string& text, const Config& config,
                                std::vector<std::string>& complaints) {
    KeptServices kept;
    if (text.empty()) return kept;
    try {
        const json whole = json::parse(text);
        ServiceConflicts conflicts(config);
        for (const auto& service : config.policy.services)
            conflicts.insert(service);
        for (const json& object : whole.at("services")) {
            try {
                auto service = read_service(object, "a service that a command made", config);
                const auto found = conflicts.find(service);
                if (found.empty()) {
                    conflicts.insert(service);
                    kept.services.push_back(std::move(service));
                } else {
                    complaints.push_back(
                        fmt::format("service {:?}, which a command made, is given "
                                    "up: {}: {}; expected {}",
                                    service.name, found.front().key, found.front().what,
                                    found.front().expected));
                }
            } catch (const ConfigError& error) {
                complaints.push_back(fmt::format("it is given up: {}", error.what()));
            }
        }
        for (const json& object : whole.at("backends")) {
            const auto backend = parse_backend(object.at("backend").get<std::string>());
            const auto* const health =
                std::ranges::find(health_words, object.at("health").get<std::string>());
            if (!backend || health == health_words.end()) continue;
            kept.backends.push_back({object.at("service"), *backend, object.at("drains"),
                                     static_cast<nat::Health>(health - health_words.begin())});
        }
    } catch (const json::exception& error) {
        complaints.push_back(fmt::format("services that commands made are lost: {}", error.what()));
    }
    return kept;
}

}  // namespace noclash::dpdk
