// SPDX-License-Identifier: Apache-2.0
#include "dpdk/config/config_changes.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "dpdk/config/moves.hpp"

namespace noclash::dpdk::config_changes_test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Kind = ConfigChange::Kind;
using Changes = std::vector<ConfigChange>;

constexpr const char* ports = R"(
[[port]]
name = "in"
device = "tap:in0"
address = "10.1.0.1/16"
[[port]]
name = "out"
device = "tap:out0"
address = "203.0.113.1/24"
)";

constexpr const char* pool = R"(
[[pool]]
name = "nat"
addresses = ["203.0.113.7", "203.0.113.10-203.0.113.12"]
)";

std::string rule(const std::string& name, const std::string& keys = "action = \"forward\"") {
    return fmt::format("[[rule]]\nname = {:?}\n{}\n", name, keys);
}

Changes changes_of(const std::string& before, const std::string& after) {
    return config_changes(parse_config(ports + before, "before"),
                          parse_config(ports + after, "after"));
}

TEST(ConfigChanges, NoneWhereOnlyTheWritingDiffers) {
    const std::string text = pool + rule("web");
    EXPECT_THAT(changes_of(text, text), IsEmpty());
    EXPECT_THAT(changes_of(text, "# nothing\n" + text + "# new\n[timeouts]\nudp_s = 300\n"),
                IsEmpty());
}

TEST(ConfigChanges, NoneForNumbersThatThePolicyGives) {
    const Config config = parse_config(ports + rule("web") + pool, "f");
    Config numbered = config;
    numbered.policy.rules[0].id = 7;
    numbered.policy.pools[0].id = 9;
    EXPECT_THAT(config_changes(config, numbered), IsEmpty());
}

TEST(ConfigChanges, RulesAreAddedAndRemoved) {
    EXPECT_THAT(
        changes_of(rule("old", "action = \"drop\"\nin = \"out\"") + rule("kept"),
                   rule("kept") + rule("new",
                                       "action = \"dnat\"\nprotocol = \"tcp\"\nto_port = 80\n"
                                       "target = \"10.1.0.2:8080\"")),
        ElementsAre(
            ConfigChange{Kind::removed, "rule", "old", "any in out: drop", false},
            ConfigChange{Kind::added, "rule", "new", "tcp port 80: dnat to 10.1.0.2:8080", false}));
}

TEST(ConfigChanges, ARuleThatDoesSomethingElseIsChanged) {
    const auto words = [](const std::string& before, const std::string& after) {
        const Changes changes = changes_of(pool + rule("a", before), pool + rule("a", after));
        if (changes.size() != 1) return fmt::format("{} changes", changes.size());
        EXPECT_EQ(changes[0].kind, Kind::changed);
        EXPECT_EQ(changes[0].section, "rule");
        EXPECT_EQ(changes[0].name, "a");
        EXPECT_FALSE(changes[0].needs_restart);
        return changes[0].words;
    };
    EXPECT_EQ(words("action = \"masquerade\"", "action = \"drop\""), "action: masquerade -> drop");
    EXPECT_EQ(words("action = \"masquerade\"", "action = \"snat\"\npool = \"nat\""),
              "action: masquerade -> snat; pool: none -> nat");
    EXPECT_EQ(words("action = \"drop\"", "action = \"drop\"\nfrom = \"10.0.0.0/8\"\nin = \"in\""),
              "in: any -> in; from: any -> 10.0.0.0/8");
    const std::string dnat = "action = \"dnat\"\ntarget = ";
    EXPECT_EQ(words(dnat + R"(["10.1.0.2", "10.1.0.3"])", dnat + R"(["10.1.0.3", "10.1.0.4"])"),
              "target: added 10.1.0.4, removed 10.1.0.2");
    EXPECT_EQ(words(dnat + R"(["10.1.0.2", "10.1.0.3"])", dnat + R"("10.1.0.3")"),
              "target: removed 10.1.0.2");
    EXPECT_EQ(words(dnat + R"(["10.1.0.2", "10.1.0.3"])", dnat + R"(["10.1.0.3", "10.1.0.2"])"),
              "target: in another order, or number");
    EXPECT_EQ(words("action = \"static\"\ninside = \"10.1.0.9\"\noutside = \"203.0.113.9\"",
                    "action = \"static\"\ninside = \"10.1.0.8\"\noutside = \"203.0.113.9\""),
              "inside: 10.1.0.9 -> 10.1.0.8");
}

