// SPDX-License-Identifier: Apache-2.0

// Where packets go, and which addresses are the gateway's own or translated.

#include "dpdk/datapath/route.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "dpdk/config/values.hpp"
#include "dpdk/device/eal.hpp"
#include "dpdk/device/memory_plan.hpp"
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
    static void SetUpTestSuite() {
        Config roomy = config();
        roomy.memory.dpdk_megabytes = 512;
        static const Eal eal(roomy);
    }

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
    nat::Service<V4> vip;
    vip.address = ip("203.0.113.8");
    vip.backends = {{ip("10.1.0.21"), 80, 1}};
    nat::Service<V4> elsewhere;
    elsewhere.address = ip("198.51.100.9");
    with.policy.services = {vip, elsewhere};
    const RouteTable table(with);
    const auto told = table.own_on(1);
    EXPECT_EQ(told.size(), 4U) << "not the VIP in no subnet";
    EXPECT_NE(std::ranges::find(told, vip.address), told.end());
    for (const char* own :
         {"10.1.0.1", "203.0.113.2", "203.0.113.5", "203.0.113.6", "203.0.113.8", "198.51.100.9"}) {
        EXPECT_TRUE(table.is_reserved(ip(own))) << own;
        EXPECT_TRUE(table.is_own(ip(own))) << own;
        EXPECT_TRUE(table.is_translated(ip(own))) << own;
    }
    for (const char* behind : {"10.1.0.20", "10.1.0.21"}) {
        EXPECT_FALSE(table.is_own(ip(behind))) << behind;
        EXPECT_TRUE(table.is_translated(ip(behind))) << behind;
    }
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

/// The route that a list gives: of all prefixes that hold the address, the longest decides.
class RouteList {
  public:
    explicit RouteList(const Config& config) {
        for (std::uint16_t port = 0; port < config.ports.size(); ++port) {
            const PortConfig& own = config.ports[port];
            ways_.push_back({{own.address, own.prefix_length}, port, std::nullopt});
        }
        for (const RouteConfig& route : config.routes)
            ways_.push_back({route.to, route.port, route.via});
    }

    void expect_same(const RouteTable& table, std::uint32_t host) const {
        const V4Address address = V4Address::from_host(host);
        const Way* longest = nullptr;
        for (const Way& way : ways_)
            if (way.to.contains(address) &&
                (longest == nullptr || way.to.length > longest->to.length))
                longest = &way;
        const auto hop = table.route(address);
        ASSERT_EQ(hop.has_value(), longest != nullptr) << to_string<V4>(address);
        if (!hop) return;
        ASSERT_EQ(hop->port, longest->port) << to_string<V4>(address);
        ASSERT_EQ(hop->next_hop, longest->via.value_or(address)) << to_string<V4>(address);
    }

  private:
    struct Way {
        Prefix<V4> to;
        std::uint16_t port;
        std::optional<V4Address> via;  ///< nothing: the destination itself
    };
    std::vector<Way> ways_;
};

/// Random routes of all lengths. They crowd a few networks, so that many hold others.
class RandomRoutes {
  public:
    explicit RandomRoutes(unsigned seed) : random_(seed) {}

    std::uint32_t address() {
        constexpr std::array<std::uint32_t, 4> networks{0x0a010000, 0x0a018000, 0xcb007100, 0};
        const std::uint32_t network = networks[draw() % networks.size()];
        return network == 0 ? draw() : network | (draw() & 0x3ffU);
    }
    void add(Config& config, std::size_t count) {
        while (count > 0) {
            const auto length = static_cast<std::uint8_t>(draw() % 33);
            const Prefix<V4> to{network_of(V4Address::from_host(address()), length), length};
            const auto same = [&](const RouteConfig& route) { return route.to == to; };
            if (std::ranges::any_of(config.routes, same)) continue;
            if ((length == 24 && to.contains(config.ports[0].address)) ||
                (length == 28 && to.contains(config.ports[1].address)))
                continue;  // a port's subnet
            const auto port = static_cast<std::uint16_t>(draw() % 2);
            const std::uint32_t subnet = config.ports[port].address.value.host() & ~0xfU;
            config.routes.push_back({to, V4Address::from_host(subnet + 3 + draw() % 9), port});
            --count;
        }
    }
    void remove(Config& config) {
        const std::uint32_t of_four = draw() % 5;
        std::erase_if(config.routes, [&](const auto&) { return draw() % 4 < of_four; });
        std::ranges::shuffle(config.routes, random_);
    }

  private:
    std::uint32_t draw() { return static_cast<std::uint32_t>(random_()); }

    std::mt19937 random_;
};

TEST_F(RouteTest, RandomTablesAnswerAsAListDoes) {
    for (unsigned seed = 1; seed <= 4; ++seed) {
        RandomRoutes random(seed);
        Config with = config();
        with.routes.clear();
        RouteTable table(with);
        for (unsigned turn = 0; turn < 6; ++turn) {
            SCOPED_TRACE("seed " + std::to_string(seed) + ", turn " + std::to_string(turn));
            random.remove(with);
            random.add(with, 100);
            table = RouteTable(with, &table);
            const RouteList list(with);
            for (unsigned i = 0; i < 2000; ++i)
                list.expect_same(table, random.address());
            for (const RouteConfig& route : with.routes) {
                const std::uint32_t first = route.to.network.value.host();
                const std::uint32_t last =
                    broadcast_of(route.to.network, route.to.length).value.host();
                for (const std::uint32_t host : {first, last, first - 1, last + 1})
                    list.expect_same(table, host);
            }
            if (HasFatalFailure()) return;
        }
    }
}

TEST_F(RouteTest, AHundredThousandRoutesLoad) {
    constexpr std::uint32_t many = 100'000;
    const auto prefix = [](std::uint32_t i) {
        const std::uint8_t length = i % 40 == 0 ? 32 : i % 40 == 1 ? 27 : 24;
        return Prefix<V4>{network_of(V4Address::from_host(0x1400'0000U + i * 256), length), length};
    };
    const auto via = [](std::uint32_t i) { return fmt::format("10.1.{}.{}", i % 200, i % 7 + 2); };
    std::string text = R"(
[[port]]
name = "inside"
device = "null:in"
address = "10.1.0.1/16"
)";
    for (std::uint32_t i = 0; i < many; ++i)
        text += fmt::format("[[route]]\nto = \"{}\"\nvia = \"{}\"\n", to_text(prefix(i)), via(i));
    const Config with = parse_config(text, "f");
    ASSERT_EQ(with.routes.size(), many);
    const RouteTable table(with);
    for (std::uint32_t i = 0; i < many; ++i) {
        const auto& [network, length] = prefix(i);
        ASSERT_EQ(table.route(network).value().next_hop, ip(via(i).c_str())) << i;
        ASSERT_EQ(table.route(broadcast_of(network, length)).value().next_hop, ip(via(i).c_str()))
            << i;
        if (length == 24) continue;
        ASSERT_FALSE(table.route(broadcast_of(network, 24))) << i;
    }
}

TEST_F(RouteTest, MemoryIsPlannedForTwoTables) {
    Config with = config();
    const std::uint32_t few = plan_memory(with).megabytes;
    constexpr std::uint32_t megabyte_of_groups = 1024;
    for (std::uint32_t i = 0; i < 5 * megabyte_of_groups; ++i)
        with.routes.push_back({{V4Address::from_host(0x1400'0000U + i * 512), 32}, {}, 0});
    EXPECT_GE(plan_memory(with).megabytes, few + 2 * 5);
}

}  // namespace
}  // namespace noclash::dpdk::route_test
