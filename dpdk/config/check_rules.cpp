// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>

#include "dpdk/config/checks.hpp"
#include "dpdk/config/values.hpp"

namespace noclash::dpdk {

namespace {

using nat::Action;
using Rule = nat::Rule<V4>;

bool overlap(const Prefix<V4>& a, const Prefix<V4>& b) {
    return same_prefix<V4>(a.network, b.network, std::min(a.length, b.length));
}
/// No prefix stands for every address.
bool overlap(const std::vector<Prefix<V4>>& a, const std::vector<Prefix<V4>>& b) {
    if (a.empty() || b.empty()) return true;
    return std::ranges::any_of(a, [&](const Prefix<V4>& one) {
        return std::ranges::any_of(b, [&](const Prefix<V4>& other) { return overlap(one, other); });
    });
}

/// A gateway without services, and without a rule that lets something pass, answers ARP and ping,
/// and no more.
void check_for_any(const Whole& whole) {
    if (!whole.config.policy.services.empty()) return;
    const auto& rules = whole.config.policy.rules;
    if (rules.empty()) {
        whole.top.warn("rule", "there is no [[rule]]: nothing is forwarded",
                       "add one, as `action = \"masquerade\"` with `in`");
    } else if (std::ranges::all_of(rules,
                                   [](const Rule& rule) { return nat::forbids(rule.action); })) {
        whole.rules.front().warn("action", "no rule lets anything pass: nothing is forwarded",
                                 "add a rule that does, as `action = \"masquerade\"`");
    }
}

/// Sources of a connected subnet come in by its port, unless they are forged.
void check_sources(const Section& section, const Rule& rule, const Config& config) {
    if (!rule.ingress_port || nat::forbids(rule.action)) return;
    const PortConfig& in = config.ports[*rule.ingress_port];
    for (const Prefix<V4>& from : rule.from) {
        for (const PortConfig& port : config.ports) {
            if (&port == &in || port.prefix_length == 0 || from.length < port.prefix_length ||
                !same_prefix<V4>(from.network, port.address, port.prefix_length))
                continue;
            section.warn("from",
                         fmt::format("{} is in the subnet of port {:?}, and does not come in by "
                                     "port {:?}",
                                     to_text(from), port.name, in.name),
                         "name that port in `in`, or leave `in` out");
        }
    }
}

/// Warns of a rule that translates sources and names no side: hosts on the other side get in, too.
void check_sides(const Section& section, const Rule& rule, const Config& config) {
    const bool outbound = rule.action == Action::masquerade || rule.action == Action::snat;
    if (!outbound || rule.ingress_port || !rule.from.empty() || config.ports.size() < 2) return;
    if (!rule.to.empty()) return;
    section.warn("action",
                 "the rule has neither `in` nor `from`: connections from outside to inside hosts "
                 "pass, too",
                 "say where connections come from, as `in = \"...\"`");
}

void check_dnat(const Section& section, const Rule& rule) {
    if (rule.action != Action::dnat) return;
    if (!rule.ingress_port && rule.from.empty() && rule.to.empty())
        section.warn("action",
                     "the rule has neither `to` nor `in` nor `from`: connections from any host to "
                     "any address are redirected",
                     "say which address the service has, as `to = \"...\"`");
    std::set<std::string> seen;
    for (const Text& text : section.texts("target", ""))
        if (!seen.insert(text.value).second)
            section.warn_at(text.where, "target",
                            fmt::format("{} is named twice, and gets twice its share", text.value),
                            "name each target once");
}

/// Answers to what is forwarded untracked need a rule of their own: there is no flow.
void check_untracked(const Section& section, const Rule& rule, const Config& config) {
    if (rule.tracking == nat::Tracking::flow) return;
    const bool answered = std::ranges::any_of(config.policy.rules, [&](const Rule& other) {
        return other.tracking == nat::Tracking::none && overlap(other.from, rule.to) &&
               overlap(other.to, rule.from) &&
               (!other.protocol || !rule.protocol || *other.protocol == *rule.protocol) &&
               (!other.to_port || !rule.to_port) && !(rule.ingress_port && &other == &rule);
    });
    if (!answered)
        section.warn("track",
                     "no rule with `track = false` matches the answers, which belong to no flow",
                     "add a rule for the other direction, unless answers take another way");
}

}  // namespace

void check_rules(const Whole& whole) {
    check_for_any(whole);
    for (std::size_t i = 0; i < whole.rules.size(); ++i) {
        const Section& section = whole.rules[i];
        const Rule& rule = whole.config.policy.rules[i];
        if (section.is_faulty()) continue;
        check_sources(section, rule, whole.config);
        check_sides(section, rule, whole.config);
        check_dnat(section, rule);
        check_untracked(section, rule, whole.config);
    }
}

}  // namespace noclash::dpdk
