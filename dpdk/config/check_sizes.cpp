// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_set>

#include "dpdk/config/checks.hpp"
#include "nat/policy/rule_classifier.hpp"

namespace noclash::dpdk {

namespace {

void check_limits(const Whole& whole) {
    const auto section = whole.top.table("limits");
    if (!section || section->is_faulty()) return;
    constexpr std::array<std::string_view, 6> of_flows{
        "flows_per_subscriber",     "ports_per_subscriber",    "tcp_ports_per_subscriber",
        "udp_ports_per_subscriber", "icmp_ids_per_subscriber", "half_open_per_source"};
    const Config& config = whole.config;
    for (const std::string_view key : of_flows) {
        const auto most = section->integer(key, 0, INT64_MAX);
        if (most && *most > config.flows)
            section->warn(
                key, fmt::format("nothing reaches this limit: `flows` are only {}", config.flows),
                "a limit below `flows`, or 0 for none");
    }
    if (config.limits.half_open_per_service != 0 && config.policy.services.empty() &&
        std::ranges::none_of(config.policy.rules, [](const nat::Rule<V4>& rule) {
            return rule.action == nat::Action::dnat;
        }))
        section->warn("half_open_per_service",
                      "there is no [[service]], and no rule is a `dnat` one", "leave it out");
}

/// Neighbours that the configuration names have to find room beside all others.
void check_neighbors(const Whole& whole) {
    const Config& config = whole.config;
    std::unordered_set<std::uint32_t> named;
    const auto add = [&](V4Address address) {
        for (const PortConfig& port : config.ports)
            if (port.prefix_length != 0 &&
                same_prefix<V4>(port.address, address, port.prefix_length))
                named.insert(address.value.host());
    };
    for (const RouteConfig& route : config.routes)
        add(route.via);
    for (const auto& rule : config.policy.rules) {
        if (rule.mapping) add(rule.mapping->inside.address);
        for (const auto& target : rule.targets)
            add(target.address);
    }
    for (const auto& service : config.policy.services)
        for (const auto& backend : service.backends)
            add(backend.address);
    if (named.size() <= config.neighbors.capacity) return;
    const auto section = whole.top.table("neighbors");
    if (section && !section->is_faulty())
        section->warn("capacity",
                      fmt::format("{} neighbours are kept, and routes, rules and services name {}",
                                  config.neighbors.capacity, named.size()),
                      fmt::format("say {} at least", named.size()));
}

/// What the classifier of rules cannot hold.
void check_rule_list(const Whole& whole) {
    const auto too_much = nat::find_excess<V4>(whole.config.policy.rules);
    if (!too_much) return;
    const Section& section = whole.rules[too_much->place];
    const auto key = section.has("from") ? "from" : section.has("to") ? "to" : "action";
    if (too_much->excess == nat::Excess::combinations)
        section.fault(key,
                      fmt::format("up to this rule, there are more than {} pairs of a prefix of "
                                  "`from` and one of `to`",
                                  nat::TupleSpace<V4>::most_entries),
                      "fewer prefixes in rules that have both");
    else
        section.fault(key,
                      fmt::format("up to this rule, rules ask for more than {} combinations of "
                                  "`in`, `protocol` and lengths of prefixes in `from` and `to`",
                                  nat::TupleGroups<V4>::most),
                      "prefixes of a length that another rule has: split them, or widen them");
}

void check_timeouts(const Whole& whole) {
    const auto section = whole.top.table("timeouts");
    if (!section || section->is_faulty()) return;
    const nat::Timeouts& timeouts = whole.config.timeouts;
    if (timeouts.udp_stream_s < timeouts.udp_s)
        section->warn(
            section->has("udp_stream_s") ? "udp_stream_s" : "udp_s",
            fmt::format("with `udp_stream_s` {} and `udp_s` {}, a connection with answers "
                        "ends before one without",
                        timeouts.udp_stream_s, timeouts.udp_s),
            "`udp_stream_s` of `udp_s` at least");
}

}  // namespace

void check_sizes(const Whole& whole) {
    check_limits(whole);
    check_neighbors(whole);
    check_rule_list(whole);
    check_timeouts(whole);
}

}  // namespace noclash::dpdk
