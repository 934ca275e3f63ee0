// SPDX-License-Identifier: Apache-2.0

// Ports, routes and static neighbours.

#include <gtest/gtest.h>

#include "dpdk/config/config.hpp"
#include "tests/unit/dpdk/config_text.hpp"

namespace noclash::dpdk::config_network_test {
namespace {

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

}  // namespace
}  // namespace noclash::dpdk::config_network_test
