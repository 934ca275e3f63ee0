// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <array>

#include "dpdk/config/protocol_names.hpp"
#include "dpdk/config/sections.hpp"
#include "dpdk/config/values.hpp"
#include "dpdk/config/words.hpp"
#include "nat/packet/protocols.hpp"

namespace noclash::dpdk {

namespace {

using nat::Action;
using nat::SourceNat;
using Rule = nat::Rule<V4>;

constexpr std::size_t most_rules = 16384;
constexpr std::size_t most_targets = 1024;  // of a rule

constexpr std::string_view with_ports = "`protocol` \"tcp\", \"udp\", \"sctp\" or \"udplite\"";

void read_protocol(const Section& section, Rule& rule) {
    if (section.is_integer("protocol")) {
        std::uint8_t number = 0;
        section.read("protocol", number, 1, 254);
        if (number == 0) return;
        rule.protocol = parse_protocol(std::to_string(number));
        if (!rule.protocol)
            section.fault("protocol", fmt::format("{} is never forwarded", number),
                          "another protocol");
        return;
    }
    const std::string expected = known_protocols() + ", or a number from 1 to 254";
    const auto text = section.text("protocol", expected);
    if (!text) return;
    rule.protocol = parse_protocol(text->value);
    if (!rule.protocol)
        section.fault("protocol", fmt::format("{:?} is not known", text->value), expected);
}

void read_match(const Section& section, const Config& config, Rule& rule) {
    rule.ingress_port = read_ingress(section, config);
    read_protocol(section, rule);
    rule.from = read_prefixes(section, "from");
    rule.to = read_prefixes(section, "to");

    if (!section.has("to_port")) return;
    nat::PortRange range{};
    if (section.is_integer("to_port")) {
        section.read("to_port", range.first, 1, 65535);
        range.last = range.first;
    } else {
        read_port_range(section, "to_port", range);
    }
    rule.to_port = range;
    if (rule.protocol && !nat::ip_protocol::has_ports(*rule.protocol)) {
        section.fault("to_port", fmt::format("{} has no ports", protocol_name(*rule.protocol)),
                      with_ports);
    }
}

/// Also what the pool's sources are translated with.
void use_pool(Rule& rule, std::optional<std::uint16_t> pool, const Config& config) {
    if (!pool) return;
    rule.pool = *pool;
    rule.behavior = config.policy.pools[*pool].behavior;
}

void read_target(const Section& section, const Text& text, std::string_view expected, Rule& rule) {
    const auto target = parse_target(text.value);
    if (!target || !usable_by_host(target->address)) {
        section.fault_at(text.where, "target",
                         fmt::format("{:?} is no address of a host", text.value), expected);
        return;
    }
    const bool protocol_is_unfit = !rule.protocol && section.has("protocol");
    if (target->port && !protocol_is_unfit &&
        !(rule.protocol && nat::ip_protocol::has_ports(*rule.protocol))) {
        section.fault_at(text.where, "target",
                         fmt::format("{:?} has a port, which not all protocols have", text.value),
                         fmt::format("{} in the same rule", with_ports));
    }
    rule.targets.push_back(*target);
}

void read_dnat(const Section& section, const Config& config, Rule& rule) {
    constexpr std::string_view expected =
        "a target, as \"10.2.0.2:80\" or \"10.2.0.2\", or an array of targets";
    const auto [source_nat, pool] = read_source(section, config);
    rule.source_nat = source_nat;
    use_pool(rule, pool, config);
    if (!section.require("target", expected)) return;
    const auto texts = section.texts("target", expected);
    if (texts.size() > most_targets) {
        section.fault("target", "too many targets", fmt::format("at most {}", most_targets));
        return;
    }
    for (const Text& text : texts)
        read_target(section, text, expected, rule);
}

/// Notes the keys that mean something only with other actions.
void check_keys_of_action(const Section& section, const Rule& rule) {
    struct Belongs {
        std::string_view key;
        bool here;
        std::string_view expected;
    };
    const bool dnat = rule.action == Action::dnat;
    const bool masquerade = rule.source_nat == SourceNat::masquerade;
    constexpr std::string_view of_masquerade =
        "`action = \"masquerade\"` or `source = \"masquerade\"`; a pool has this key itself";
    const bool bind = rule.action == Action::bind;
    constexpr std::string_view only_static = "`action = \"static\"` in the same rule";
    constexpr std::string_view not_static = "`inside` and `outside`, which say what it matches";
    const std::array<Belongs, 14> keys{{
        {"pool", rule.action == Action::snat, "`action = \"snat\"` in the same rule"},
        {"target", dnat, "`action = \"dnat\"` in the same rule"},
        {"source", dnat, "`action = \"dnat\"` in the same rule"},
        {"ports", masquerade, of_masquerade},
        {"port_preservation", masquerade, of_masquerade},
        {"port_parity", masquerade, of_masquerade},
        {"mapping", masquerade, of_masquerade},
        {"filtering", masquerade, of_masquerade},
        {"inside", bind, only_static},
        {"outside", bind, only_static},
        {"in", !bind, not_static},
        {"from", !bind, not_static},
        {"to", !bind, not_static},
        {"to_port", !bind, not_static},
    }};
    for (const Belongs& belongs : keys) {
        if (!belongs.here && section.has(belongs.key)) {
            section.fault(belongs.key, "has no meaning in this rule", belongs.expected);
        }
    }
}

void read_action(const Section& section, const Config& config, Rule& rule) {
    if (!section.require("action",
                         "\"drop\", \"reject\", \"forward\", \"snat\", \"masquerade\", \"dnat\" or "
                         "\"static\"")) {
        return;
    }
    const auto word = section.choice("action", action_words);
    if (!word) return;
    rule.action = static_cast<Action>(*word);
    if (rule.action == Action::snat) {
        rule.source_nat = SourceNat::pool;
        constexpr std::string_view expected = "the name of a pool";
        if (section.require("pool", expected)) {
            const auto name = section.text("pool", expected);
            if (name) use_pool(rule, find_pool(section, "pool", name->value, config), config);
        }
    } else if (rule.action == Action::masquerade) {
        rule.source_nat = SourceNat::masquerade;
    } else if (rule.action == Action::dnat) {
        read_dnat(section, config, rule);
    } else if (rule.action == Action::bind) {
        read_static_mapping(section, config, rule);
    }
    check_keys_of_action(section, rule);
    read_port_range(section, "ports", rule.ports);
    read_port_likeness(section, rule.ports, rule.likeness);
    if (rule.source_nat == SourceNat::masquerade) read_behavior(section, rule.behavior);
}

/// `true` means as the MTUs say; a number is a further bound.
void read_mss_clamp(const Section& section, Rule& rule) {
    constexpr std::uint16_t least = 88;  // netfilter's, too: smaller segments are attacks
    if (!section.has("mss_clamp")) return;
    if (section.is_integer("mss_clamp")) {
        std::uint16_t mss = 0;
        section.read("mss_clamp", mss, least, nat::any_mss);
        if (mss != 0) rule.mss_clamp = mss;
    } else if (section.boolean("mss_clamp").value_or(false)) {
        rule.mss_clamp = nat::any_mss;
    }
    if (nat::forbids(rule.action)) {
        section.fault("mss_clamp", "has no meaning in this rule", "a rule that lets packets pass");
    }
}

/// Refuses what needs a flow in a rule that makes none.
void read_tracking(const Section& section, Rule& rule) {
    if (section.boolean("track").value_or(true)) return;
    rule.tracking = nat::Tracking::none;
    if (rule.action != Action::forward)
        section.fault("track", "the action of this rule needs a flow",
                      "`action = \"forward\"` in the same rule");
    if (rule.mss_clamp)
        section.fault("mss_clamp", "needs a flow", "a rule without `track = false`");
}

/// Refuses it in a rule that has no flows.
void read_on_change(const Section& section, Rule& rule) {
    if (!section.has("on_change")) return;
    read_word(section, "on_change", on_change_words, rule.on_change);
    if (nat::forbids(rule.action))
        section.fault("on_change", "has no meaning in this rule", "it only in rules that let pass");
    if (rule.tracking == nat::Tracking::none)
        section.fault("on_change", "needs a flow", "it only in rules without `track = false`");
}

void read_rule(const Section& section, Config& config, EarlierRules& earlier) {
    section.allow_only({"name",        "action",  "in",        "protocol", "from",
                        "to",          "to_port", "pool",      "ports",    "port_preservation",
                        "port_parity", "mapping", "filtering", "target",   "source",
                        "inside",      "outside", "mss_clamp", "track",    "on_change"});
    Rule rule;
    rule.name = read_name(section);
    if (!rule.name.empty() && !earlier.names.insert(rule.name).second) {
        section.fault("name", fmt::format("another rule is called {:?}", rule.name),
                      "a name of its own");
    }
    read_match(section, config, rule);
    read_action(section, config, rule);
    read_mss_clamp(section, rule);
    read_tracking(section, rule);
    read_on_change(section, rule);
    check_behavior(section, rule, config, earlier);
    config.policy.rules.push_back(std::move(rule));
}

}  // namespace

std::vector<Prefix<V4>> read_prefixes(const Section& section, std::string_view key) {
    constexpr std::string_view expected = "a prefix or an array of them, as \"10.0.0.0/8\"";
    std::vector<Prefix<V4>> found;
    for (const Text& text : section.texts(key, expected)) {
        const auto parsed = parse_address_with_length(text.value, std::uint8_t{V4::address_bits});
        if (!parsed) {
            section.fault_at(text.where, key, fmt::format("{:?} is no prefix", text.value),
                             expected);
            continue;
        }
        const Prefix<V4> prefix{network_of(parsed->address, parsed->length), parsed->length};
        if (prefix.network != parsed->address) {
            section.fault_at(text.where, key, fmt::format("{:?} has host bits set", text.value),
                             to_text(prefix));
            continue;
        }
        found.push_back(prefix);
    }
    return found;
}

void read_rules(const Section& top, Config& config) {
    const auto sections = top.tables("rule");
    if (sections.size() > most_rules) {
        top.fault("rule", "too many rules", fmt::format("at most {}", most_rules));
        return;
    }
    EarlierRules earlier;
    config.policy.rules.reserve(sections.size());
    for (const Section& section : sections)
        read_rule(section, config, earlier);
}

}  // namespace noclash::dpdk
