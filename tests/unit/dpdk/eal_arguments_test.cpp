// SPDX-License-Identifier: Apache-2.0
#include "dpdk/device/eal_arguments.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace noclash::dpdk::eal_arguments_test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsSupersetOf;
using testing::Not;

Config config_of(std::vector<std::string> devices, std::uint16_t workers) {
    Config config;
    config.workers = workers;
    for (std::string& device : devices) {
        PortConfig port;
        port.device = std::move(device);
        config.ports.push_back(std::move(port));
    }
    return config;
}

/// The word behind `option` on the command line.
std::string value_of(const std::vector<std::string>& arguments, const std::string& option) {
    const auto found = std::find(arguments.begin(), arguments.end(), option);
    return found == arguments.end() || found + 1 == arguments.end() ? "" : *(found + 1);
}

TEST(EalArguments, SeveralLcoresShareACpuWhereThereAreFew) {
    const Config config = config_of({"tap:a"}, 3);
    const auto arguments = eal_arguments(config, plan_memory(config), PageSize::normal, {4, 6});
    EXPECT_EQ(value_of(arguments, "--lcores"), "0@(4,6),1@4,2@6,3@4");
    EXPECT_EQ(value_of(arguments, "--main-lcore"), "0");
}

TEST(EalArguments, WorkersGoWhereTheConfigurationPutsThem) {
    Config config = config_of({"tap:a"}, 2);
    config.cores = {3, 1};
    EXPECT_THAT(cpus_of_workers(config, {0, 1, 2, 3}), ElementsAre(3, 1));
    EXPECT_THROW((void)cpus_of_workers(config, {0, 1}), std::runtime_error);
}

TEST(EalArguments, LeaveNothingBehind) {
    const Config config = config_of({"tap:a"}, 1);
    const MemoryPlan plan = plan_memory(config);
    const auto huge = eal_arguments(config, plan, PageSize::huge, {0});
    EXPECT_THAT(huge, IsSupersetOf({"--in-memory", "--single-file-segments", "--no-telemetry"}));
    EXPECT_THAT(huge, Not(Contains("--no-huge")));
    const auto normal = eal_arguments(config, plan, PageSize::normal, {0});
    // DPDK refuses --in-memory beside --no-huge.
    EXPECT_THAT(normal, IsSupersetOf({"--no-huge", "--no-shconf", "--no-telemetry"}));
    EXPECT_THAT(normal, Not(Contains("--in-memory")));
    EXPECT_EQ(value_of(normal, "-m"), std::to_string(plan.megabytes));
}

TEST(EalArguments, OnlyThePciDevicesThatAreNamed) {
    const Config with = config_of({"pci:03:00.0", "tap:a", "pci:03:00.1"}, 1);
    const auto arguments = eal_arguments(with, plan_memory(with), PageSize::huge, {0});
    EXPECT_EQ(std::count(arguments.begin(), arguments.end(), "--allow"), 2);
    EXPECT_THAT(arguments, IsSupersetOf({"0000:03:00.0", "0000:03:00.1"}));
    EXPECT_THAT(arguments, Not(Contains("--no-pci")));
    const Config without = config_of({"tap:a"}, 1);
    EXPECT_THAT(eal_arguments(without, plan_memory(without), PageSize::huge, {0}),
                Contains("--no-pci"));
}

TEST(MemoryPlan, HoldsWhatTheQueuesCanHold) {
    Config config = config_of({"tap:a", "tap:b"}, 4);
    config.ports[0].descriptors = 4096;
    const MemoryPlan plan = plan_memory(config);
    EXPECT_GE(plan.packet_buffers, 4U * 2U * (4096U + 1024U) + 4U * config.neighbors.queue_packets);
    EXPECT_GE(std::uint64_t{plan.megabytes} << 20,
              std::uint64_t{plan.packet_buffers} * (plan.buffer_room + 192U));
    EXPECT_FALSE(plan.device_dma);
}

TEST(MemoryPlan, PacketsThatWaitLeaveMostBuffersToOthers) {
    Config config = config_of({"tap:a"}, 2);
    EXPECT_EQ(hold_packets(config), config.neighbors.queue_packets);
    config.memory.packet_buffers = 8000;
    EXPECT_EQ(hold_packets(config), 1000U);
    config.neighbors.queue_packets = 17;
    EXPECT_EQ(hold_packets(config), 17U);
}

TEST(MemoryPlan, BuffersHoldTheLargestMtu) {
    Config config = config_of({"tap:a", "tap:b"}, 1);
    EXPECT_EQ(plan_memory(config).buffer_room, 128 + 2048);
    config.ports[1].mtu = 9000;
    EXPECT_GE(plan_memory(config).buffer_room, 128 + 9000 + 14 + 8);
}

TEST(MemoryPlan, AfXdpNeedsBuffersForItsOwnRings) {
    EXPECT_GE(plan_memory(config_of({"af_xdp:a"}, 1)).packet_buffers,
              plan_memory(config_of({"tap:a"}, 1)).packet_buffers + 4096U);
}

TEST(MemoryPlan, FragmentsThatWaitTakeNoBuffersFromOthers) {
    Config config = config_of({"tap:a"}, 2);
    const MemoryPlan with = plan_memory(config);
    const std::uint32_t capacity = std::exchange(config.fragments.capacity, 0U);
    const MemoryPlan without = plan_memory(config);
    EXPECT_EQ(with.packet_buffers, without.packet_buffers + 2 * capacity);
    // And what they make is kept, too, until it is sent.
    EXPECT_GE(std::uint64_t{with.megabytes - without.megabytes} << 20,
              std::uint64_t{2} * (capacity * std::uint64_t{with.buffer_room} +
                                  std::size_t{datagrams_at_once} * longest_datagram));
}

TEST(MemoryPlan, ObeysTheConfiguration) {
    Config config = config_of({"pci:03:00.0"}, 1);
    config.memory.packet_buffers = 5000;
    config.memory.dpdk_megabytes = 77;
    const MemoryPlan plan = plan_memory(config);
    EXPECT_EQ(plan.packet_buffers, 5000U);
    EXPECT_EQ(plan.megabytes, 77U);
    EXPECT_TRUE(plan.device_dma);
}

}  // namespace
}  // namespace noclash::dpdk::eal_arguments_test
