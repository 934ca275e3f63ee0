// SPDX-License-Identifier: Apache-2.0
#include "dpdk/device/device_lock.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <optional>

namespace noclash::dpdk::device_lock_test {
namespace {

using testing::HasSubstr;

/// A configuration of ports on these devices, which nobody else has.
Config on(const std::vector<std::string>& devices) {
    Config config;
    for (const std::string& device : devices) {
        PortConfig port;
        port.name = fmt::format("p{}", config.ports.size());
        port.device = device;
        config.ports.push_back(port);
    }
    return config;
}

std::string mine(std::string_view prefix) {
    return std::string(prefix) + std::to_string(::getpid());
}

std::optional<std::string> refusal(const Config& config) {
    try {
        const DeviceLock lock(config);
        return std::nullopt;
    } catch (const std::runtime_error& error) {
        return error.what();
    }
}

TEST(DeviceLock, TheSecondIsRefusedAndToldTheFirst) {
    const std::string device = mine("tap:lk");
    {
        const DeviceLock first(on({device}));
        const auto said = refusal(on({"null:x", device}));
        ASSERT_TRUE(said);
        EXPECT_THAT(*said, HasSubstr("port p1 (" + device + ")"));
        EXPECT_THAT(*said, HasSubstr("pid " + std::to_string(::getpid())));
    }
    EXPECT_EQ(refusal(on({device})), std::nullopt) << "it ends with its owner";
}

TEST(DeviceLock, OneInterfaceIsOneWhateverTheDriver) {
    const std::string name = mine("lk");
    const DeviceLock first(on({"tap:" + name}));
    for (const std::string& device :
         {"af_packet:" + name, "af_xdp:" + name, "vdev:net_af_packet9,iface=" + name,
          "vdev:net_af_packet9,iface=" + name + ",qpairs=1"})
        EXPECT_TRUE(refusal(on({device}))) << device;
    EXPECT_EQ(refusal(on({"tap:" + name + "x"})), std::nullopt);
}

// `lo` is there in each namespace: it is known by its index under any name.
TEST(DeviceLock, PciDevicesAndInterfacesByIndex) {
    const DeviceLock first(on({"pci:0000:fe:1d.7"}));
    EXPECT_TRUE(refusal(on({"pci:fe:1d.7"})));
    EXPECT_EQ(refusal(on({"pci:0000:fe:1d.6"})), std::nullopt);
}

TEST(DeviceLock, WhatIsRefusedHoldsNothing) {
    const std::string one = mine("tap:la"), other = mine("tap:lb");
    const DeviceLock first(on({other}));
    EXPECT_TRUE(refusal(on({one, other})));
    EXPECT_EQ(refusal(on({one})), std::nullopt);
}

TEST(DeviceLock, AKilledProcessLeavesNone) {
    const std::string device = mine("tap:lc");
    int ready[2];
    ASSERT_EQ(::pipe(ready), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        const DeviceLock lock(on({device}));
        [[maybe_unused]] const auto written = ::write(ready[1], "x", 1);
        for (;;)
            ::pause();
    }
    char byte = 0;
    ASSERT_EQ(::read(ready[0], &byte, 1), 1);
    const auto said = refusal(on({device}));
    ASSERT_TRUE(said);
    EXPECT_THAT(*said, HasSubstr("pid " + std::to_string(child)));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    EXPECT_EQ(refusal(on({device})), std::nullopt);
    ::close(ready[0]);
    ::close(ready[1]);
}

// Devices that are of one process anyway.
TEST(DeviceLock, RingsAreNotShared) {
    const DeviceLock first(on({"ring:r", "null:n"}));
    EXPECT_EQ(refusal(on({"ring:r", "null:n"})), std::nullopt);
}

}  // namespace
}  // namespace noclash::dpdk::device_lock_test
