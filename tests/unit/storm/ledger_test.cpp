// SPDX-License-Identifier: Apache-2.0
#include "tools/storm/ledger.hpp"

#include <gtest/gtest.h>

namespace noclash::tools::ledger_test {
namespace {

Arrival arrival_of(std::uint32_t id, std::uint16_t source_port) {
    Arrival arrival;
    arrival.probe.id = id;
    arrival.probe.source_port = source_port;
    arrival.checksums_good = true;
    return arrival;
}

TEST(Ledger, CountsLostDeliveredAndDuplicated) {
    Ledger ledger(4);
    ledger.enter(arrival_of(0, 1000));
    ledger.enter(arrival_of(1, 1001));
    ledger.enter(arrival_of(1, 1001));
    ledger.enter(arrival_of(1, 1001));
    const LedgerSummary summary = ledger.summary();
    EXPECT_EQ(summary.expected, 4U);
    EXPECT_EQ(summary.delivered, 1U);
    EXPECT_EQ(summary.duplicated, 1U);
    EXPECT_EQ(summary.lost, 2U);
    EXPECT_EQ(summary.tuple_collisions, 0U);
    EXPECT_FALSE(ledger.complete());
}

TEST(Ledger, IsCompleteWhenAllArrived) {
    Ledger ledger(2);
    ledger.enter(arrival_of(1, 1));
    EXPECT_FALSE(ledger.complete());
    ledger.enter(arrival_of(1, 1));
    EXPECT_FALSE(ledger.complete());
    ledger.enter(arrival_of(0, 2));
    EXPECT_TRUE(ledger.complete());
}

TEST(Ledger, SeesOneTupleUsedByTwoConnections) {
    Ledger ledger(3);
    ledger.enter(arrival_of(0, 1000));
    ledger.enter(arrival_of(1, 1000));
    auto elsewhere = arrival_of(2, 1000);
    elsewhere.probe.destination = V4Address::from_host(1);
    ledger.enter(elsewhere);
    EXPECT_EQ(ledger.summary().tuple_collisions, 1U);
    EXPECT_EQ(ledger.summary().delivered, 3U);
}

TEST(Ledger, TrustsNothingWithABadChecksum) {
    Ledger ledger(1);
    auto damaged = arrival_of(0, 1000);
    damaged.checksums_good = false;
    ledger.enter(damaged);
    EXPECT_EQ(ledger.summary().bad_checksums, 1U);
    EXPECT_EQ(ledger.summary().lost, 1U);
}

TEST(Ledger, ManyCopiesDoNotWrapAround) {
    Ledger ledger(1);
    for (int i = 0; i < 257; ++i)
        ledger.enter(arrival_of(0, 1000));
    EXPECT_EQ(ledger.summary().duplicated, 1U);
}

TEST(Ledger, OneSocketOwnsItsTupleTwice) {
    Ledger ledger(4, Sockets::shared);
    ledger.enter(arrival_of(0, 1000));
    ledger.enter(arrival_of(1, 1000));
    EXPECT_EQ(ledger.summary().tuple_collisions, 0U);
    ledger.enter(arrival_of(2, 1000));
    EXPECT_EQ(ledger.summary().tuple_collisions, 1U);
    EXPECT_EQ(ledger.summary().split_pairs, 0U);
}

TEST(Ledger, SeesAPairAtTwoDestinations) {
    Ledger ledger(6, Sockets::shared);
    for (std::uint32_t id = 0; id < 6; ++id) {
        auto arrival = arrival_of(id, 1000);
        // The pairs, by destination: 10 and 10, 10 and 11, 11 and 11.
        arrival.probe.destination = V4Address::from_host(id < 3 ? 10 : 11);
        arrival.probe.source_port = static_cast<std::uint16_t>(1000 + id / 2);
        ledger.enter(arrival);
    }
    EXPECT_EQ(ledger.summary().split_pairs, 1U);
    EXPECT_EQ(ledger.summary().delivered, 6U);
    EXPECT_EQ(ledger.summary().tuple_collisions, 0U);
}

TEST(Ledger, HalfAPairIsNotSplit) {
    Ledger ledger(2, Sockets::shared);
    ledger.enter(arrival_of(1, 1000));
    EXPECT_EQ(ledger.summary().split_pairs, 0U);
    EXPECT_EQ(ledger.summary().lost, 1U);
}

TEST(Ledger, CountsIdsThatNobodySent) {
    Ledger ledger(1);
    ledger.enter(arrival_of(1, 1000));
    EXPECT_EQ(ledger.summary().strangers, 1U);
    EXPECT_EQ(ledger.summary().lost, 1U);
}

}  // namespace
}  // namespace noclash::tools::ledger_test
