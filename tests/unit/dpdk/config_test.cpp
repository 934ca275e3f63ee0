// SPDX-License-Identifier: Apache-2.0
#include "dpdk/config/config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/unit/dpdk/faults_of.hpp"

namespace noclash::dpdk::config_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

V4Address v4(const char* text) {
    return *parse_address<V4>(text);
}

constexpr const char* small = R"(
[[port]]
name = "lan"
device = "tap:lan0"
address = "10.1.0.1/24"
)";

TEST(Config, LeavesDefaultsWhereNothingIsSaid) {
    const Config config = parse_config(small, "f");
    EXPECT_EQ(config.flows, 1U << 20);
    EXPECT_EQ(config.workers, 1);
    EXPECT_EQ(config.idle, Idle::poll);
    EXPECT_FALSE(config.reply_locality);
    EXPECT_EQ(config.control_socket, "/run/noclash/control.sock");
    EXPECT_EQ(config.log_level, "info");
    ASSERT_TRUE(config.policy.no_room_error.has_value());
    EXPECT_EQ(config.policy.no_room_error->code, 1);
    EXPECT_EQ(config.policy.tcp, (nat::TcpPolicy{nat::TcpWindow::liberal, false}));
    EXPECT_EQ(config.policy.tcp_timestamps, nat::TcpTimestamps::preserve);
    EXPECT_EQ(config.policy.tcp_reuse, nat::TcpReuse::safe);
    EXPECT_EQ(config.policy.tcp_unknown, nat::TcpUnknown::drop);
    EXPECT_EQ(config.memory.huge_pages, HugePages::automatic);
    EXPECT_EQ(config.timeouts, nat::Timeouts{});
    ASSERT_EQ(config.ports.size(), 1U);
    EXPECT_EQ(config.ports[0].mtu, 1500);
    EXPECT_EQ(config.ports[0].descriptors, 1024);
    EXPECT_TRUE(config.policy.rules.empty());
    EXPECT_FALSE(config.limits.of_sources());
    EXPECT_EQ(config.limits.half_open_per_service, 0U);
    EXPECT_FALSE(config.policy.early_drop);
    EXPECT_EQ(config.policy.half_open_percent, 75U);
}

// [RFC 6888 REQ-4] [RFC 6888 REQ-5]
TEST(Config, Limits) {
    const Config config = parse_config(std::string(R"(
[limits]
subscribers = ["10.1.0.0/16", "10.9.0.0/24"]
flows_per_subscriber = 1000
ports_per_subscriber = 500
icmp_ids_per_subscriber = 20
half_open_per_source = 30
half_open_per_service = 40
sources = 1024
early_drop = true
half_open_percent = 40
)") + small,
                                       "f");
    const nat::LimitsConfig<V4>& limits = config.limits;
    EXPECT_EQ(limits.most, (std::array<std::uint32_t, nat::quotas>{1000, 500, 500, 20, 30}));
    EXPECT_EQ(limits.half_open_per_service, 40U);
    EXPECT_EQ(limits.sources, 1024U);
    EXPECT_EQ(limits.subscribers.size(), 2U);
    EXPECT_TRUE(config.policy.early_drop);
    EXPECT_EQ(config.policy.half_open_percent, 40U);
}

// [RFC 5508 REQ-8]
TEST(Config, ARuleMayReject) {
    const Config config =
        parse_config(std::string(small) + "[[rule]]\nname = \"no\"\naction = \"reject\"\n", "f");
    EXPECT_EQ(config.policy.rules.at(0).action, nat::Action::reject);
}

TEST(Config, ReadsStaticNeighbors) {
    const Config config = parse_config(std::string(small) + R"(
[[neighbor]]
address = "10.1.0.77"
mac = "02:00:5E:10:0a:01"
)",
                                       "f");
    ASSERT_EQ(config.static_neighbors.size(), 1U);
    const StaticNeighbor& neighbor = config.static_neighbors[0];
    EXPECT_EQ(neighbor.address, V4Address::from_host(0x0a01004d));
    EXPECT_EQ(neighbor.mac, (nat::MacAddress{{2, 0, 0x5e, 0x10, 0x0a, 1}}));
    EXPECT_EQ(config.ports.at(neighbor.port).name, "lan");
}

TEST(Config, ReadsGeneralKeys) {
    const Config config = parse_config(std::string(R"(
flows = 4096
cores = [1, 0, 1]
idle = "nap"
reply_locality = true
control_socket = "/tmp/x.sock"
log_level = "debug"
no_room_icmp = "prohibited"
tcp_window = "strict"
tcp_pickup = true
tcp_timestamps = "normalize"
tcp_reuse = "never"
tcp_unknown = "reset"
memory = { huge_pages = "required", dpdk_megabytes = 64, packet_buffers = 9000 }
neighbors = { refresh_s = 3, queue_packets = 17, capacity = 99 }
fragments = { capacity = 64, per_source = 9, timeout_ms = 700 }
timeouts = { udp_s = 121, tcp_established_s = 7440 }
)") + small,
                                       "f");
    EXPECT_EQ(config.file, "f");
    EXPECT_EQ(config.policy.tcp_timestamps, nat::TcpTimestamps::normalize);
    EXPECT_EQ(config.policy.tcp_reuse, nat::TcpReuse::never);
    EXPECT_EQ(config.policy.tcp_unknown, nat::TcpUnknown::reset);
    EXPECT_EQ(config.flows, 4096U);
    EXPECT_EQ(config.workers, 3);
    EXPECT_THAT(config.cores, ElementsAre(1, 0, 1));
    EXPECT_EQ(config.idle, Idle::nap);
    EXPECT_TRUE(config.reply_locality);
    EXPECT_EQ(config.control_socket, "/tmp/x.sock");
    EXPECT_EQ(config.log_level, "debug");
    ASSERT_TRUE(config.policy.no_room_error.has_value());
    EXPECT_EQ(config.policy.no_room_error->code, 13);
    EXPECT_EQ(config.policy.tcp, (nat::TcpPolicy{nat::TcpWindow::strict, true}));
    EXPECT_EQ(config.memory.huge_pages, HugePages::required);
    EXPECT_EQ(config.memory.dpdk_megabytes, 64U);
    EXPECT_EQ(config.memory.packet_buffers, 9000U);
    EXPECT_EQ(config.neighbors.refresh_s, 3U);
    EXPECT_EQ(config.neighbors.queue_packets, 17U);
    EXPECT_EQ(config.neighbors.capacity, 99U);
    EXPECT_EQ(config.fragments.capacity, 64U);
    EXPECT_EQ(config.fragments.per_source, 9U);
    EXPECT_EQ(config.fragments.timeout_ms, 700U);
    EXPECT_EQ(config.timeouts.udp_s, 121U);
    EXPECT_EQ(config.timeouts.tcp_established_s, 7440U);
}