TEST(ConfigChanges, LongListsAreCutShort) {
    std::string many;
    for (int i = 2; i < 22; ++i)
        many += fmt::format("\"10.1.0.{}\", ", i);
    const Changes changes =
        changes_of(rule("a", "action = \"dnat\"\ntarget = [\"10.1.0.2\", \"10.1.0.3\"]"),
                   rule("a", fmt::format("action = \"dnat\"\ntarget = [{}]", many)));
    ASSERT_EQ(changes.size(), 1U);
    EXPECT_EQ(changes[0].words,
              "target: added 10.1.0.4, 10.1.0.5, 10.1.0.6, 10.1.0.7, 10.1.0.8, 10.1.0.9, "
              "10.1.0.10, 10.1.0.11 and 10 more");
}

TEST(ConfigChanges, AMoveIsOneChange) {
    const std::string a = rule("a"), b = rule("b"), c = rule("c"), d = rule("d");
    EXPECT_THAT(changes_of(a + b + c + d, d + a + b + c),
                ElementsAre(ConfigChange{Kind::moved, "rule", "d", "behind c -> first", false}));
    EXPECT_THAT(changes_of(a + b + c + d, b + c + a + d),
                ElementsAre(ConfigChange{Kind::moved, "rule", "a", "first -> behind c", false}));
    // Nobody moves for those that come and go.
    EXPECT_THAT(changes_of(a + b + c, d + b + c),
                ElementsAre(testing::Field(&ConfigChange::kind, Kind::removed),
                            testing::Field(&ConfigChange::kind, Kind::added)));
}

TEST(ConfigChanges, ARuleMayMoveAndChange) {
    EXPECT_THAT(
        changes_of(rule("a") + rule("b") + rule("c"),
                   rule("b") + rule("c") + rule("a", "action = \"drop\"")),
        ElementsAre(ConfigChange{Kind::moved, "rule", "a", "first -> behind c", false},
                    ConfigChange{Kind::changed, "rule", "a", "action: forward -> drop", false}));
}

