// SPDX-License-Identifier: Apache-2.0

// The keys above the tables, timeouts and limits: what is read, and the defaults.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dpdk/config/config.hpp"
#include "tests/unit/dpdk/config_text.hpp"

namespace noclash::dpdk::config_general_test {
namespace {

using testing::ElementsAre;

TEST(Config, LeavesDefaultsWhereNothingIsSaid) {
    const Config config = parse_config(small, "f");
    EXPECT_EQ(config.name, "");
    EXPECT_FALSE(config.state.keep);
    EXPECT_EQ(config.state.file, "");
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

TEST(Config, AnInstanceWithANameKeepsItsFlows) {
    const auto state = [](const std::string& text) {
        const Config config = parse_config(text + std::string(small), "f");
        EXPECT_EQ(config.name, "edge-1.a_b");
        return config.state;
    };
    const std::string name = "name = \"edge-1.a_b\"\n";
    EXPECT_TRUE(state(name).keep);
    EXPECT_FALSE(state(name + "[state]\nkeep = false\n").keep);
    const StateConfig elsewhere = state(name + "[state]\nfile = \"/dev/shm/edge\"\n");
    EXPECT_TRUE(elsewhere.keep);
    EXPECT_EQ(elsewhere.file, "/dev/shm/edge");
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

}  // namespace
}  // namespace noclash::dpdk::config_general_test
