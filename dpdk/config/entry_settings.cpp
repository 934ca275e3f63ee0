// SPDX-License-Identifier: Apache-2.0

// The settings of ports, routes, neighbours, pools, rules and services. As in settings.cpp, a new
// member does not compile here until somebody has said which setting it is.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "dpdk/config/protocol_names.hpp"
#include "dpdk/config/settings.hpp"
#include "dpdk/config/values.hpp"
#include "dpdk/config/words.hpp"

namespace noclash::dpdk {

namespace {

using nat::SourceNat;

Setting single(std::string_view key, std::string_view value, Reload reload = Reload::live) {
    return {key, {std::string(value)}, reload};
}

Setting flag(std::string_view key, bool value) {
    return {key, {value ? "true" : "false"}};
}

/// A condition, which need not be there.
Setting condition(std::string_view key, Values values) {
    return {key, std::move(values), Reload::live, "any"};
}

template <class Value, class TextOf>
Values if_there(const std::optional<Value>& value, TextOf text_of) {
    return value ? Values{text_of(*value)} : Values{};
}

Values prefix_texts(const std::vector<Prefix<V4>>& prefixes) {
    Values values;
    for (const Prefix<V4>& prefix : prefixes)
        values.push_back(to_text(prefix));
    return values;
}

/// Addresses that follow each other as one range.
Values ranges(const std::vector<V4Address>& addresses) {
    Values values;
    for (std::size_t first = 0; first < addresses.size();) {
        std::size_t end = first + 1;
        while (end < addresses.size() &&
               addresses[end].value.host() - addresses[first].value.host() == end - first)
            ++end;
        std::string range = to_string<V4>(addresses[first]);
        if (end - first > 1) range += '-' + to_string<V4>(addresses[end - 1]);
        values.push_back(std::move(range));
        first = end;
    }
    return values;
}

void add_likeness(Settings& settings, nat::PortLikeness likeness) {
    const auto& [preservation, parity] = likeness;
    settings.push_back(flag("port_preservation", preservation));
    settings.push_back(flag("port_parity", parity));
}

void add_behavior(Settings& settings, nat::NatBehavior behavior) {
    const auto& [mapping, filtering] = behavior;
    settings.push_back(single("mapping", to_text(mapping)));
    settings.push_back(single("filtering", to_text(filtering)));
}

/// `source` of a `dnat` rule or a service.
std::string source_text(SourceNat source_nat, std::uint16_t pool, const Config& config) {
    switch (source_nat) {
        case SourceNat::keep:
            return "keep";
        case SourceNat::masquerade:
            return "masquerade";
        case SourceNat::pool:
            return "pool:" + config.policy.pools[pool].name;
    }
    return {};
}

/// As `10.2.0.2:80`, or `10.2.0.2:80 weight 5`.
std::string weighted_text(const nat::Backend<V4>& with_weight) {
    const auto& [address, port, weight] = with_weight;
    std::string text = backend_text(with_weight);
    if (weight != 1) text += fmt::format(" weight {}", weight);
    return text;
}

std::string inhibit_text(const nat::Inhibit& inhibit) {
    if (inhibit.failures == 0) return "off";
    return fmt::format("{} failures, {} to {} s", inhibit.failures, inhibit.first_s,
                       inhibit.most_s);
}

std::string mss_text(std::uint16_t mss) {
    return mss == nat::any_mss ? "true" : std::to_string(mss);
}

}  // namespace

Settings settings_of(const PortConfig& port) {
    const auto& [name, device, address, prefix_length, mtu, descriptors, reverse_path] = port;
    return {single("device", device, Reload::restart),
            single("address", fmt::format("{}/{}", to_string<V4>(address), prefix_length)),
            single("mtu", std::to_string(mtu), Reload::restart),
            single("descriptors", std::to_string(descriptors), Reload::restart),
            single("reverse_path", word_of(reverse_path_words, reverse_path))};
}

Settings settings_of(const RouteConfig& route, const Config& config) {
    const auto& [to, via, port] = route;
    return {single("via", to_string<V4>(via)), single("port", config.ports[port].name)};
}

Settings settings_of(const StaticNeighbor& neighbor, const Config& config) {
    const auto& [address, mac, port] = neighbor;
    return {single("mac", nat::to_string(mac)), single("port", config.ports[port].name)};
}

Settings settings_of(const nat::Pool<V4>& pool) {
    // The policy gives the last pairing and the number.
    const auto& [name, addresses, ports, pooling, likeness, pairing, behavior, id] = pool;
    Settings settings{{"addresses", ranges(addresses)},
                      single("ports", to_text(ports)),
                      single("pooling", word_of(pooling_words, pooling))};
    add_likeness(settings, likeness);
    add_behavior(settings, behavior);
    return settings;
}

Settings settings_of(const nat::Rule<V4>& rule, const Config& config) {
    // The policy gives the number, and says what it made of a service.
    const auto& [id, action, tracking, source_nat, on_change, pool, ports, likeness, behavior,
                 mss_clamp, of_service, of_its_syns, targets, ingress_port, protocol, to_port, from,
                 to, mapping, name] = rule;
    Values target;
    for (const auto& one_of_them : targets)
        target.push_back(target_text(one_of_them));
    Values source, from_pool;
    if (action == nat::Action::dnat) source = {source_text(source_nat, pool, config)};
    if (action == nat::Action::snat) from_pool = {config.policy.pools[pool].name};
    Values inside_end, outside_end;
    if (mapping) {
        const auto& [inside, outside] = *mapping;
        inside_end.push_back(target_text(inside));
        outside_end.push_back(target_text(outside));
    }
    Settings settings{
        single("action", word_of(action_words, action)),
        condition("in", if_there(ingress_port, [&](auto i) { return config.ports[i].name; })),
        condition("protocol", if_there(protocol, protocol_name)),
        condition("from", prefix_texts(from)),
        condition("to", prefix_texts(to)),
        condition("to_port", if_there(to_port, [](auto range) { return to_text(range); })),
        {"inside", std::move(inside_end)},
        {"outside", std::move(outside_end)},
        {"target", std::move(target)},
        {"source", std::move(source)},
        {"pool", std::move(from_pool)},
        single("ports", to_text(ports)),
        {"mss_clamp", if_there(mss_clamp, mss_text), Reload::live, "false"},
        flag("track", tracking == nat::Tracking::flow),
        single("on_change", word_of(on_change_words, on_change))};
    add_likeness(settings, likeness);
    // A pool's behaviour is the pool's own setting.
    add_behavior(settings, source_nat == SourceNat::pool ? nat::NatBehavior{} : behavior);
    return settings;
}

std::string offer_text(const nat::SynOffer& offer) {
    const auto& [mss, window_scale, sack, timestamps] = offer;
    return fmt::format("mss {}, window scale {}, sack {}, timestamps {}", mss, window_scale, sack,
                       timestamps);
}

Settings settings_of(const nat::Service<V4>& service, const Config& config) {
    // Whether a command made it is no setting.
    const auto& [name, address, ports, protocol, ingress_port, source_nat, pool, affinity,
                 no_backend, on_gone, drain_s, syn_proxy, syn_proxy_above, syn_offer, inhibit,
                 backends, by_command] = service;
    // Neither ports nor backends have an order.
    auto ranges = ports;
    std::ranges::sort(ranges, {}, &nat::PortRange::first);
    auto sorted = backends;
    std::ranges::sort(sorted, {}, [](const nat::Backend<V4>& backend) {
        return std::pair(backend.address.value.host(), backend.port);
    });
    Values port_values, backend_values;
    for (const nat::PortRange range : ranges)
        port_values.push_back(to_text(range));
    for (const auto& backend : sorted)
        backend_values.push_back(weighted_text(backend));
    return {single("address", to_string<V4>(address)),
            {"ports", std::move(port_values)},
            single("protocol", protocol_name(protocol)),
            condition("in", if_there(ingress_port, [&](auto i) { return config.ports[i].name; })),
            single("source", source_text(source_nat, pool, config)),
            single("affinity", word_of(affinity_words, affinity)),
            single("no_backend", word_of(no_backend_words, no_backend)),
            single("on_gone", word_of(on_gone_words, on_gone)),
            single("drain_s", std::to_string(drain_s)),
            single("syn_proxy", word_of(syn_proxy_words, syn_proxy)),
            single("syn_proxy_above", std::to_string(syn_proxy_above)),
            {"syn_offer", if_there(syn_offer, offer_text), Reload::live, "as backends offer"},
            single("inhibit", inhibit_text(inhibit)),
            {"backends", std::move(backend_values)}};
}

}  // namespace noclash::dpdk
