// SPDX-License-Identifier: Apache-2.0

// Rules that are never reached.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "nat/policy/rule_match.hpp"
#include "tests/unit/dpdk/faults_of.hpp"

namespace noclash::dpdk::config_shadowing_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

/// Lines 1 to 13.
constexpr std::string_view ports = R"(
[[port]]
name = "lan"
device = "tap:lan0"
address = "10.1.0.1/24"
[[port]]
name = "wan"
device = "tap:wan0"
address = "192.0.2.2/24"
[[route]]
to = "0.0.0.0/0"
via = "192.0.2.1"

)";

/// The warnings about rules, each given as the lines of its body.
std::vector<std::string> warnings_about(const std::vector<std::string>& bodies) {
    std::string text(ports);
    for (std::size_t i = 0; i < bodies.size(); ++i)
        text += fmt::format("[[rule]]\nname = \"r{}\"\n{}\n", i + 1, bodies[i]);
    return texts_of(parse_config(text, "f").warnings, Severity::warning);
}
std::string rule(std::string_view action, std::string_view keys = "") {
    return fmt::format("action = \"{}\"\n{}\n", action, keys);
}
/// Bodies that match what the keys say, and do the same.
auto about(const std::string& first, const std::string& second) {
    return warnings_about({rule("drop", first), rule("forward", second)});
}

TEST(Shadowing, ARuleBehindOneThatMatchesAllItMatches) {
    EXPECT_THAT(about("in = \"lan\"", "in = \"lan\"\nprotocol = \"tcp\""),
                ElementsAre(StartsWith("f:21:10: warning: [rule \"r2\"] action: the rule is never "
                                       "reached: rule \"r1\" (line 14) before it matches all that "
                                       "it matches; move the rule up, or leave it out")));
}

TEST(Shadowing, EachKeyCounts) {
    struct Pair {
        const char *narrow, *wide;
    };
    constexpr Pair pairs[] = {
        {"in = \"wan\"\nprotocol = \"udp\"", "in = \"wan\""},
        {"in = \"wan\"\nfrom = \"198.51.100.128/25\"", "in = \"wan\"\nfrom = \"198.51.100.0/24\""},
        {"in = \"wan\"\nto = \"10.1.0.7\"", "in = \"wan\"\nto = \"10.1.0.0/24\""},
        {"in = \"wan\"\nto_port = 80", "in = \"wan\"\nto_port = \"70-90\""},
        {"in = \"wan\"\nprotocol = \"tcp\"\nto_port = 80", "in = \"wan\"\nto_port = 80"},
        {"in = \"wan\"\nto_port = 80", "in = \"wan\""},
        {"from = \"198.51.100.0/24\"\nin = \"wan\"", "from = \"198.51.100.0/24\""},
        // Several prefixes; neighbours that make a larger one.
        {"in = \"wan\"\nfrom = [\"198.51.100.0/25\", \"203.0.113.7\"]",
         "in = \"wan\"\nfrom = [\"203.0.113.0/24\", \"198.51.100.0/24\"]"},
        {"in = \"wan\"\nfrom = \"198.51.100.0/24\"",
         "in = \"wan\"\nfrom = [\"198.51.100.128/25\", \"198.51.100.0/25\", \"203.0.113.0/24\"]"},
        {"in = \"wan\"\nto_port = 80", "in = \"wan\"\nfrom = [\"0.0.0.0/1\", \"128.0.0.0/1\"]"},
        {"in = \"wan\"\nprotocol = \"tcp\"\nto_port = 80",
         "in = \"wan\"\nprotocol = \"tcp\"\nto_port = \"1-65535\""},
    };
    for (const auto& [narrow, wide] : pairs) {
        EXPECT_THAT(about(wide, narrow), ElementsAre(HasSubstr("never reached"))) << narrow;
        EXPECT_THAT(about(narrow, wide), IsEmpty()) << narrow << ": an exception";
        EXPECT_THAT(about(wide, wide), ElementsAre(HasSubstr("never reached"))) << wide;
    }
}

TEST(Shadowing, WhatOverlapsOnlyIsReached) {
    EXPECT_THAT(about("in = \"wan\"\nto_port = \"80-90\"", "in = \"wan\"\nto_port = \"85-95\""),
                IsEmpty());
    EXPECT_THAT(about("in = \"wan\"\nfrom = \"198.51.100.0/25\"",
                      "in = \"wan\"\nfrom = \"198.51.100.0/24\""),
                IsEmpty());
    // Ports of protocols that have any: not ICMP, whatever its identifier.
    EXPECT_THAT(about("in = \"wan\"\nto_port = \"1-65535\"", "in = \"wan\"\nprotocol = \"icmp\""),
                IsEmpty());
    EXPECT_THAT(
        about("in = \"wan\"\nprotocol = \"tcp\"\nto_port = 80", "in = \"wan\"\nto_port = 80"),
        IsEmpty());
}