TEST(ConfigChanges, AMoveAmongTenThousandRulesIsOneChange) {
    Config before = parse_config(ports, "f");
    for (int i = 0; i < 10'000; ++i) {
        nat::Rule<V4> rule;
        rule.name = fmt::format("rule-{}", i);
        before.policy.rules.push_back(std::move(rule));
    }
    Config after = before;
    auto& rules = after.policy.rules;
    std::rotate(rules.begin() + 17, rules.begin() + 18, rules.begin() + 9000);
    EXPECT_THAT(config_changes(before, after),
                ElementsAre(ConfigChange{Kind::moved, "rule", "rule-17",
                                         "behind rule-16 -> behind rule-8999", false}));
    std::ranges::shuffle(rules, std::mt19937(1));  // the longest rising sequence is some 200 long
    EXPECT_GT(config_changes(before, after).size(), 9'000U);
}

TEST(ConfigChanges, PoolsRoutesAndNeighborsAreTheSameByNamePrefixAndAddress) {
    const std::string route = "[[route]]\nto = \"0.0.0.0/0\"\nvia = ";
    const std::string neighbor = "[[neighbor]]\naddress = \"10.1.0.7\"\nmac = ";
    EXPECT_THAT(
        changes_of(
            pool + route + "\"203.0.113.2\"\n" + neighbor + "\"02:00:00:00:00:01\"\n",
            "[[pool]]\nname = \"nat\"\naddresses = [\"203.0.113.7\"]\nports = \"2000-3000\"\n" +
                route + "\"10.1.0.2\"\n" + neighbor + "\"02:00:00:00:00:02\"\n"),
        ElementsAre(ConfigChange{Kind::changed, "route", "0.0.0.0/0",
                                 "via: 203.0.113.2 -> 10.1.0.2; port: out -> in", false},
                    ConfigChange{Kind::changed, "neighbor", "10.1.0.7",
                                 "mac: 02:00:00:00:00:01 -> 02:00:00:00:00:02", false},
                    ConfigChange{Kind::changed, "pool", "nat",
                                 "addresses: removed 203.0.113.10-203.0.113.12; "
                                 "ports: 1024-65535 -> 2000-3000",
                                 false}));
    EXPECT_THAT(
        changes_of(pool, route + "\"203.0.113.2\"\n"),
        ElementsAre(
            ConfigChange{Kind::added, "route", "0.0.0.0/0", "via 203.0.113.2, port out", false},
            ConfigChange{Kind::removed, "pool", "nat",
                         "203.0.113.7, 203.0.113.10-203.0.113.12, ports 1024-65535", false}));
}

TEST(ConfigChanges, PortsComeAndGoWithARestart) {
    const Config both = parse_config(ports, "f");
    Config one = both;
    one.ports.pop_back();
    Config turned = both;
    std::swap(turned.ports[0], turned.ports[1]);
    const ConfigChange added{
        Kind::added, "port", "out",
        "device tap:out0, address 203.0.113.1/24, mtu 1500, descriptors 1024, reverse_path off",
        true};
    EXPECT_THAT(config_changes(one, both), ElementsAre(added));
    EXPECT_THAT(config_changes(both, one),
                ElementsAre(ConfigChange{Kind::removed, "port", "out", added.words, true}));
    const Changes moved = config_changes(both, turned);
    ASSERT_EQ(moved.size(), 1U);
    EXPECT_EQ(moved[0].kind, Kind::moved);
    EXPECT_TRUE(moved[0].needs_restart);
}

TEST(ConfigChanges, OfAPortThoseThatNeedARestartAreToldByThemselves) {
    const Config before = parse_config(ports, "f");
    Config after = before;
    after.ports[0].mtu = 9000;
    after.ports[0].prefix_length = 24;
    EXPECT_THAT(config_changes(before, after),
                ElementsAre(ConfigChange{Kind::changed, "port", "in", "mtu: 1500 -> 9000", true},
                            ConfigChange{Kind::changed, "port", "in",
                                         "address: 10.1.0.1/16 -> 10.1.0.1/24", false}));
}

TEST(ConfigChanges, PortLimitsAreOneKeyWhereTheyAreAlike) {
    const std::string limit = "[limits]\nports_per_subscriber = ";
    EXPECT_THAT(changes_of(limit + "500\n", limit + "600\n"),
                ElementsAre(ConfigChange{Kind::changed, "limits", "ports_per_subscriber",
                                         "500 -> 600", false}));
    EXPECT_THAT(changes_of(limit + "500\n", limit + "600\nicmp_ids_per_subscriber = 700\n"),
                ElementsAre(testing::Field(&ConfigChange::name, "tcp_ports_per_subscriber"),
                            testing::Field(&ConfigChange::name, "udp_ports_per_subscriber"),
                            testing::Field(&ConfigChange::name, "icmp_ids_per_subscriber")));
}

TEST(ConfigChanges, TitlesAreAsInTheFile) {
    EXPECT_EQ(title_of({Kind::changed, "", "workers", "", true}), "workers");
    EXPECT_EQ(title_of({Kind::changed, "limits", "sources", "", true}), "[limits] sources");
    EXPECT_EQ(title_of({Kind::removed, "port", "in", "", true}), "port \"in\"");
}

TEST(ConfigChanges, WhatNeedsARestartIsNamedOnce) {
    const Config before = parse_config(ports, "f");
    Config after = before;
    after.workers = 2;
    after.log_level = "debug";
    std::swap(after.ports[0], after.ports[1]);
    for (PortConfig& port : after.ports) {
        port.mtu = 9000;
        port.reverse_path = ReversePath::strict;
    }
    EXPECT_THAT(restart_titles(config_changes(before, after)),
                ElementsAre("workers", "port \"out\"", "port \"in\""));
    EXPECT_THAT(restart_titles({}), IsEmpty());
}

TEST(Moves, AreTheFewest) {
    // Against all sets of elements that might stay.
    std::mt19937 random(2);
    for (int turn = 0; turn < 300; ++turn) {
        std::vector<std::size_t> places(1 + random() % 9);
        std::iota(places.begin(), places.end(), std::size_t{0});
        std::ranges::shuffle(places, random);
        std::size_t longest = 0;
        for (std::size_t set = 0; set < std::size_t{1} << places.size(); ++set) {
            std::vector<std::size_t> stay;
            for (std::size_t i = 0; i < places.size(); ++i)
                if ((set >> i & 1U) != 0) stay.push_back(places[i]);
            if (std::ranges::is_sorted(stay)) longest = std::max(longest, stay.size());
        }
        const std::vector<bool> moved = moved_elements(places);
        std::vector<std::size_t> stay;
        for (std::size_t i = 0; i < places.size(); ++i)
            if (!moved[i]) stay.push_back(places[i]);
        EXPECT_TRUE(std::ranges::is_sorted(stay));
        EXPECT_EQ(stay.size(), longest);
    }
    EXPECT_THAT(moved_elements({}), IsEmpty());
}

}  // namespace
}  // namespace noclash::dpdk::config_changes_test
