// SPDX-License-Identifier: Apache-2.0
#include "bench/racelab/netfilter.hpp"

#include <gtest/gtest.h>

#include <set>

#include "tests/unit/racelab/passages.hpp"

namespace noclash::racelab::test::netfilter_test {
namespace {

constexpr std::uint64_t seed = 7;

TEST(NetfilterModel, KeepsThePortThatIsFree) {
    Netfilter netfilter(gateway_address, PortChoice::keep_if_free, seed);
    const auto sent = pass(netfilter, passage(0, 0, 20000));
    ASSERT_TRUE(sent);
    EXPECT_EQ(sent->source, gateway_address);
    EXPECT_EQ(sent->source_port.host(), 20000);
    EXPECT_EQ(sent->destination, pod);
    EXPECT_EQ(sent->destination_port.host(), pod_port);
    EXPECT_EQ(netfilter.tries(), 1U);
}

TEST(NetfilterModel, MovesAPortThatIsTakenWithinItsClass) {
    Netfilter netfilter(gateway_address, PortChoice::keep_if_free, seed);
    for (const std::uint16_t port : std::initializer_list<std::uint16_t>{300, 700, 20000}) {
        ASSERT_TRUE(pass(netfilter, passage(0, 0, port)));
        const auto sent = pass(netfilter, passage(1, 1, port));
        ASSERT_TRUE(sent);
        EXPECT_NE(sent->source_port.host(), port);
        EXPECT_EQ(port_space_of(sent->source_port.host()), port_space_of(port));
    }
}

TEST(NetfilterModel, RandomChoicesDoNotKeepThePort) {
    for (const PortChoice choice : {PortChoice::random, PortChoice::fully_random}) {
        Netfilter netfilter(gateway_address, choice, seed);
        unsigned kept = 0;
        for (std::uint32_t client = 0; client < 200; ++client) {
            const auto port = static_cast<std::uint16_t>(20000 + client);
            if (pass(netfilter, passage(client, client, port))->source_port.host() == port) ++kept;
        }
        EXPECT_LE(kept, 2U);
    }
}

TEST(NetfilterModel, AFullRangeIsGivenUpAfter248TriesAndTheConfirmationFails) {
    Netfilter netfilter(gateway_address, PortChoice::random, seed);
    netfilter.limit_ports({5000, 300});
    std::uint32_t id = 0;
    std::set<std::uint16_t> ports;
    // Some searches miss the last free ports: until all are found.
    for (; ports.size() < 300 && id < 100'000; ++id) {
        const auto sent = pass(netfilter, passage(id, id, 20000));
        if (sent) {
            EXPECT_TRUE(ports.insert(sent->source_port.host()).second);
        }
    }
    ASSERT_EQ(ports.size(), 300U);

    const auto tries = netfilter.tries();
    const Counts before = netfilter.counts();
    EXPECT_FALSE(pass(netfilter, passage(id, id, 20000)));
    EXPECT_EQ(netfilter.tries() - tries, 248U);
    EXPECT_EQ(netfilter.counts().gave_up - before.gave_up, 1U);
    EXPECT_EQ(netfilter.counts().insert_failed - before.insert_failed, 1U);
}

TEST(NetfilterModel, APortOutsideTheRuleIsNotKept) {
    Netfilter netfilter(gateway_address, PortChoice::keep_if_free, seed);
    netfilter.limit_ports({5000, 10});
    EXPECT_EQ(pass(netfilter, passage(0, 0, 5009))->source_port.host(), 5009);
    const auto moved = pass(netfilter, passage(1, 1, 5010))->source_port.host();
    EXPECT_GE(moved, 5000);
    EXPECT_LE(moved, 5008);
}

TEST(NetfilterModel, ASourceThatIsMappedIsMappedAlikeTowardsOtherDestinations) {
    Netfilter netfilter(gateway_address, PortChoice::keep_if_free, seed);
    ASSERT_TRUE(pass(netfilter, passage(0, 0, 20000)));
    const auto mapped = pass(netfilter, passage(1, 1, 20000));
    Passage elsewhere = passage(2, 1, 20000);
    elsewhere.packet.original.destination = V4Address::from_host(0x0a010003);
    elsewhere.packet.backend = V4Address::from_host(0x0a020003);
    const auto other = pass(netfilter, elsewhere);
    ASSERT_TRUE(mapped && other);
    EXPECT_NE(mapped->source_port.host(), 20000);
    EXPECT_EQ(other->source_port, mapped->source_port);
}

TEST(NetfilterModel, AFurtherPacketFollowsItsConnection) {
    Netfilter netfilter(gateway_address, PortChoice::random, seed);
    const auto first = pass(netfilter, passage(0, 0, 20000));
    EXPECT_EQ(pass(netfilter, passage(1, 0, 20000)), first);
    EXPECT_EQ(netfilter.counts().insert, 1U);
}

TEST(NetfilterModel, WhatHasEndedIsFree) {
    Netfilter netfilter(gateway_address, PortChoice::keep_if_free, seed);
    const Passage first = passage(0, 0, 20000);
    ASSERT_TRUE(pass(netfilter, first));
    netfilter.end(first.packet.original);
    EXPECT_EQ(pass(netfilter, passage(1, 1, 20000))->source_port.host(), 20000);
}

}  // namespace
}  // namespace noclash::racelab::test::netfilter_test
