// SPDX-License-Identifier: Apache-2.0
#include "bench/racelab/noclash_gateway.hpp"

#include <gtest/gtest.h>

#include "tests/unit/racelab/passages.hpp"

namespace noclash::racelab::test::noclash_gateway_test {
namespace {

using Choice = Contestant::Choice;

TEST(NoclashModel, ConnectionsThatRaceGetDifferentTuples) {
    NoclashGateway noclash(gateway_address, 2, 4096);
    for (std::uint32_t id = 0; id < 1000; id += 2) {
        Passage b = passage(id + 1, 1, static_cast<std::uint16_t>(20000 + id));
        b.thread = 1;
        const auto [first, second] =
            race(noclash, passage(id, 0, static_cast<std::uint16_t>(20000 + id)), b);
        ASSERT_TRUE(first && second);
        ASSERT_NE(*first, *second);
    }
    EXPECT_EQ(noclash.counts().insert, 1000U);
}

TEST(NoclashModel, ASecondPacketParksAndThenFollowsTheFirst) {
    NoclashGateway noclash(gateway_address, 2, 4096);
    const Passage first = passage(0, 0, 20000, protocol::udp, SourceNat::keep);
    Passage second = first;
    second.id = 1;
    second.thread = 1;
    second.packet.backend = V4Address::from_host(0x0a020003);
    ASSERT_EQ(noclash.choose(first, 0), Choice::made);
    EXPECT_EQ(noclash.choose(second, 10), Choice::parked);
    const auto sent = noclash.confirm(first, 20);
    ASSERT_TRUE(sent);
    EXPECT_EQ(sent->destination, pod);
    EXPECT_EQ(noclash.choose(second, 30), Choice::made);
    EXPECT_EQ(noclash.confirm(second, 40), sent);
    EXPECT_EQ(noclash.counts().insert, 1U);
    EXPECT_EQ(noclash.counts().clash_resolved, 1U);
}

TEST(NoclashModel, CrossingParksForAsLongAsItTakes) {
    NoclashGateway noclash(gateway_address, 2, 4096);
    Passage first = passage(0, 0, 20000, protocol::udp, SourceNat::keep);
    Passage second = first;
    second.id = 1;
    second.thread = 1;
    first.confirm = 50'000;
    second.choose = 10;
    second.confirm = 20;
    const Passage both[] = {first, second};
    const auto departures = cross(noclash, both);
    ASSERT_EQ(departures.size(), 2U);
    EXPECT_EQ(departures[0].id, 0U);
    EXPECT_EQ(departures[1].sent, departures[0].sent);
}

TEST(NoclashModel, WhatIsExhaustedIsDroppedAndGivesItsClaimBack) {
    NoclashGateway noclash(gateway_address, 1, 1U << 17U);
    for (std::uint32_t id = 0; id < 64'512; ++id)
        ASSERT_TRUE(pass(noclash, passage(id, id, 20000))) << id;
    const Passage one_more = passage(64'512, 64'512, 20000);
    ASSERT_EQ(cross(noclash, {&one_more, 1}).size(), 0U);
    EXPECT_EQ(noclash.counts().insert, 64'512U);
}

}  // namespace
}  // namespace noclash::racelab::test::noclash_gateway_test