TEST(Shadowing, SeveralRulesTogether) {
    EXPECT_THAT(
        warnings_about({rule("drop", "in = \"wan\"\nfrom = \"198.51.100.0/25\""),
                        rule("forward", "in = \"wan\"\nfrom = \"198.51.100.128/25\""),
                        rule("reject", "in = \"wan\"\nfrom = \"198.51.100.0/24\"\nto_port = 25")}),
        ElementsAre(HasSubstr("[rule \"r3\"] action: the rule is never reached: rules \"r1\" (line "
                              "14) and \"r2\" (line 20) before it match all that it matches")));
    // Each port by itself.
    EXPECT_THAT(warnings_about({rule("drop", "in = \"wan\""), rule("forward", "in = \"lan\""),
                                rule("reject", "protocol = \"gre\"")}),
                ElementsAre(HasSubstr("[rule \"r3\"] action: the rule is never reached")));
    EXPECT_THAT(warnings_about({rule("drop", "in = \"wan\"\nto_port = \"1-1023\""),
                                rule("drop", "in = \"wan\"\nto_port = \"1025-65535\""),
                                rule("forward", "in = \"wan\"\nto_port = \"1000-1030\"")}),
                IsEmpty());
}

TEST(Shadowing, ARuleThatEndsTheListIsNamedOnce) {
    EXPECT_THAT(warnings_about({rule("forward"), rule("drop", "in = \"wan\""),
                                rule("masquerade", "in = \"lan\"")}),
                ElementsAre(StartsWith("f:16:10: warning: [rule \"r1\"] action: the rule matches "
                                       "every packet: the 2 rules behind it are never reached")));
    // At the end it shadows nothing.
    EXPECT_THAT(warnings_about({rule("masquerade", "in = \"lan\""), rule("drop")}), IsEmpty());
    EXPECT_THAT(warnings_about({rule("forward", "from = \"0.0.0.0/0\"\nto = \"0.0.0.0/0\""),
                                rule("drop", "in = \"wan\"")}),
                ElementsAre(HasSubstr("the rule matches every packet: the rule behind it is")));
}

constexpr const char* bound = "inside = \"10.1.0.9\"\noutside = \"192.0.2.9\"";
constexpr const char* bound_port =
    "protocol = \"tcp\"\ninside = \"10.1.0.9:8080\"\noutside = \"192.0.2.9:80\"";

TEST(Shadowing, AStaticRuleIsReachedFromTwoSides) {
    EXPECT_THAT(warnings_about({rule("drop", "in = \"lan\""), rule("drop", "in = \"wan\""),
                                rule("static", bound)}),
                ElementsAre(HasSubstr("[rule \"r3\"] action: the rule is never reached")));
    EXPECT_THAT(
        warnings_about({rule("masquerade", "in = \"lan\""),
                        rule("forward", "in = \"wan\"\nfrom = \"10.1.0.0/24\""),
                        rule("static", bound)}),
        ElementsAre(HasSubstr("from: 10.1.0.0/24 is in the subnet"),
                    HasSubstr("[rule \"r3\"] inside: rules \"r1\" (line 14) and \"r2\" (line 19) "
                              "before it match all that `inside` sends: the mapping has no "
                              "effect in this direction; move the rule up")));
    EXPECT_THAT(warnings_about({rule("dnat", "to = \"192.0.2.9\"\ntarget = \"10.1.0.3\""),
                                rule("static", bound)}),
                ElementsAre(HasSubstr("outside: rule \"r1\" (line 14) before it matches all that "
                                      "is sent to `outside`")));
    // Meant so: connections from outside are not let in.
    EXPECT_THAT(warnings_about({rule("drop", "to = \"192.0.2.9\""), rule("static", bound)}),
                IsEmpty());
    // An exception for one port of a bound host, the right way round and the wrong one.
    EXPECT_THAT(warnings_about({rule("static", bound_port),
                                rule("static", "inside = \"10.1.0.9\"\noutside = \"192.0.2.10\"")}),
                IsEmpty());
    EXPECT_THAT(warnings_about({rule("static", "inside = \"10.1.0.9\"\noutside = \"192.0.2.10\""),
                                rule("static", bound_port)}),
                ElementsAre(HasSubstr(
                    "inside: rule \"r1\" (line 14) before it matches all that `inside`")));
    // Only TCP of it.
    EXPECT_THAT(warnings_about({rule("drop", "protocol = \"udp\""), rule("static", bound_port)}),
                IsEmpty());
    EXPECT_THAT(warnings_about({rule("drop", "protocol = \"tcp\""), rule("static", bound_port)}),
                ElementsAre(HasSubstr("[rule \"r2\"] action: the rule is never reached")));
}

