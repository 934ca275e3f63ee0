// SPDX-License-Identifier: Apache-2.0
#include "dpdk/state/kept_policy.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "dpdk/state/mapped_file.hpp"

namespace noclash::dpdk {

namespace {

constexpr int format = 1;

}  // namespace

std::string kept_policy_path(const std::string& state_file) {
    return state_file + ".policy";
}

void write_kept_policy(const std::string& path, const KeptPolicy& policy) {
    const nlohmann::json json{
        {"format", format},
        {"instance", policy.instance},
        {"rules", policy.identities.rules},
        {"pools", policy.identities.pools},
        {"pairing_keys", policy.identities.pairing_keys},
        {"service_key", policy.identities.service_key},
        {"configuration_file", policy.configuration_file},
        {"configuration", policy.configuration},
        {"services", policy.services},
    };
    // The path of a configuration may be no text.
    replace_file(path, json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

KeptPolicy read_kept_policy(const std::string& path) {
    try {
        const auto json = nlohmann::json::parse(read_replaced(path));
        if (json.at("format") != format)
            throw std::runtime_error(path + ": another release has written it");
        KeptPolicy policy;
        json.at("instance").get_to(policy.instance);
        json.at("rules").get_to(policy.identities.rules);
        json.at("pools").get_to(policy.identities.pools);
        json.at("pairing_keys").get_to(policy.identities.pairing_keys);
        if (const auto key = json.find("service_key"); key != json.end())
            key->get_to(policy.identities.service_key);  // releases without services had none
        if (const auto services = json.find("services"); services != json.end())
            services->get_to(policy.services);
        json.at("configuration_file").get_to(policy.configuration_file);
        json.at("configuration").get_to(policy.configuration);
        return policy;
    } catch (const nlohmann::json::exception& error) {
        throw std::runtime_error(fmt::format("{}: damaged: {}", path, error.what()));
    }
}

}  // namespace noclash::dpdk
