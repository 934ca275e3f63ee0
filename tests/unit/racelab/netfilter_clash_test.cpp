// SPDX-License-Identifier: Apache-2.0

// Two packets that choose before either confirms, through kernels of three ages.

#include <gtest/gtest.h>

#include "bench/racelab/netfilter.hpp"
#include "tests/unit/racelab/passages.hpp"

namespace noclash::racelab::test::netfilter_clash_test {
namespace {

constexpr V4Address other_pod = V4Address::from_host(0x0a020003);

Netfilter kernel(ClashResolution resolution = ClashResolution::any_reply) {
    return {gateway_address, PortChoice::keep_if_free, 7, resolution};
}
/// One of two queries from one socket.
Passage query(std::uint32_t id, V4Address backend) {
    Passage result = passage(id, 0, 20000, protocol::udp, SourceNat::keep);
    result.packet.backend = backend;
    return result;
}

constexpr ClashResolution all_ages[] = {ClashResolution::without_nat, ClashResolution::same_nat,
                                        ClashResolution::any_reply};

TEST(NetfilterClash, TwoConnectionsThatChoseTheSamePortLoseTheLater) {
    for (const std::uint8_t number : {protocol::tcp, protocol::udp}) {
        for (const ClashResolution age : all_ages) {
            Netfilter netfilter = kernel(age);
            const auto [first, second] =
                race(netfilter, passage(0, 0, 20000, number), passage(1, 1, 20000, number));
            EXPECT_TRUE(first);
            EXPECT_FALSE(second);
            EXPECT_EQ(netfilter.counts().insert_failed, 1U);
            EXPECT_EQ(netfilter.counts().clash_resolved, 0U);
        }
    }
}

TEST(NetfilterClash, WhoConfirmsFirstWins) {
    Netfilter netfilter = kernel();
    const Passage a = passage(0, 0, 20000);
    const Passage b = passage(1, 1, 20000);
    netfilter.choose(a, 0);
    netfilter.choose(b, 0);
    EXPECT_TRUE(netfilter.confirm(b, 0));
    EXPECT_FALSE(netfilter.confirm(a, 0));
}

TEST(NetfilterClash, TheLosersPortIsNotLost) {
    Netfilter netfilter = kernel();
    const Passage loser = passage(1, 1, 20000);
    ASSERT_FALSE(race(netfilter, passage(0, 0, 20000), loser).second);
    EXPECT_TRUE(pass(netfilter, loser)) << "its retransmission finds another port";
}

TEST(NetfilterClash, TcpCopiesOfOneConnectionAreNotMerged) {
    for (const ClashResolution age : all_ages) {
        Netfilter netfilter = kernel(age);
        const auto [first, second] = race(netfilter, passage(0, 0, 20000), passage(1, 0, 20000));
        EXPECT_TRUE(first);
        EXPECT_FALSE(second);
    }
}

TEST(NetfilterClash, QueriesToTheSameBackendAreMergedSince419) {
    for (const ClashResolution age : all_ages) {
        Netfilter netfilter = kernel(age);
        const auto [first, second] = race(netfilter, query(0, pod), query(1, pod));
        ASSERT_TRUE(first);
        if (age == ClashResolution::without_nat) {
            EXPECT_FALSE(second);
            continue;
        }
        EXPECT_EQ(second, first);
        EXPECT_EQ(netfilter.counts().clash_resolved, 1U);
        EXPECT_EQ(netfilter.counts().insert, 1U);
        // The counter told of resolved clashes as well, before 5.6.
        EXPECT_EQ(netfilter.counts().insert_failed, age == ClashResolution::any_reply ? 0U : 1U);
    }
}

TEST(NetfilterClash, QueriesToDifferentBackendsAreBothKeptSince56) {
    for (const ClashResolution age : all_ages) {
        Netfilter netfilter = kernel(age);
        const auto [first, second] = race(netfilter, query(0, pod), query(1, other_pod));
        ASSERT_TRUE(first);
        EXPECT_EQ(first->destination, pod);
        if (age != ClashResolution::any_reply) {
            EXPECT_FALSE(second);
            continue;
        }
        ASSERT_TRUE(second);
        EXPECT_EQ(second->destination, other_pod);
        EXPECT_EQ(netfilter.counts().insert_failed, 0U);
        EXPECT_EQ(pass(netfilter, query(2, other_pod)), first) << "later ones find the winner";
    }
}

TEST(NetfilterClash, AReplyTupleOfAnotherConnectionCannotBeShared) {
    Netfilter netfilter = kernel();
    // The second query's original clashes with the first's, and its reply with a third's.
    Passage third = query(2, other_pod);
    third.packet.original.destination = V4Address::from_host(0x0a010003);
    const Passage second = query(1, other_pod);
    netfilter.choose(second, 0);
    ASSERT_TRUE(pass(netfilter, query(0, pod)));
    ASSERT_TRUE(pass(netfilter, third));
    EXPECT_FALSE(netfilter.confirm(second, 0));
    EXPECT_EQ(netfilter.counts().insert_failed, 1U);
}

TEST(NetfilterClash, WithoutNatCopiesWereAlwaysMerged) {
    for (const ClashResolution age : all_ages) {
        Netfilter netfilter = kernel(age);
        Passage one = query(0, service);
        one.packet.backend_port = service_port;
        Passage other = one;
        other.id = 1;
        const auto [first, second] = race(netfilter, one, other);
        ASSERT_TRUE(first);
        EXPECT_EQ(second, first);
    }
}

TEST(NetfilterClash, TheSameConnectionOpenedFromBothSidesIsMergedToday) {
    for (const ClashResolution age : {ClashResolution::same_nat, ClashResolution::any_reply}) {
        Netfilter netfilter = kernel(age);
        Passage one = query(0, service);
        one.packet.backend_port = service_port;
        Passage reverse = one;
        reverse.id = 1;
        reverse.packet.original = one.packet.original.inverse();
        reverse.packet.backend = one.packet.original.source;
        reverse.packet.backend_port = one.packet.original.source_port.host();
        const auto [first, second] = race(netfilter, one, reverse);
        ASSERT_TRUE(first);
        if (age == ClashResolution::any_reply)
            EXPECT_EQ(second, reverse.packet.original);
        else
            EXPECT_FALSE(second);
    }
}

}  // namespace
}  // namespace noclash::racelab::test::netfilter_clash_test
