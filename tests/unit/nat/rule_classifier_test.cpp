// SPDX-License-Identifier: Apache-2.0
#include "nat/policy/rule_classifier.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <span>
#include <stdexcept>
#include <vector>

#include "tests/unit/nat/rule_draw.hpp"

namespace noclash::nat::rule_classifier_test {
namespace {

using test::Draw;

template <class Family>
std::size_t place_of(std::span<const Rule<Family>> rules, const Rule<Family>* rule) {
    return rule == nullptr ? rules.size() : static_cast<std::size_t>(rule - rules.data());
}

/// Compares what the classifier says of `packets` packets with what the list says.
/// @return how many matched a rule
template <class Family>
unsigned compare(const std::vector<Rule<Family>>& rules, Draw<Family>& draw, unsigned packets) {
    const std::span<const Rule<Family>> list(rules);
    const RuleClassifier<Family> classifier(list);
    unsigned matched = 0;
    for (unsigned i = 0; i < packets; ++i) {
        const Tuple<Family> tuple = rules.empty() || draw.one_of(3)
                                        ? draw.packet()
                                        : draw.packet_for(rules[draw.below(rules.size())]);
        const std::uint16_t port = draw.ingress_port();
        const Rule<Family>* expected = first_match<Family>(list, tuple, port);
        const Rule<Family>* found = classifier.find(tuple, port);
        EXPECT_EQ(place_of(list, found), place_of(list, expected))
            << "of " << rules.size() << " rules, packet " << i << ": protocol "
            << unsigned{tuple.protocol} << " from " << to_string<Family>(tuple.source) << " to "
            << to_string<Family>(tuple.destination) << " port " << tuple.destination_port.host()
            << " in " << port;
        if (found != expected) return 0;
        matched += found != nullptr ? 1U : 0U;
    }
    return matched;
}

template <class Family>
void expect_the_list_s_answers() {
    Draw<Family> draw(19);
    unsigned matched = 0;
    for (unsigned round = 0; round < 600; ++round) {
        const std::size_t count = round < 40 ? round : 1 + draw.below(round % 20 == 0 ? 2000 : 120);
        matched += compare(draw.rules(count), draw, 300);
        if (testing::Test::HasFailure()) return;
    }
    EXPECT_GT(matched, 50'000U);
}

TEST(RuleClassifier, AnswersAsTheListDoes) {
    expect_the_list_s_answers<V4>();
}
TEST(RuleClassifier, AnswersAsTheListDoesOfIPv6) {
    expect_the_list_s_answers<V6>();
}

/// No rule that matches all hides what others say.
TEST(RuleClassifier, AnswersAsTheListDoesOfNarrowRules) {
    Draw<V4> draw(7);
    unsigned matched = 0;
    for (unsigned round = 0; round < 200; ++round) {
        std::vector<Rule<V4>> rules = draw.rules(400);
        std::erase_if(rules, [](const Rule<V4>& rule) {
            const auto wide = [](const auto& prefixes) {
                return prefixes.empty() || std::ranges::any_of(prefixes, [](const Prefix<V4>& one) {
                           return one.length < 12;
                       });
            };
            return !rule.mapping && (wide(rule.from) || wide(rule.to));
        });
        matched += compare(rules, draw, 1000);
        if (HasFailure()) return;
    }
    EXPECT_GT(matched, 20'000U);
}

TEST(RuleClassifier, AnEmptyListMatchesNothing) {
    Draw<V4> draw(1);
    EXPECT_EQ(compare<V4>({}, draw, 100), 0U);
}

Rule<V4> to_host(std::uint32_t address, std::uint16_t port) {
    Rule<V4> rule;
    rule.to = {{V4Address::from_host(address), 32}};
    rule.to_port = PortRange{port, port};
    return rule;
}

Tuple<V4> packet_to(std::uint32_t address, std::uint16_t port) {
    Tuple<V4> tuple{};
    tuple.destination = V4Address::from_host(address);
    tuple.destination_port = Be16::from_host(port);
    tuple.protocol = ip_protocol::tcp;
    return tuple;
}

/// As many as there can be, with a rule for all at the end.
TEST(RuleClassifier, FindsEachOf65536Rules) {
    std::vector<Rule<V4>> rules;
    for (std::uint32_t i = 0; i < Identities::most_rules - 1; ++i)
        rules.push_back(to_host(0x0a000000 + i / 4, static_cast<std::uint16_t>(1000 + i % 4)));
    rules.emplace_back();
    const RuleClassifier<V4> classifier{std::span<const Rule<V4>>(rules)};
    for (std::uint32_t i = 0; i < rules.size() - 1; ++i) {
        const auto port = static_cast<std::uint16_t>(1000 + i % 4);
        ASSERT_EQ(classifier.find(packet_to(0x0a000000 + i / 4, port), 0), &rules[i]);
    }
    EXPECT_EQ(classifier.find(packet_to(0x0a000000, 999), 0), &rules.back());
    EXPECT_EQ(classifier.find(packet_to(0x09ffffff, 1000), 0), &rules.back());
}

/// Thousands of ranges of one address are one bucket.
TEST(RuleClassifier, FindsEachOfThousandsOfRangesOfOneAddress) {
    std::vector<Rule<V4>> rules;
    for (std::uint16_t i = 0; i < 6000; ++i) {
        rules.push_back(to_host(0x0a000000, 0));
        rules.back().to_port =
            PortRange{static_cast<std::uint16_t>(10 * i), static_cast<std::uint16_t>(10 * i + 12)};
    }
    const RuleClassifier<V4> classifier{std::span<const Rule<V4>>(rules)};
    for (std::uint32_t port = 0; port < 65536; port += 3) {
        const Tuple<V4> tuple = packet_to(0x0a000000, static_cast<std::uint16_t>(port));
        ASSERT_EQ(classifier.find(tuple, 0), first_match<V4>(rules, tuple, 0)) << port;
    }
}

/// The bound on shapes: 256 of them are taken, one more is not.
TEST(RuleClassifier, RefusesMoreShapesThanItCanAsk) {
    std::vector<Rule<V4>> rules;
    for (std::uint8_t from = 0; from < 16; ++from) {
        for (std::uint8_t to = 0; to < 16; ++to) {
            Rule<V4>& rule = rules.emplace_back();
            rule.from = {
                {V4Address::from_host(0x0a0b0c00U + from), static_cast<std::uint8_t>(from + 1)}};
            rule.to = {{V4Address::from_host(0xc0a80000U + to), static_cast<std::uint8_t>(to + 1)}};
        }
    }
    Draw<V4> draw(3);
    compare(rules, draw, 10'000);
    rules.push_back(to_host(1, 1));
    EXPECT_THROW(RuleClassifier<V4>{std::span<const Rule<V4>>(rules)}, std::length_error);
}

TEST(RuleClassifier, RefusesMoreCombinationsThanItHolds) {
    std::vector<Rule<V4>> rules(1);
    for (std::uint32_t i = 0; i < 1025; ++i) {
        rules[0].from.push_back({V4Address::from_host(i), 32});
        rules[0].to.push_back({V4Address::from_host(i), 32});
    }
    EXPECT_THROW(RuleClassifier<V4>{std::span<const Rule<V4>>(rules)}, std::length_error);
}

}  // namespace
}  // namespace noclash::nat::rule_classifier_test
