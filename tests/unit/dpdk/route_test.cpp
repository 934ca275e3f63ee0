// SPDX-License-Identifier: Apache-2.0

// Where packets go, and which addresses are the gateway's own or translated.

#include "dpdk/datapath/route.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "dpdk/device/eal.hpp"
#include "engine/base/address.hpp"

namespace noclash::dpdk::route_test {
namespace {

V4Address ip(const char* text) {
    return *parse_address<V4>(text);
}

Config config() {
    Config made;
    made.memory.huge_pages = HugePages::none;
    made.ports = {{"inside", "null:in", ip("10.1.0.1"), 24, 1400, 64},
                  {"outside", "null:out", ip("203.0.113.2"), 28, 1500, 64}};
    made.routes = {{{ip("10.0.0.0"), 8}, ip("10.1.0.9"), 0},
                   {{ip("0.0.0.0"), 0}, ip("203.0.113.1"), 1},
                   {{ip("128.0.0.0"), 1}, ip("203.0.113.3"), 1},
                   {{ip("198.51.100.7"), 32}, ip("10.1.0.7"), 0}};
    return made;
}

class RouteTest : public testing::Test {
  protected:
    static void SetUpTestSuite() { static const Eal eal(config()); }

    static void expect_hop(const RouteTable& table, const char* to, std::uint16_t port,
                           const char* next_hop) {
        const auto hop = table.route(ip(to));
        ASSERT_TRUE(hop.has_value()) << to;
        const PortConfig egress = config().ports[port];
        EXPECT_EQ(hop->port, port) << to;
        EXPECT_EQ(hop->mtu, egress.mtu) << to;
        EXPECT_EQ(table.port_address(hop->port), egress.address) << to;
        EXPECT_EQ(hop->next_hop, ip(next_hop)) << to;
    }
};

TEST_F(RouteTest, TheLongestPrefixDecides) {
    const RouteTable table(config());
    expect_hop(table, "10.2.3.4", 0, "10.1.0.9");
    expect_hop(table, "10.1.0.200", 0, "10.1.0.200");      // on the link itself
    expect_hop(table, "203.0.113.14", 1, "203.0.113.14");  // likewise
    expect_hop(table, "203.0.113.16", 1, "203.0.113.3");   // not any more
    expect_hop(table, "198.51.100.7", 0, "10.1.0.7");
    expect_hop(table, "198.51.100.8", 1, "203.0.113.3");
    expect_hop(table, "9.9.9.9", 1, "203.0.113.1");  // by default
}

TEST_F(RouteTest, TheNextConfigurationSharesRoutesThatAreTheSame) {
    const RouteTable table(config());
    Config next = config();
    next.policy.pools = {{"p", {ip("203.0.113.5")}, {}}};
    const RouteTable same(next, &table);
    EXPECT_EQ(same.memory().data(), table.memory().data());
    EXPECT_TRUE(same.is_own(ip("203.0.113.5")));
    next.routes[0].via = ip("10.1.0.10");
    const RouteTable other(next, &table);
    EXPECT_NE(other.memory().data(), table.memory().data());
    expect_hop(other, "10.2.3.4", 0, "10.1.0.10");
    expect_hop(table, "10.2.3.4", 0, "10.1.0.9");
    next = config();
    next.ports[1].prefix_length = 29;
    EXPECT_NE(RouteTable(next, &table).memory().data(), table.memory().data());
}

TEST_F(RouteTest, RetiredAddressesAreOwnAndNotAnnounced) {
    Config with = config();
    with.policy.pools = {{"p", {ip("203.0.113.5")}, {}}};
    const RouteTable before(with);
    const RouteTable after(config(), &before, before.own_addresses());
    EXPECT_TRUE(after.is_own(ip("203.0.113.5")));
    EXPECT_TRUE(after.is_reserved(ip("203.0.113.5")));
    EXPECT_TRUE(after.is_retired(ip("203.0.113.5")));
    EXPECT_FALSE(after.is_retired(ip("203.0.113.2"))) << "a port has it";
    EXPECT_EQ(after.retired().size(), 1U);
    EXPECT_EQ(after.own_on(1), std::vector{ip("203.0.113.2")});
    const RouteTable again(with, &after, after.own_addresses());
    EXPECT_FALSE(again.is_retired(ip("203.0.113.5"))) << "it is back";
    EXPECT_FALSE(RouteTable(config(), &after).is_own(ip("203.0.113.5")));
}

TEST_F(RouteTest, HalfOfAllAddressesHasPrecedenceBeforeThemAll) {
    Config other = config();
    other.routes = {{{ip("0.0.0.0"), 1}, ip("10.1.0.9"), 0},
                    {{ip("0.0.0.0"), 0}, ip("203.0.113.1"), 1}};
    const RouteTable table(other);
    expect_hop(table, "9.9.9.9", 0, "10.1.0.9");
    expect_hop(table, "129.9.9.9", 1, "203.0.113.1");
}

TEST_F(RouteTest, WithoutADefaultThereMayBeNone) {
    Config other = config();
    other.routes.clear();
    const RouteTable table(other);
    EXPECT_FALSE(table.route(ip("9.9.9.9")).has_value());
    expect_hop(table, "10.1.0.5", 0, "10.1.0.5");
}

TEST_F(RouteTest, KnowsItsOwnAddressesAndThoseItTranslates) {
    Config with = config();
    with.policy.pools.emplace_back().addresses = {ip("203.0.113.5")};
    nat::Rule<V4> service;
    service.action = nat::Action::dnat;
    service.to = {{ip("203.0.113.6"), 32}};
    service.targets = {{ip("10.1.0.20"), {}}};
    with.policy.rules = {service};
    const RouteTable table(with);
    for (const char* own : {"10.1.0.1", "203.0.113.2", "203.0.113.5", "203.0.113.6"}) {
        EXPECT_TRUE(table.is_own(ip(own))) << own;
        EXPECT_TRUE(table.is_translated(ip(own))) << own;
    }
    EXPECT_FALSE(table.is_own(ip("10.1.0.20")));
    EXPECT_TRUE(table.is_translated(ip("10.1.0.20")));
    for (const char* other : {"10.1.0.2", "203.0.113.7"}) {
        EXPECT_FALSE(table.is_own(ip(other))) << other;
        EXPECT_FALSE(table.is_translated(ip(other))) << other;
    }
}

// [RFC 1812 section 5.3.5]
TEST_F(RouteTest, KnowsTheBroadcastsOfItsSubnets) {
    Config with = config();
    with.ports[0].address = ip("10.1.0.1");
    const auto expect_broadcasts = [&](std::uint8_t length,
                                       const std::vector<const char*>& broadcasts,
                                       const std::vector<const char*>& hosts) {
        with.ports[0].prefix_length = length;
        const RouteTable table(with);
        for (const char* broadcast : broadcasts) {
            EXPECT_TRUE(table.is_broadcast(ip(broadcast))) << broadcast << int{length};
            EXPECT_TRUE(table.is_reserved(ip(broadcast))) << broadcast << int{length};
            EXPECT_TRUE(table.is_translated(ip(broadcast))) << broadcast << int{length};
            EXPECT_FALSE(table.is_own(ip(broadcast))) << broadcast << int{length};
        }
        for (const char* host : hosts) {
            EXPECT_FALSE(table.is_broadcast(ip(host))) << host << int{length};
            EXPECT_EQ(table.is_reserved(ip(host)), table.is_own(ip(host))) << host << int{length};
        }
    };
    expect_broadcasts(24, {"10.1.0.0", "10.1.0.255", "203.0.113.0", "203.0.113.15"},
                      {"10.1.0.2", "10.1.1.0", "10.1.1.255", "203.0.113.16", "203.0.113.255"});
    expect_broadcasts(30, {"10.1.0.0", "10.1.0.3"}, {"10.1.0.2", "10.1.0.255"});
    expect_broadcasts(31, {}, {"10.1.0.0", "10.1.0.1"});  // RFC 3021
    expect_broadcasts(32, {}, {"10.1.0.1", "10.1.0.0"});
    with.ports[0].prefix_length = 31;
    with.ports[0].address = ip("10.1.0.0");
    const RouteTable table(with);
    EXPECT_TRUE(table.is_own(ip("10.1.0.0")));
    EXPECT_FALSE(table.is_broadcast(ip("10.1.0.0")));
}

// [RFC 3704]
TEST_F(RouteTest, KnowsTheWayBack) {
    Config with = config();
    EXPECT_FALSE(RouteTable(with).checks_reverse_path());
    with.ports[0].reverse_path = ReversePath::strict;
    {
        const RouteTable table(with);
        EXPECT_TRUE(table.checks_reverse_path());
        EXPECT_TRUE(table.has_way_back(ip("10.1.0.9"), 0));
        EXPECT_TRUE(table.has_way_back(ip("10.77.0.9"), 0));     // by a route
        EXPECT_TRUE(table.has_way_back(ip("198.51.100.7"), 0));  // of one host
        EXPECT_FALSE(table.has_way_back(ip("198.51.100.8"), 0));
        EXPECT_FALSE(table.has_way_back(ip("203.0.113.9"), 0));
        EXPECT_TRUE(table.has_way_back(ip("10.1.0.9"), 1)) << "nobody asks";
        EXPECT_TRUE(table.has_way_back(ip("203.0.113.9"), nat::no_port)) << "our own";
    }
    with.ports[0].reverse_path = ReversePath::loose;
    EXPECT_TRUE(RouteTable(with).has_way_back(ip("203.0.113.9"), 0));
    with.routes.clear();
    const RouteTable table(with);
    EXPECT_TRUE(table.has_way_back(ip("203.0.113.9"), 0));
    EXPECT_FALSE(table.has_way_back(ip("9.9.9.9"), 0));
}

}  // namespace
}  // namespace noclash::dpdk::route_test
