// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "dpdk/config/sections.hpp"
#include "dpdk/config/values.hpp"

namespace noclash::dpdk {

namespace {

using Endpoint = nat::Target<V4>;
using Rule = nat::Rule<V4>;

constexpr std::uint8_t tcp = 6;
constexpr std::uint8_t udp = 17;

std::optional<Endpoint> read_endpoint(const Section& section, std::string_view key) {
    constexpr std::string_view expected =
        "an address, as \"10.1.0.9\", or one with a port, as "
        "\"10.1.0.9:8080\"";
    if (!section.require(key, expected)) return std::nullopt;
    const auto text = section.text(key, expected);
    if (!text) return std::nullopt;
    const auto endpoint = parse_target(text->value);
    if (endpoint && usable_by_host(endpoint->address)) return endpoint;
    section.fault(key, fmt::format("{:?} is no address of a host", text->value), expected);
    return std::nullopt;
}

/// Whether some packet may belong to both.
bool overlap(const Endpoint& a, const Endpoint& b) {
    return a.address == b.address && (!a.port || !b.port || a.port == b.port);
}

void check_ports(const Section& section, const Rule& rule) {
    const auto& [inside, outside] = *rule.mapping;
    if (inside.port.has_value() != outside.port.has_value()) {
        section.fault("outside",
                      outside.port ? "has a port, but `inside` has none"
                                   : "has no port, but `inside` has one",
                      "a port in both, or in neither to bind whole addresses");
    } else if (outside.port && rule.protocol != tcp && rule.protocol != udp &&
               (rule.protocol || !section.has("protocol"))) {
        section.fault("outside", "has a port, which not all protocols have",
                      "`protocol` \"tcp\" or \"udp\" in the same rule");
    }
}

/// Endpoints are bound once: else it would be the order of rules that decides who gets a packet,
/// and two inside endpoints might have one outside (RFC 4787 REQ-3). (An exception from a whole
/// inside address, with another outside address, leaves no doubt: it comes first.)
void check_against_mappings(const Section& section, const Config& config, const Rule& rule) {
    for (const Rule& other : config.policy.rules) {
        if (!other.mapping) continue;
        if (rule.protocol && other.protocol && rule.protocol != other.protocol) continue;
        if (overlap(rule.mapping->outside, other.mapping->outside)) {
            section.fault("outside", fmt::format("rule {:?} has it, too", other.name),
                          "an outside endpoint of its own");
        }
        if (rule.mapping->inside == other.mapping->inside) {
            section.fault("inside", fmt::format("rule {:?} binds it, too", other.name),
                          "one rule for each inside endpoint");
        }
    }
}

/// An address that is bound as a whole has no port left for anybody else.
void check_against_pools(const Section& section, const Config& config, const Endpoint& outside) {
    if (outside.port) return;  // which then is proposed to nobody: nat::ReservedPorts
    for (const PortConfig& port : config.ports) {
        if (port.address != outside.address) continue;
        section.fault("outside",
                      fmt::format("{} is the address of port {:?}", to_string<V4>(outside.address),
                                  port.name),
                      "an address that no port has, or a port in both `inside` and `outside`");
    }
    for (const auto& pool : config.policy.pools) {
        if (std::ranges::find(pool.addresses, outside.address) == pool.addresses.end()) continue;
        section.fault("outside",
                      fmt::format("pool {:?} holds {}", pool.name, to_string<V4>(outside.address)),
                      "an address that no pool holds, or a port in both `inside` and `outside`");
    }
}

}  // namespace

void read_static_mapping(const Section& section, const Config& config, Rule& rule) {
    const auto inside = read_endpoint(section, "inside");
    const auto outside = read_endpoint(section, "outside");
    if (!inside || !outside) return;
    rule.mapping = nat::StaticMapping<V4>{*inside, *outside};
    check_ports(section, rule);
    check_against_mappings(section, config, rule);
    check_against_pools(section, config, *outside);
}

}  // namespace noclash::dpdk
