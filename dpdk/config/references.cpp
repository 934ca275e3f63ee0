// SPDX-License-Identifier: Apache-2.0

// How rules and services name ports and pools.

#include <fmt/format.h>

#include "dpdk/config/sections.hpp"

namespace noclash::dpdk {

namespace {

using nat::SourceNat;

std::string names_of(const auto& elements) {
    std::string text;
    for (const auto& element : elements) {
        if (element.name.empty()) continue;
        text += fmt::format("{}{:?}", text.empty() ? "" : ", ", element.name);
    }
    return text.empty() ? "none is configured" : text;
}

}  // namespace

std::optional<std::uint16_t> read_ingress(const Section& section, const Config& config) {
    const auto name = section.text("in", "the name of a port");
    if (!name) return std::nullopt;
    const auto index = index_of(config.ports, name->value);
    // A port whose name is unfit may be the one.
    if (!index && !index_of(config.ports, "")) {
        section.fault("in", fmt::format("no port is called {:?}", name->value),
                      "a port: " + names_of(config.ports));
    }
    return index;
}

std::optional<std::uint16_t> find_pool(const Section& section, std::string_view key,
                                       std::string_view name, const Config& config) {
    const auto index = index_of(config.policy.pools, name);
    if (!index && !index_of(config.policy.pools, "")) {
        section.fault(key, fmt::format("no pool is called {:?}", name),
                      "a pool: " + names_of(config.policy.pools));
    }
    return index;
}

Source read_source(const Section& section, const Config& config) {
    constexpr std::string_view expected = "\"keep\", \"masquerade\" or \"pool:NAME\"";
    const auto source = section.text("source", expected);
    if (!source || source->value == "keep") return {};
    if (source->value == "masquerade") return {SourceNat::masquerade, std::nullopt};
    constexpr std::string_view pool = "pool:";
    if (source->value.starts_with(pool)) {
        const auto name = std::string_view(source->value).substr(pool.size());
        return {SourceNat::pool, find_pool(section, "source", name, config)};
    }
    section.fault("source", fmt::format("{:?} is not known", source->value), expected);
    return {};
}

}  // namespace noclash::dpdk
