// SPDX-License-Identifier: Apache-2.0
#include "dpdk/device/memory_need.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "engine/flow_table.hpp"

namespace noclash::dpdk::memory_need_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Optional;
using testing::StartsWith;

constexpr std::uint64_t mebibyte = 1U << 20U;

Config small() {
    Config config;
    config.file = "f";
    config.flows = 65536;
    PortConfig port;
    port.device = "null:n";
    config.ports.push_back(port);
    return config;
}

MemoryThere there_are(std::uint64_t megabytes) {
    MemoryThere there;
    there.bytes = megabytes * mebibyte;
    there.bound = "MemAvailable";
    return there;
}

std::optional<std::string> shortage(const Config& config, const MemoryThere& there) {
    return memory_shortage(config, plan_memory(config), there);
}

TEST(MemoryNeed, OfFlowsIsWhatTheTableTakes) {
    for (const std::uint32_t flows : {1024U, 100'000U}) {
        const FlowTable<V4> table(flows, 2, 3);
        EXPECT_EQ(FlowTable<V4>::bytes_for(flows, 2), table.bytes());
    }
}

TEST(MemoryNeed, TheKeyThatNeedsMostIsNamedWithBothFigures) {
    Config config = small();
    EXPECT_EQ(shortage(config, there_are(1000)), std::nullopt);
    config.flows = 1U << 27U;
    EXPECT_THAT(
        shortage(config, there_are(1000)),
        Optional(AllOf(
            StartsWith("f: flows: too little memory: "), HasSubstr("GiB for 134217728 flows"),
            HasSubstr("1000 MiB are available (MemAvailable)"), HasSubstr("flows would fit"))));
    config = small();
    config.memory.dpdk_megabytes = 5000;
    EXPECT_THAT(shortage(config, there_are(1000)),
                Optional(AllOf(StartsWith("f: [memory] dpdk_megabytes: too little memory"),
                               HasSubstr("5000 MiB for packets"))));
    config = small();
    config.memory.packet_buffers = 4'000'000;
    EXPECT_THAT(shortage(config, there_are(1000)),
                Optional(StartsWith("f: [memory] packet_buffers: ")));
    config = small();
    config.limits.most[0] = 5;
    config.limits.sources = 1U << 24U;
    EXPECT_THAT(shortage(config, there_are(1000)),
                Optional(StartsWith("f: [limits] sources: too little memory")));
    config = small();
    config.neighbors.capacity = 1U << 21U;
    EXPECT_THAT(shortage(config, there_are(150)),
                Optional(StartsWith("f: [neighbors] capacity: too little memory")));
}

TEST(MemoryNeed, TheNumberOfFlowsThatWouldFitFits) {
    Config config = small();
    config.flows = 1U << 27U;
    const auto said = shortage(config, there_are(3000));
    ASSERT_TRUE(said);
    const std::size_t at = said->rfind("; ") + 2;
    config.flows = static_cast<std::uint32_t>(std::stoul(said->substr(at)));
    EXPECT_GT(config.flows, 10'000'000U);
    EXPECT_EQ(shortage(config, there_are(3000)), std::nullopt);
    config.flows += config.flows / 50;
    EXPECT_NE(shortage(config, there_are(3000)), std::nullopt);
}

TEST(MemoryNeed, ReservedHugePagesCount) {
    Config config = small();
    config.flows = 4U << 20U;
    MemoryThere there = there_are(400);
    EXPECT_NE(shortage(config, there), std::nullopt);
    there.huge_bytes = 2000 * mebibyte;
    EXPECT_EQ(shortage(config, there), std::nullopt);
    config.memory.huge_pages = HugePages::none;
    EXPECT_NE(shortage(config, there), std::nullopt);
}

TEST(MemoryNeed, TheAddressSpaceIsNamed) {
    MemoryThere there = there_are(100'000);
    there.address_space = 300 * mebibyte;
    EXPECT_THAT(shortage(small(), there), Optional(HasSubstr("`ulimit -v`")));
    there.address_space = 4000 * mebibyte;
    EXPECT_EQ(shortage(small(), there), std::nullopt);
}

class MemoryThereTest : public testing::Test {
  protected:
    void SetUp() override {
        root_ = testing::TempDir() + "memory-there-" + std::to_string(::getpid()) + "/";
        write("proc/meminfo", "MemTotal:  8000000 kB\nMemAvailable:    4000000 kB\n");
    }
    void TearDown() override { std::filesystem::remove_all(root_); }
    void write(const std::string& file, const std::string& text) const {
        std::filesystem::create_directories(std::filesystem::path(root_ + file).parent_path());
        std::ofstream(root_ + file) << text;
    }
    std::string root_;
};

TEST_F(MemoryThereTest, IsWhatTheKernelCallsAvailable) {
    const MemoryThere there = memory_there(root_);
    EXPECT_EQ(there.bytes, 4'000'000ULL * 1024);
    EXPECT_EQ(there.bound, "MemAvailable");
}

TEST_F(MemoryThereTest, IsBoundByTheGroupAndThoseAbove) {
    write("proc/self/cgroup", "0::/system.slice/noclash.service\n");
    write("sys/fs/cgroup/system.slice/noclash.service/memory.max", "max\n");
    write("sys/fs/cgroup/system.slice/noclash.service/memory.current", "1000000\n");
    EXPECT_EQ(memory_there(root_).bound, "MemAvailable");
    write("sys/fs/cgroup/system.slice/memory.max", "1000000000\n");
    write("sys/fs/cgroup/system.slice/memory.current", "600000000\n");
    // The part of the page cache that is not in tmpfs can be given back.
    write("sys/fs/cgroup/system.slice/memory.stat", "anon 5\nfile 500000000\nshmem 100000000\n");
    const MemoryThere there = memory_there(root_);
    EXPECT_EQ(there.bytes, 800'000'000U);
    EXPECT_THAT(there.bound, HasSubstr("memory.max"));
}

TEST_F(MemoryThereTest, KnowsTheFirstVersionOfGroups) {
    write("proc/self/cgroup", "5:cpu:/\n4:memory:/x\n0::/\n");
    write("sys/fs/cgroup/memory/x/memory.limit_in_bytes", "700000000\n");
    write("sys/fs/cgroup/memory/x/memory.usage_in_bytes", "200000000\n");
    EXPECT_EQ(memory_there(root_).bytes, 500'000'000U);
}

}  // namespace
}  // namespace noclash::dpdk::memory_need_test
