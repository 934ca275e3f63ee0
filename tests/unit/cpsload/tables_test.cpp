// SPDX-License-Identifier: Apache-2.0

// The tester's books: slots, deadlines, owners of tuples, latencies.

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tools/cpsload/connection.hpp"
#include "tools/cpsload/deadlines.hpp"
#include "tools/cpsload/histogram.hpp"
#include "tools/cpsload/tuple_owners.hpp"

namespace noclash::cpsload::tables_test {
namespace {

TEST(Histogram, KeepsSmallValuesExactly) {
    Histogram histogram;
    for (std::uint64_t value = 1; value <= 100; ++value)
        histogram.record(value);
    EXPECT_EQ(histogram.count(), 100U);
    EXPECT_EQ(histogram.quantile(0.5), 50U);
    EXPECT_EQ(histogram.quantile(0.99), 99U);
    EXPECT_EQ(histogram.quantile(1), 100U);
    EXPECT_EQ(histogram.highest(), 100U);
}

TEST(Histogram, IsWithinItsBoundEverywhere) {
    std::mt19937_64 random(1);
    for (unsigned bits = 1; bits <= Histogram::value_bits; ++bits) {
        for (int i = 0; i < 200; ++i) {
            const std::uint64_t value =
                (random() >> (64 - bits)) | (std::uint64_t{1} << (bits - 1));
            Histogram histogram;
            histogram.record(value);
            histogram.record(UINT64_MAX);  // so that the answer is not the highest value
            const std::uint64_t found = histogram.quantile(0.5);
            EXPECT_GE(found, value);
            EXPECT_LE(found - value, value / 128) << value;
        }
    }
}

TEST(Histogram, IsEmptyAtFirst) {
    const Histogram histogram;
    EXPECT_EQ(histogram.quantile(0.5), 0U);
    EXPECT_EQ(histogram.count(), 0U);
}

TEST(Deadlines, ComeInOrderAndDouble) {
    Deadlines deadlines(8, 100, 2);
    deadlines.start(1, 0, 0);
    deadlines.start(2, 0, 10);
    deadlines.start(3, 2, 0);
    EXPECT_EQ(deadlines.waiting(), 3U);
    EXPECT_FALSE(deadlines.due(99));
    EXPECT_EQ(deadlines.due(100), 1U);
    deadlines.start(1, 1, 100);  // waits for 200 now
    EXPECT_FALSE(deadlines.due(109));
    EXPECT_EQ(deadlines.due(110), 2U);
    deadlines.stop(2);
    EXPECT_FALSE(deadlines.due(299));
    EXPECT_EQ(deadlines.due(300), 1U);
    deadlines.stop(1);
    EXPECT_FALSE(deadlines.due(399));
    EXPECT_EQ(deadlines.due(400), 3U);
    deadlines.stop(3);
    deadlines.stop(3);
    EXPECT_EQ(deadlines.waiting(), 0U);
    EXPECT_FALSE(deadlines.due(1'000'000));
}

TEST(Deadlines, StartAgainAtTheEnd) {
    Deadlines deadlines(4, 100, 0);
    deadlines.start(0, 0, 0);
    deadlines.start(1, 0, 1);
    deadlines.start(0, 0, 2);
    EXPECT_EQ(deadlines.due(101), 1U);
    deadlines.stop(1);
    EXPECT_FALSE(deadlines.due(101));
    EXPECT_EQ(deadlines.due(102), 0U);
}

TEST(TupleOwners, AgreesWithAMap) {
    constexpr std::uint32_t most = 64;
    TupleOwners owners(most);
    std::map<std::uint16_t, std::uint32_t> expected;  // by source port
    std::mt19937 random(7);
    for (int i = 0; i < 200'000; ++i) {
        const auto port = static_cast<std::uint16_t>(random() % 100 + 1);
        const std::uint32_t slot = random() % 8;
        const Ends ends{V4Address::from_host(1), V4Address::from_host(2), port, 80};
        const auto found = expected.find(port);
        if (random() % 2 == 0 && (expected.size() < most || found != expected.end())) {
            const bool mine = found == expected.end() || found->second == slot;
            ASSERT_EQ(owners.claim(ends, 6, slot), mine);
            if (found == expected.end()) expected[port] = slot;
        } else {
            owners.release(ends, 6, slot);
            if (found != expected.end() && found->second == slot) expected.erase(found);
        }
        const auto now = expected.find(port);
        ASSERT_EQ(owners.owner(ends, 6), now == expected.end() ? std::optional<std::uint32_t>()
                                                               : std::optional(now->second));
        ASSERT_FALSE(owners.owner(ends, 17));
    }
}

TEST(Identity, NamesASlotInEveryPacket) {
    for (const std::uint32_t payload : {8U, 32U, 1400U}) {
        const Identity identity(1U << 16U, payload);
        ASSERT_TRUE(identity.fits());
        for (const std::uint32_t slot : {0U, 1U, 777U, 65535U}) {
            for (const std::uint32_t generation : {0U, 1U, 0xffffU}) {
                const std::uint32_t isn = identity.client_isn(slot, generation);
                EXPECT_EQ(identity.slot_of_client_isn(isn), slot);
                for (std::uint32_t moved = 0; moved <= payload + 2; ++moved)
                    ASSERT_EQ(identity.slot_of_server_sequence(identity.server_isn(isn) + moved),
                              slot);
            }
        }
    }
    EXPECT_FALSE(Identity(1U << 22U, 1400).fits());
}

TEST(Connections, GiveEachUseOfASlotItsOwnNumber) {
    Settings settings;
    settings.in_flight = 3;
    Connections connections(settings);
    Connection& first = connections.take();
    const std::uint32_t isn = first.isn;
    const std::uint32_t slot = connections.slot_of(first);
    EXPECT_EQ(connections.identity().slot_of_client_isn(isn), slot);
    EXPECT_EQ(connections.live(), 1U);
    connections.release(first);
    Connection& second = connections.take();
    EXPECT_EQ(connections.slot_of(second), slot);
    EXPECT_NE(second.isn, isn);
    static_cast<void>(connections.take());
    static_cast<void>(connections.take());
    EXPECT_TRUE(connections.full());
    EXPECT_EQ(connections.live(), 3U);
}

}  // namespace
}  // namespace noclash::cpsload::tables_test
