// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "dpdk/config/sections.hpp"
#include "dpdk/config/values.hpp"
#include "dpdk/config/words.hpp"

namespace noclash::dpdk {

namespace {

constexpr std::size_t most_pools = 4096;
constexpr std::size_t most_addresses = 65536;  // of a pool, as nat::Pool says

void check_against_ports(const Section& section, const Text& text, AddressRange range,
                         const Config& config) {
    for (const PortConfig& port : config.ports) {
        const std::uint32_t own = port.address.value.host();
        if (port.prefix_length == 0 || own < range.first || own > range.last) continue;
        section.fault_at(text.where, "addresses",
                         fmt::format("{:?} holds the address of port {:?}", text.value, port.name),
                         "addresses that no port has; for those, `action = \"masquerade\"`");
    }
}

constexpr std::string_view addresses_expected =
    "addresses, ranges or prefixes, as [\"203.0.113.7\", \"203.0.113.10-203.0.113.13\", "
    "\"198.51.100.0/28\"]";

/// One entry of `addresses`; nothing when it is unfit.
std::optional<AddressRange> read_range(const Section& section, const Text& text) {
    const auto range = parse_address_range(text.value);
    if (!range) {
        const auto prefix = parse_address_with_length(text.value, std::nullopt);
        if (prefix) {
            section.fault_at(
                text.where, "addresses", fmt::format("{:?} has host bits set", text.value),
                to_text({network_of(prefix->address, prefix->length), prefix->length}));
        } else {
            section.fault_at(text.where, "addresses",
                             fmt::format("{:?} is no address, rising range or prefix", text.value),
                             addresses_expected);
        }
        return std::nullopt;
    }
    const bool spans_loopback = range->first >> 24 < 127 && range->last >> 24 > 127;
    if (!usable_by_host(V4Address::from_host(range->first)) ||
        !usable_by_host(V4Address::from_host(range->last)) || spans_loopback) {
        section.fault_at(text.where, "addresses",
                         fmt::format("{:?} holds addresses that no host may have", text.value),
                         "unicast addresses");
        return std::nullopt;
    }
    return range;
}

void check_for_repetition(const Section& section, const nat::Pool<V4>& pool) {
    std::vector<std::uint32_t> sorted;
    sorted.reserve(pool.addresses.size());
    for (const V4Address address : pool.addresses)
        sorted.push_back(address.value.host());
    std::sort(sorted.begin(), sorted.end());
    const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
    if (twice == sorted.end()) return;
    section.fault("addresses",
                  fmt::format("{} is named twice", to_string<V4>(V4Address::from_host(*twice))),
                  "each address once");
}

void read_addresses(const Section& section, const Config& config, nat::Pool<V4>& pool) {
    if (!section.require("addresses", addresses_expected)) return;
    for (const Text& text : section.texts("addresses", addresses_expected)) {
        const auto range = read_range(section, text);
        if (!range) continue;
        check_against_ports(section, text, *range, config);
        const std::uint64_t count = std::uint64_t{range->last} - range->first + 1;
        if (pool.addresses.size() + count > most_addresses) {
            section.fault_at(text.where, "addresses", "the pool grows too large",
                             fmt::format("at most {} addresses", most_addresses));
            return;
        }
        for (std::uint64_t i = 0; i < count; ++i) {
            pool.addresses.push_back(
                V4Address::from_host(static_cast<std::uint32_t>(range->first + i)));
        }
    }
    check_for_repetition(section, pool);
}

void read_pool(const Section& section, Config& config) {
    section.allow_only({"name", "addresses", "ports", "pooling", "port_preservation", "port_parity",
                        "mapping", "filtering"});
    nat::Pool<V4> pool;
    pool.name = read_name(section);
    if (!pool.name.empty() && index_of(config.policy.pools, pool.name)) {
        section.fault("name", fmt::format("another pool is called {:?}", pool.name),
                      "a name of its own");
    }
    read_addresses(section, config, pool);
    read_port_range(section, "ports", pool.ports);
    read_port_likeness(section, pool.ports, pool.likeness);
    read_word(section, "pooling", pooling_words, pool.pooling);
    read_behavior(section, pool.behavior);
    check_behavior(section, pool, config);
    config.policy.pools.push_back(std::move(pool));
}

}  // namespace

void read_port_range(const Section& section, std::string_view key, nat::PortRange& ports) {
    constexpr std::string_view expected = "a range of ports, as \"1024-65535\"";
    const auto text = section.text(key, expected);
    if (!text) return;
    if (const auto range = parse_port_range(text->value)) {
        ports = *range;
    } else {
        section.fault(key, fmt::format("{:?} is no range of ports from 1 to 65535", text->value),
                      expected);
    }
}

void read_port_likeness(const Section& section, nat::PortRange ports, nat::PortLikeness& likeness) {
    likeness.preservation = section.boolean("port_preservation").value_or(false);
    likeness.parity = section.boolean("port_parity").value_or(false);
    if (likeness.parity && ports.size() == 1) {
        section.fault("port_parity", fmt::format("port {} is the only one of `ports`", ports.first),
                      "`ports` with even and odd ones");
        return;
    }
    // Each class of ports has to serve even and odd ones.
    const nat::PortRange low = nat::of_same_class(ports, 0);
    const nat::PortRange high = nat::of_same_class(ports, 65535);
    if (likeness.parity && low != high && (low.size() == 1 || high.size() == 1)) {
        section.fault("port_parity",
                      low.size() == 1
                          ? fmt::format("port {} is the only one below 1024", low.first)
                          : fmt::format("port {} is the only one above 1023", high.first),
                      "`ports` with even and odd ones on either side of 1024, or on one side only");
    }
}

void read_pools(const Section& top, Config& config) {
    const auto sections = top.tables("pool");
    if (sections.size() > most_pools) {
        top.fault("pool", "too many pools", fmt::format("at most {}", most_pools));
        return;
    }
    for (const Section& section : sections)
        read_pool(section, config);
}

}  // namespace noclash::dpdk