TEST(Shadowing, UntrackedRulesDecideLikeOthers) {
    EXPECT_THAT(
        warnings_about({rule("forward", "track = false"), rule("masquerade", "in = \"lan\"")}),
        ElementsAre(HasSubstr("the rule matches every packet")));
}

// The question is hard in general; a long list is given up, without a word that might be wrong.
TEST(Shadowing, ManyRulesTakeBoundedTime) {
    std::vector<std::string> bodies;
    for (int i = 0; i < 2000; ++i)
        bodies.push_back(rule("forward", fmt::format("in = \"lan\"\nfrom = \"10.{}.{}.0/24\"\nto = "
                                                     "\"172.{}.{}.0/24\"\nto_port = {}",
                                                     i % 200, i % 7, i % 11 + 16, i % 251, i + 1)));
    EXPECT_THAT(warnings_about(bodies), IsEmpty());
}

/// Thousands of rules that each have packets of their own, and one that has none.
TEST(Shadowing, ALongListIsLookedAtToItsEnd) {
    constexpr int count = 8000;
    std::vector<std::string> bodies;
    for (int i = 0; i < count; ++i)
        bodies.push_back(rule("drop", fmt::format("in = \"wan\"\nto = \"172.16.{}.{}\"\nto_port = "
                                                  "\"{}-{}\"",
                                                  i % 32, i / 32, i + 1, i + 100)));
    bodies.push_back(rule("forward", "in = \"wan\"\nto = \"172.16.0.0\"\nto_port = \"7-90\""));
    EXPECT_THAT(warnings_about(bodies),
                ElementsAre(HasSubstr("[rule \"r8001\"] action: the rule is never reached: rule "
                                      "\"r1\"")));
}

/// Against the datapath's own match, on random rules and packets: what is said to be never reached
/// is not, and what packets reach is not said to be.
TEST(Shadowing, AgreesWithTheDatapath) {
    std::mt19937 random(7);
    const auto below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
    int warned = 0;
    for (int round = 0; round < 300; ++round) {
        std::vector<std::string> bodies;
        const unsigned count = 2 + below(4);
        for (unsigned i = 0; i < count; ++i) {
            std::string keys;
            if (below(2) == 0) keys += fmt::format("in = \"{}\"\n", below(2) == 0 ? "lan" : "wan");
            if (below(2) == 0)
                keys += fmt::format("protocol = \"{}\"\n", below(2) == 0 ? "tcp" : "icmp");
            for (const char* key : {"from", "to"}) {
                if (below(2) == 0) continue;
                const unsigned length = below(3);
                keys += fmt::format("{} = [\"{}.0.0.0/{}\", \"64.0.0.0/2\"]\n", key,
                                    length == 0 ? 0 : below(1U << length) << (8 - length), length);
            }
            if (keys.find("icmp") == std::string::npos && below(3) == 0)
                keys += fmt::format("to_port = \"1-{}\"\n", below(2) == 0 ? 65535 : 30000);
            bodies.push_back(rule(below(2) == 0 ? "drop" : "forward", keys));
        }
        std::string text(ports);
        for (std::size_t i = 0; i < bodies.size(); ++i)
            text += fmt::format("[[rule]]\nname = \"r{}\"\n{}\n", i + 1, bodies[i]);
        const Config config = parse_config(text, "f");
        std::vector<bool> unreached(count, false);
        for (const Finding& finding : config.warnings) {
            const auto number = static_cast<std::size_t>(finding.section[8] - '1');
            if (finding.text.find("is never reached") != std::string::npos &&
                finding.text.find("every packet") == std::string::npos)
                unreached[number] = true;
            if (finding.text.find("every packet") != std::string::npos)
                for (std::size_t behind = number + 1; behind < count; ++behind)
                    unreached[behind] = true;
        }
        std::vector<bool> reached(count, false);
        for (int packet = 0; packet < 4000; ++packet) {
            Tuple<V4> tuple{};
            constexpr std::array<std::uint8_t, 4> protocols{1, 6, 17, 47};
            tuple.protocol = protocols[below(4)];
            tuple.source = V4Address::from_host(below(4) << 30U | below(1U << 24U));
            tuple.destination = V4Address::from_host(below(4) << 30U | below(1U << 24U));
            tuple.destination_port = Be16::from_host(below(2) == 0 ? 20000 : 40000);
            const auto* first = nat::first_match<V4>(config.policy.rules, tuple,
                                                     static_cast<std::uint16_t>(below(2)));
            if (first != nullptr)
                reached[static_cast<std::size_t>(first - config.policy.rules.data())] = true;
        }
        for (unsigned i = 0; i < count; ++i) {
            EXPECT_NE(static_cast<bool>(reached[i]), static_cast<bool>(unreached[i]))
                << text << "\nrule " << i + 1;
            warned += unreached[i] ? 1 : 0;
        }
    }
    EXPECT_GT(warned, 50);
}

}  // namespace
}  // namespace noclash::dpdk::config_shadowing_test
