// SPDX-License-Identifier: Apache-2.0
#include "dpdk/config/rule_text.hpp"

#include <fmt/format.h>

#include "dpdk/config/protocol_names.hpp"
#include "dpdk/config/values.hpp"

namespace noclash::dpdk {

namespace {

std::string prefixes_text(const std::vector<Prefix<V4>>& prefixes) {
    std::string text;
    for (const Prefix<V4>& prefix : prefixes)
        text += (text.empty() ? "" : ", ") + to_text(prefix);
    return text;
}

std::string targets_text(const std::vector<nat::Target<V4>>& targets) {
    std::string text;
    for (const auto& target : targets)
        text += (text.empty() ? "" : ", ") + target_text(target);
    return text;
}

std::string likeness_text(nat::PortLikeness likeness) {
    return fmt::format("{}{}", likeness.preservation ? ", port preserved" : "",
                       likeness.parity ? ", parity kept" : "");
}

std::string behavior_text(nat::NatBehavior behavior) {
    if (behavior.mapping == nat::Mapping::endpoint_dependent) return "";
    return fmt::format(", {} mapping, {} filtering", to_text(behavior.mapping),
                       to_text(behavior.filtering));
}

std::string source_text(const nat::Rule<V4>& rule, const Config& config) {
    switch (rule.source_nat) {
        case nat::SourceNat::keep:
            return "";
        case nat::SourceNat::masquerade:
            return fmt::format("masquerade, ports {}{}{}", to_text(rule.ports),
                               likeness_text(rule.likeness), behavior_text(rule.behavior));
        case nat::SourceNat::pool: {
            const auto& pool = config.policy.pools[rule.pool];
            return fmt::format("snat to pool {}{}{}", pool.name, likeness_text(pool.likeness),
                               behavior_text(rule.behavior));
        }
    }
    return "";
}

std::string translation_text(const nat::Rule<V4>& rule, const Config& config) {
    switch (rule.action) {
        case nat::Action::drop:
            return "drop";
        case nat::Action::reject:
            return "reject";
        case nat::Action::forward:
            return rule.tracking == nat::Tracking::none ? "forward untracked" : "forward";
        case nat::Action::snat:
        case nat::Action::masquerade:
            return source_text(rule, config);
        case nat::Action::bind:
            return fmt::format("static {} = {}", target_text(rule.mapping->inside),
                               target_text(rule.mapping->outside));
        case nat::Action::dnat:
            break;
    }
    std::string text = "dnat to " + targets_text(rule.targets);
    if (const std::string source = source_text(rule, config); !source.empty())
        text += ", " + source;
    return text;
}

}  // namespace

std::string match_text(const nat::Rule<V4>& rule, const Config& config) {
    std::string text = rule.protocol ? protocol_name(*rule.protocol) : "any";
    if (rule.ingress_port) text += " in " + config.ports[*rule.ingress_port].name;
    if (!rule.from.empty()) text += " from " + prefixes_text(rule.from);
    if (!rule.to.empty()) text += " to " + prefixes_text(rule.to);
    if (rule.to_port) text += " port " + to_text(*rule.to_port);
    return text;
}

std::string action_text(const nat::Rule<V4>& rule, const Config& config) {
    std::string text = translation_text(rule, config);
    if (rule.mss_clamp) {
        text += *rule.mss_clamp == nat::any_mss ? ", MSS as the MTUs allow"
                                                : fmt::format(", MSS at most {}", *rule.mss_clamp);
    }
    if (rule.on_change == nat::OnChange::end) text += ", flows end with the rule";
    return text;
}

std::string endpoint_text(const nat::Service<V4>& service, const Config& config) {
    std::string text =
        fmt::format("{} {} port ", protocol_name(service.protocol), to_string<V4>(service.address));
    for (const nat::PortRange range : service.ports)
        text += (range == service.ports.front() ? "" : ", ") + to_text(range);
    if (service.ingress_port) text += " in " + config.ports[*service.ingress_port].name;
    return text;
}

}  // namespace noclash::dpdk
