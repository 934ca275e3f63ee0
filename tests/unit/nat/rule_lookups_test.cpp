// SPDX-License-Identifier: Apache-2.0

// What the policy makes of long lists of rules, beside what reading them says.

#include <gtest/gtest.h>

#include <algorithm>
#include <bitset>
#include <string>
#include <vector>

#include "nat/policy/policy_snapshot.hpp"
#include "tests/unit/nat/rule_draw.hpp"

namespace noclash::nat::rule_lookups_test {
namespace {

using test::Draw;

constexpr unsigned rounds = 150, packets = 200;

/// Lists from none to hundreds: some are read, others are in a `TupleSpace`.
std::vector<Rule<V4>> list_of(Draw<V4>& draw, unsigned round) {
    return draw.rules(round < 40 ? round : 1 + draw.below(300));
}
Tuple<V4> packet_for_any(Draw<V4>& draw, const std::vector<Rule<V4>>& rules) {
    return rules.empty() || draw.one_of(3) ? draw.packet()
                                           : draw.packet_for(rules[draw.below(rules.size())]);
}

TEST(RuleLookups, OutwardIsTheFirstRuleThatDoesNotRedirect) {
    Draw<V4> draw(1);
    unsigned passed_over = 0;
    for (unsigned round = 0; round < rounds; ++round) {
        const std::vector<Rule<V4>> rules = list_of(draw, round);
        const RuleClassifier<V4, NotRedirecting> outward{std::span<const Rule<V4>>(rules)};
        for (unsigned i = 0; i < packets; ++i) {
            const Tuple<V4> tuple = packet_for_any(draw, rules);
            const std::uint16_t port = draw.ingress_port();
            const auto expected = std::ranges::find_if(rules, [&](const Rule<V4>& rule) {
                return rule.action != Action::dnat && matches(rule, tuple, port);
            });
            ASSERT_EQ(outward.find(tuple, port), expected == rules.end() ? nullptr : &*expected);
            const Rule<V4>* first = first_match<V4>(rules, tuple, port);
            passed_over += expected != rules.end() && first != &*expected ? 1U : 0U;
        }
    }
    EXPECT_GT(passed_over, 1000U);
}

TEST(RuleLookups, StaticBindingsAreThoseOfTheList) {
    Draw<V4> draw(2);
    unsigned found = 0;
    for (unsigned round = 0; round < rounds; ++round) {
        std::vector<Rule<V4>> rules = list_of(draw, round);
        if (draw.one_of(2))
            std::erase_if(rules, [](const Rule<V4>& rule) { return !rule.mapping; });
        const StaticBindings<V4> bindings{std::span<const Rule<V4>>(rules)};
        for (unsigned i = 0; i < packets; ++i) {
            const Tuple<V4> tuple = packet_for_any(draw, rules);
            const auto first = [&](auto fits) -> const StaticMapping<V4>* {
                for (const Rule<V4>& rule : rules)
                    if (rule.mapping && (!rule.protocol || *rule.protocol == tuple.protocol) &&
                        ((*rule.mapping).*fits)(tuple))
                        return &*rule.mapping;
                return nullptr;
            };
            ASSERT_EQ(bindings.leaving(tuple), first(&StaticMapping<V4>::leaves));
            ASSERT_EQ(bindings.entering(tuple), first(&StaticMapping<V4>::enters));
            found += bindings.leaving(tuple) != nullptr ? 1U : 0U;
        }
    }
    EXPECT_GT(found, 1000U);
}

TEST(RuleLookups, UntrackedIsWhatTheFirstRuleSays) {
    Draw<V4> draw(3);
    unsigned untracked = 0, tracked = 0;
    for (unsigned round = 0; round < rounds; ++round) {
        std::vector<Rule<V4>> rules = list_of(draw, round);
        for (std::size_t i = 0; i < rules.size(); ++i) {
            rules[i].id = static_cast<RuleId>(i);
            if (rules[i].ingress_port == 65535)
                rules[i].ingress_port = 3;  // there are tens at most
            if (draw.one_of(3)) rules[i].tracking = Tracking::none;
        }
        const UntrackedRules<V4> asked{std::span<const Rule<V4>>(rules)};
        ASSERT_EQ(asked.any(), std::ranges::any_of(rules, [](const Rule<V4>& rule) {
                      return rule.tracking == Tracking::none;
                  }));
        for (unsigned i = 0; i < packets; ++i) {
            const Tuple<V4> tuple = packet_for_any(draw, rules);
            const std::uint16_t port = draw.ingress_port();
            const Rule<V4>* first = first_match<V4>(rules, tuple, port);
            const auto* found = asked.find(tuple, port);
            if (first == nullptr || first->tracking == Tracking::flow) {
                ASSERT_EQ(found, nullptr);
                ++tracked;
            } else {
                ASSERT_NE(found, nullptr);
                ASSERT_EQ(found->id, first->id);
                ++untracked;
            }
        }
    }
    EXPECT_GT(untracked, 1000U);
    EXPECT_GT(tracked, 1000U);
}

/// Each port of an address, and the ranges that are said to be served there.
TEST(RuleLookups, ReservedPortsAreThoseOfTheList) {
    Draw<V4> draw(4);
    unsigned reserved = 0;
    for (unsigned round = 0; round < rounds; ++round) {
        const std::vector<Rule<V4>> rules = list_of(draw, round);
        const ReservedPorts<V4> asked{std::span<const Rule<V4>>(rules)};
        const auto is_reserved = [&](std::uint8_t protocol, V4Address address, std::uint16_t port) {
            return std::ranges::any_of(rules, [&](const Rule<V4>& rule) {
                if (rule.protocol && *rule.protocol != protocol) return false;
                if (rule.mapping) return rule.mapping->outside == Target<V4>{address, port};
                return rule.action == Action::dnat && rule.to_port &&
                       rule.to_port->contains(port) && within<V4>(rule.to, address);
            });
        };
        for (unsigned i = 0; i < 20; ++i) {
            const Tuple<V4> tuple = packet_for_any(draw, rules);
            std::bitset<65536> ports;
            asked.for_each(tuple.protocol, tuple.destination, [&](PortRange range) {
                for (std::uint32_t port = range.first; port <= range.last; ++port)
                    ports.set(port);
            });
            for (const auto port : std::initializer_list<std::uint16_t>{
                     0,  1,  74, 75, 76, 77,  78,  79,  80,    81,
                     82, 83, 84, 85, 86, 442, 443, 444, 65534, 65535}) {
                const bool expected = is_reserved(tuple.protocol, tuple.destination, port);
                ASSERT_EQ(asked.contains(tuple.protocol, tuple.destination, port), expected);
                ASSERT_EQ(ports.test(port), expected) << port;
                reserved += expected ? 1U : 0U;
            }
        }
    }
    EXPECT_GT(reserved, 1000U);
}

TEST(RuleLookups, ThousandsOfTargetsKeepTheirCounters) {
    Identities identities;
    PolicyConfig<V4> config;
    for (std::uint32_t i = 0; i < 20'000; ++i) {
        Rule<V4>& rule = config.rules.emplace_back();
        rule.name = std::to_string(i);
        rule.action = Action::dnat;
        rule.to = {{V4Address::from_host(i), 32}};
        rule.targets = {{V4Address::from_host(~i), {}}};
    }
    const Policy<V4> before(config, {}, {}, identities, nullptr);
    Tuple<V4> reply{};
    for (std::uint32_t i = 0; i < 20'000; i += 7) {
        reply.source = V4Address::from_host(~i);
        before.backends.ended_unanswered(i, reply);
    }
    std::ranges::reverse(config.rules);
    const Policy<V4> after(config, {}, {}, identities, &before);
    for (std::uint32_t i = 0; i < 20'000; ++i)
        ASSERT_EQ(after.backends.unanswered(19'999 - i, 0), i % 7 == 0 ? 1U : 0U);
}

}  // namespace
}  // namespace noclash::nat::rule_lookups_test