TEST(Config, ASourceGetsAQuarterOfFewFragments) {
    const auto per_source = [](const char* text) {
        return parse_config(text + std::string(small), "f").fragments.per_source;
    };
    EXPECT_EQ(per_source(""), 512U);
    EXPECT_EQ(per_source("fragments = { capacity = 512 }\n"), 128U);
    EXPECT_EQ(per_source("fragments = { capacity = 8192 }\n"), 512U);
    EXPECT_EQ(per_source("fragments = { capacity = 100 }\n"), 25U);
    EXPECT_EQ(per_source("fragments = { capacity = 0 }\n"), 2U);
}

TEST(Config, ReadsEveryTimeout) {
    const Config config = parse_config(std::string(R"(
[timeouts]
below_rfc_floor = true
tcp_syn_sent_s = 1
tcp_syn_recv_s = 2
tcp_established_s = 3
tcp_fin_wait_s = 4
tcp_close_wait_s = 5
tcp_last_ack_s = 6
tcp_time_wait_s = 7
tcp_close_s = 8
udp_s = 9
udp_stream_s = 10
icmp_s = 11
)") + small,
                                       "f");
    EXPECT_EQ(config.timeouts, (nat::Timeouts{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}));
}

TEST(Config, ReadsPortsAndRoutes) {
    const Config config = parse_config(R"(
[[port]]
name = "a"
device = "af_packet:eth0"
address = "10.1.0.1/24"
mtu = 9000
descriptors = 256
reverse_path = "strict"
[[port]]
name = "b"
device = "pci:03:00.1"
address = "10.2.0.1/31"
[[route]]
to = "0.0.0.0/0"
via = "10.2.0.0"
[[route]]
to = "10.9.0.0/16"
via = "10.1.0.254"
)",
                                       "f");
    ASSERT_EQ(config.ports.size(), 2U);
    EXPECT_EQ(config.ports[0].address, v4("10.1.0.1"));
    EXPECT_EQ(config.ports[0].mtu, 9000);
    EXPECT_EQ(config.ports[0].descriptors, 256);
    EXPECT_EQ(config.ports[0].reverse_path, ReversePath::strict);
    EXPECT_EQ(config.ports[1].reverse_path, ReversePath::off);
    EXPECT_EQ(config.ports[1].prefix_length, 31);
    ASSERT_EQ(config.routes.size(), 2U);
    EXPECT_EQ(config.routes[0].port, 1);
    EXPECT_EQ(config.routes[0].to.length, 0);
    EXPECT_EQ(config.routes[1].port, 0);
    EXPECT_EQ(config.routes[1].via, v4("10.1.0.254"));
}

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

TEST(Config, EveryExampleLoads) {
    std::size_t examples = 0;
    for (const auto& entry : std::filesystem::directory_iterator(NOCLASH_EXAMPLES)) {
        if (entry.path().extension() != ".toml") continue;
        EXPECT_NO_THROW(static_cast<void>(load_config(entry.path()))) << entry.path();
        ++examples;
    }
    EXPECT_GE(examples, 3U);
}

TEST(Config, NamesAFileThatCannotBeRead) {
    EXPECT_THAT(faults_of_reading([] { return load_config("/nowhere/gateway.toml"); }),
                ElementsAre(StartsWith("/nowhere/gateway.toml: cannot be read: No such file")));
    EXPECT_THAT(faults_of_reading([] { return load_config("/"); }),
                ElementsAre(HasSubstr("directory")));
}

TEST(Config, ReportsAllFaultsInTheOrderOfTheFile) {
    const std::string text =
        "workers = 0\nflow = 2\n[[port]]\nname = \"a\"\n[[rule]]\naction = \"x\"\n";
    EXPECT_THAT(faults_of(text),
                ElementsAre(StartsWith("f:1:11: workers: 0 is out of range"),
                            StartsWith("f:2:1: flow: unknown key; did you mean `flows`?"),
                            StartsWith("f:3:1: [port \"a\"] device: is missing"),
                            StartsWith("f:3:1: [port \"a\"] address: is missing"),
                            StartsWith("f:5:1: [rule #1] name: is missing"),
                            StartsWith("f:6:10: [rule #1] action: \"x\" is not known")));
}

}  // namespace
}  // namespace noclash::dpdk::config_test
