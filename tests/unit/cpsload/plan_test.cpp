// SPDX-License-Identifier: Apache-2.0
#include "tools/cpsload/plan.hpp"

#include <gtest/gtest.h>

#include <set>
#include <tuple>

#include "tools/cpsload/station.hpp"

namespace noclash::cpsload::plan_test {
namespace {

Settings small_settings() {
    Settings settings;
    settings.first_source = V4Address::from_host(0x0a010101);
    settings.sources = 4;
    settings.first_port = 1000;
    settings.last_port = 1099;
    return settings;
}

const Traffic two_services{
    Kind::crr, 1, {{V4Address::from_host(1), 80}, {V4Address::from_host(2), 80}}};

using Key = std::tuple<std::uint32_t, std::uint16_t, std::uint8_t>;
Key key_of(const Pick& pick) {
    return {pick.source.value.host(), pick.source_port, pick.service};
}

class Orders : public testing::TestWithParam<PortOrder> {};
INSTANTIATE_TEST_SUITE_P(Both, Orders, testing::Values(PortOrder::step, PortOrder::shuffled));

TEST_P(Orders, EveryTupleComesOnceBeforeAnyComesAgain) {
    Settings settings = small_settings();
    settings.order = GetParam();
    Plan plan(settings, two_services);
    EXPECT_EQ(Plan::tuples(settings, two_services), 800U);
    for (int round = 0; round < 2; ++round) {
        std::set<Key> seen;
        for (int i = 0; i < 800; ++i) {
            const auto pick = plan.next();
            ASSERT_TRUE(pick);
            EXPECT_TRUE(seen.insert(key_of(*pick)).second);
            EXPECT_GE(pick->source_port, 1000);
            EXPECT_LE(pick->source_port, 1099);
            plan.give_back(pick->number);
        }
    }
}

TEST(Plan, StepsThroughPortsWithAllAddressesAtOnce) {
    Plan plan(small_settings(), two_services);
    for (std::uint16_t port = 1000; port < 1003; ++port)
        for (std::uint8_t service = 0; service < 2; ++service)
            for (std::uint32_t source = 0; source < 4; ++source)
                EXPECT_EQ(key_of(plan.next().value()), Key(0x0a010101 + source, port, service));
}

TEST(Plan, ShufflesEachAddressInItsOwnWay) {
    Settings settings = small_settings();
    settings.order = PortOrder::shuffled;
    Plan plan(settings, two_services);
    int equal = 0;
    for (int i = 0; i < 200; ++i) {
        std::set<std::uint16_t> ports;
        for (int source = 0; source < 4; ++source)
            ports.insert(plan.next().value().source_port);
        if (ports.size() == 1) ++equal;
    }
    EXPECT_LT(equal, 20);
}

TEST(Plan, PassesOverWhatIsInUse) {
    Settings settings = small_settings();
    settings.sources = 1;
    settings.last_port = 1002;
    const Traffic one{Kind::crr, 1, {{V4Address::from_host(1), 80}}};
    Plan plan(settings, one);
    const auto first = plan.next();
    const auto second = plan.next();
    const auto third = plan.next();
    ASSERT_TRUE(first && second && third);
    EXPECT_FALSE(plan.next());
    plan.give_back(second->number);
    EXPECT_EQ(plan.next()->source_port, second->source_port);
    EXPECT_FALSE(plan.next());
}

constexpr nat::MacAddress own_mac{{2, 0, 0, 0, 0, 1}}, gateway_mac{{2, 0, 0, 0, 0, 9}};
constexpr V4Address gateway = V4Address::from_host(0x0a010001);
const Prefix<V4> link_prefix{V4Address::from_host(0x0a010000), 16};

TEST(Station, IntroducesEveryAddressOnTheLink) {
    // The last address is not on the link.
    Station station(own_mac, link_prefix,
                    {{V4Address::from_host(0x0a01fffe), 2}, {V4Address::from_host(0x0a020000), 1}},
                    gateway);
    EXPECT_FALSE(station.introduced());
    const auto requests = station.introductions(10);
    ASSERT_EQ(requests.size(), 2U);
    for (const nat::ArpMessage& request : requests) {
        EXPECT_EQ(request.target_ip, gateway);
        EXPECT_EQ(station.receive(nat::arp_reply(request, gateway_mac)), std::nullopt);
    }
    EXPECT_TRUE(station.introduced());
    EXPECT_EQ(station.gateway_mac(), gateway_mac);
    EXPECT_TRUE(station.introductions(10).empty());
}

TEST(Station, IntroducesAnAddressOfTwoRangesOnce) {
    Station station(own_mac, link_prefix,
                    {{V4Address::from_host(0x0a010102), 1}, {V4Address::from_host(0x0a010101), 3}},
                    gateway);
    const auto requests = station.introductions(10);
    EXPECT_EQ(requests.size(), 3U);
    for (const nat::ArpMessage& request : requests)
        static_cast<void>(station.receive(nat::arp_reply(request, gateway_mac)));
    EXPECT_TRUE(station.introduced());
}

TEST(Station, SaysWhoIsNotAnswered) {
    Station station(own_mac, link_prefix, {{V4Address::from_host(0x0a010101), 3}}, gateway);
    const auto requests = station.introductions(2);
    ASSERT_EQ(requests.size(), 2U);
    for (const nat::ArpMessage& request : requests)
        static_cast<void>(station.receive(nat::arp_reply(request, gateway_mac)));
    // A second answer to the same request counts once.
    static_cast<void>(station.receive(nat::arp_reply(requests[0], gateway_mac)));
    EXPECT_FALSE(station.introduced());
    EXPECT_EQ(station.unanswered(), V4Address::from_host(0x0a010103));
    EXPECT_EQ(station.introductions(2).size(), 1U);
}

TEST(Station, AnswersForItsAddressesOnly) {
    Station station(own_mac, link_prefix, {{V4Address::from_host(0x0a010101), 3}}, gateway);
    const auto ask = [&](std::uint32_t address) {
        return station.receive(
            nat::arp_request(gateway_mac, gateway, V4Address::from_host(address)));
    };
    const auto answer = ask(0x0a010103);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->sender_mac, own_mac);
    EXPECT_EQ(answer->sender_ip, V4Address::from_host(0x0a010103));
    EXPECT_FALSE(ask(0x0a010104));
    EXPECT_FALSE(ask(0x0a010100));
}

}  // namespace
}  // namespace noclash::cpsload::plan_test
