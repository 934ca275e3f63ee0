// SPDX-License-Identifier: Apache-2.0

// Pools and rules.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dpdk/config/config.hpp"
#include "tests/unit/dpdk/config_text.hpp"

namespace noclash::dpdk::config_rules_test {
namespace {

using testing::ElementsAre;

// [RFC 6888 REQ-3]
TEST(Config, ExpandsPools) {
    const Config config = parse_config(std::string(small) + R"(
[[pool]]
name = "p"
addresses = ["203.0.113.7", "203.0.113.10-203.0.113.12", "198.51.100.0/30"]
ports = "2000-2999"
)",
                                       "f");
    ASSERT_EQ(config.policy.pools.size(), 1U);
    const auto& pool = config.policy.pools[0];
    EXPECT_THAT(pool.addresses,
                ElementsAre(v4("203.0.113.7"), v4("203.0.113.10"), v4("203.0.113.11"),
                            v4("203.0.113.12"), v4("198.51.100.0"), v4("198.51.100.1"),
                            v4("198.51.100.2"), v4("198.51.100.3")));
    EXPECT_EQ(pool.ports, (nat::PortRange{2000, 2999}));
    EXPECT_EQ(pool.pooling, nat::Pooling::paired) << "the default of RFC 6888";
    EXPECT_EQ(pool.likeness, nat::PortLikeness{}) << "unpredictable unless asked otherwise";
}

TEST(Config, ReadsHowAddressesAndPortsAreChosen) {
    const Config config = parse_config(std::string(small) + R"(
[[pool]]
name = "p"
addresses = "192.0.2.2"
pooling = "arbitrary"
port_preservation = true
[[pool]]
name = "o"
addresses = "192.0.2.3"
pooling = "paired"
port_parity = true
[[rule]]
name = "r"
action = "masquerade"
port_preservation = true
port_parity = true
)",
                                       "f");
    const auto& pools = config.policy.pools;
    EXPECT_EQ(pools[0].pooling, nat::Pooling::arbitrary);
    EXPECT_EQ(pools[0].likeness, (nat::PortLikeness{.preservation = true}));
    EXPECT_EQ(pools[1].pooling, nat::Pooling::paired);
    EXPECT_EQ(pools[1].likeness, (nat::PortLikeness{.parity = true}));
    EXPECT_EQ(config.policy.rules[0].likeness,
              (nat::PortLikeness{.preservation = true, .parity = true}));
}

TEST(Config, ReadsRules) {
    const Config config = parse_config(std::string(small) + R"(
[[pool]]
name = "o"
addresses = "192.0.2.1"
[[pool]]
name = "p"
addresses = "192.0.2.2"
[[rule]]
name = "r0"
action = "snat"
pool = "p"
in = "lan"
protocol = "udp"
from = "10.0.0.0/8"
to = ["192.0.2.0/24", "198.51.100.9"]
to_port = "8000-8100"
[[rule]]
name = "r1"
action = "masquerade"
ports = "5000-6000"
mss_clamp = 1400
[[rule]]
name = "r2"
action = "dnat"
protocol = "tcp"
to_port = 80
target = "10.1.0.9:8080"
source = "pool:o"
[[rule]]
name = "r3"
action = "dnat"
target = ["10.1.0.9", "10.1.0.10"]
[[rule]]
name = "r4"
action = "forward"
mss_clamp = true
[[rule]]
name = "r5"
action = "drop"
[[rule]]
name = "r6"
action = "dnat"
target = "10.1.0.9"
source = "masquerade"
ports = "7000"
)",
                                       "f");
    const auto& rules = config.policy.rules;
    ASSERT_EQ(rules.size(), 7U);
    EXPECT_EQ(rules[0].mss_clamp, std::nullopt);
    EXPECT_EQ(rules[1].mss_clamp, 1400);
    EXPECT_EQ(rules[4].mss_clamp, nat::any_mss);
    EXPECT_EQ(rules[0].action, nat::Action::snat);
    EXPECT_EQ(rules[0].source_nat, nat::SourceNat::pool);
    EXPECT_EQ(rules[0].pool, 1);
    EXPECT_EQ(rules[0].ingress_port, 0);
    EXPECT_EQ(rules[0].protocol, 17);
    EXPECT_THAT(rules[0].from, ElementsAre(Prefix<V4>{v4("10.0.0.0"), 8}));
    EXPECT_THAT(rules[0].to,
                ElementsAre(Prefix<V4>{v4("192.0.2.0"), 24}, Prefix<V4>{v4("198.51.100.9"), 32}));
    EXPECT_EQ(rules[0].to_port, (nat::PortRange{8000, 8100}));
    EXPECT_EQ(rules[1].source_nat, nat::SourceNat::masquerade);
    EXPECT_EQ(rules[1].ports, (nat::PortRange{5000, 6000}));
    EXPECT_EQ(rules[2].source_nat, nat::SourceNat::pool);
    EXPECT_EQ(rules[2].pool, 0);
    EXPECT_EQ(rules[2].to_port, (nat::PortRange{80, 80}));
    EXPECT_THAT(rules[2].targets, ElementsAre(nat::Target<V4>{v4("10.1.0.9"), 8080}));
    EXPECT_EQ(rules[3].source_nat, nat::SourceNat::keep);
    EXPECT_THAT(rules[3].targets, ElementsAre(nat::Target<V4>{v4("10.1.0.9"), std::nullopt},
                                              nat::Target<V4>{v4("10.1.0.10"), std::nullopt}));
    EXPECT_EQ(rules[4].action, nat::Action::forward);
    EXPECT_EQ(rules[5].action, nat::Action::drop);
    EXPECT_EQ(rules[6].source_nat, nat::SourceNat::masquerade);
    EXPECT_EQ(rules[6].ports, (nat::PortRange{7000, 7000}));
}

// [RFC 5508 REQ-8]
TEST(Config, ARuleMayReject) {
    const Config config =
        parse_config(std::string(small) + "[[rule]]\nname = \"no\"\naction = \"reject\"\n", "f");
    EXPECT_EQ(config.policy.rules.at(0).action, nat::Action::reject);
}

TEST(Config, FlowsMayEndWithTheirRule) {
    const Config config = parse_config(std::string(small) + R"(
[[rule]]
name = "stays"
action = "forward"
protocol = "tcp"
[[rule]]
name = "ends"
action = "masquerade"
on_change = "end"
)",
                                       "f");
    EXPECT_EQ(config.policy.rules.at(0).on_change, nat::OnChange::keep);
    EXPECT_EQ(config.policy.rules.at(1).on_change, nat::OnChange::end);
}

TEST(Config, ARuleMayForwardUntracked) {
    const Config config = parse_config(std::string(small) + R"(
[[rule]]
name = "r0"
action = "forward"
in = "lan"
to = "192.0.2.0/24"
track = false
[[rule]]
name = "r1"
action = "forward"
track = true
mss_clamp = true
[[rule]]
name = "r2"
action = "masquerade"
track = true
)",
                                       "f");
    const auto& rules = config.policy.rules;
    EXPECT_EQ(rules.at(0).tracking, nat::Tracking::none);
    EXPECT_EQ(rules.at(0).action, nat::Action::forward);
    EXPECT_EQ(rules.at(1).tracking, nat::Tracking::flow);
    EXPECT_EQ(rules.at(2).tracking, nat::Tracking::flow);
}

TEST(Config, ReadsHowSourceNatBehaves) {
    const Config config = parse_config(std::string(small) + R"(
[[pool]]
name = "p"
addresses = "192.0.2.2"
mapping = "endpoint-independent"
filtering = "address-dependent"
[[rule]]
name = "r0"
action = "snat"
pool = "p"
[[rule]]
name = "r1"
action = "masquerade"
ports = "5000-5999"
mapping = "endpoint-independent"
filtering = "endpoint-independent"
[[rule]]
name = "r2"
action = "masquerade"
protocol = "udp"
ports = "6000-6999"
[[rule]]
name = "r3"
action = "dnat"
target = "10.1.0.2"
protocol = "icmp"
source = "masquerade"
ports = "6000-6999"
mapping = "endpoint-independent"
[timeouts]
inbound_refresh = false
)",
                                       "f");
    using nat::Filtering, nat::Mapping, nat::NatBehavior;
    const auto& rules = config.policy.rules;
    EXPECT_EQ(rules[0].behavior,
              (NatBehavior{Mapping::endpoint_independent, Filtering::address_dependent}));
    EXPECT_EQ(rules[1].behavior,
              (NatBehavior{Mapping::endpoint_independent, Filtering::endpoint_independent}));
    EXPECT_EQ(rules[2].behavior, NatBehavior{});  // the default is EDM with APDF
    EXPECT_EQ(rules[3].behavior.mapping, Mapping::endpoint_independent);
    EXPECT_FALSE(config.timeouts.inbound_refresh);
}

TEST(Config, ReadsStaticMappings) {
    const Config config = parse_config(std::string(small) + R"(
[[pool]]
name = "p"
addresses = "203.0.113.0/30"
[[rule]]
name = "a"
action = "static"
inside = "10.1.0.9"
outside = "203.0.113.9"
mss_clamp = true
[[rule]]
name = "tcp"
action = "static"
protocol = "tcp"
inside = "10.1.0.10:8080"
outside = "203.0.113.1:80"
[[rule]]
name = "udp"
action = "static"
protocol = "udp"
inside = "10.1.0.10:8080"
outside = "203.0.113.1:80"
[[rule]]
name = "exception"
action = "static"
protocol = "udp"
inside = "10.1.0.9:53"
outside = "203.0.113.1:53"
)",
                                       "f");
    using Mapping = nat::StaticMapping<V4>;
    const auto& rules = config.policy.rules;
    EXPECT_EQ(rules[0].action, nat::Action::bind);
    EXPECT_EQ(rules[0].mapping, (Mapping{{v4("10.1.0.9"), {}}, {v4("203.0.113.9"), {}}}));
    EXPECT_EQ(rules[0].mss_clamp, nat::any_mss);
    EXPECT_EQ(rules[1].protocol, 6);
    EXPECT_EQ(rules[1].mapping, (Mapping{{v4("10.1.0.10"), 8080}, {v4("203.0.113.1"), 80}}));
    EXPECT_EQ(rules[2].mapping, rules[1].mapping);
    EXPECT_EQ(rules[3].mapping, (Mapping{{v4("10.1.0.9"), 53}, {v4("203.0.113.1"), 53}}));
}

}  // namespace
}  // namespace noclash::dpdk::config_rules_test
