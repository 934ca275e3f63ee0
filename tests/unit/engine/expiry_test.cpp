// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdint>

#include "tests/unit/engine/engine_fixture.hpp"

namespace noclash::test::expiry_test {

using One = OneWorker<V4>;
constexpr std::uint64_t tick = 100;

/// Lets time pass tick by tick, as a worker sees it.
void pass(One& one, std::uint64_t from_ms, std::uint64_t to_ms) {
    for (std::uint64_t now = from_ms; now <= to_ms; now += tick)
        one.settle(now);
}

TEST(Expiry, AFlowDiesAtItsTimeAndNotBefore) {
    One one;
    one.add(tuple<V4>(1, 1), 3000);
    pass(one, 0, 2900);
    EXPECT_TRUE(one.find(tuple<V4>(1, 1)));
    pass(one, 3000, 3300);
    EXPECT_FALSE(one.find(tuple<V4>(1, 1)));
    EXPECT_FALSE(one.find(tuple<V4>(1, 1).inverse()));
}

TEST(Expiry, APacketPutsItOff) {
    One one;
    const FlowId id = one.add(tuple<V4>(1, 1), 3000);
    pass(one, 0, 2500);
    one.worker.record(id).expires.store(6000);
    pass(one, 2600, 5900);
    EXPECT_TRUE(one.find(tuple<V4>(1, 1)));
    pass(one, 6000, 6300);
    EXPECT_FALSE(one.find(tuple<V4>(1, 1)));
}

TEST(Expiry, TimeoutsOfDaysFitAndShorteningIsSeenSoon) {
    One one;
    const FlowId id = one.add(tuple<V4>(1, 1), 432'000'000);
    pass(one, 0, 60'000);
    EXPECT_TRUE(one.find(tuple<V4>(1, 1)));
    one.worker.record(id).expires.store(61'000);
    pass(one, 60'100, 61'000 + ExpiryWheel<V4, Production>::recheck_ms + 2 * tick);
    EXPECT_FALSE(one.find(tuple<V4>(1, 1)));
}

TEST(Expiry, TheClockMayWrap) {
    // `Moment` is 32 bits of milliseconds: 49 days. A flow across the edge.
    const std::uint64_t start = (1ULL << 32U) - 2000;
    FlowTable<V4> table(64, 1, 2);
    FlowWorker<V4> worker(table, 0, start);
    worker.online();
    {
        Reservation<V4> reservation(worker, tuple<V4>(1, 1));
        ASSERT_EQ(reservation.reserve(tuple<V4>(1, 1).inverse()), SetupError::none);
        reservation.publish(to_moment(start + 5000), start);
    }
    const auto alive = [&](std::uint64_t now) {
        worker.quiescent();
        worker.maintain(now, 100, [](const auto&) {});
        return static_cast<bool>(
            table.index().find(tuple<V4>(1, 1), table.index().hash(tuple<V4>(1, 1))));
    };
    for (std::uint64_t now = start; now < start + 5000; now += tick)
        ASSERT_TRUE(alive(now)) << now - start;
    bool ended = false;
    for (std::uint64_t now = start + 5000; now < start + 5400; now += tick)
        ended = !alive(now);
    EXPECT_TRUE(ended);
}

TEST(Expiry, WorkIsDoneInSlices) {
    One one(4096);
    for (std::uint32_t i = 0; i < 1000; ++i)
        ASSERT_NE(one.add(tuple<V4>(i, 1), 1000), no_flow);
    std::uint64_t gone = 0;
    one.worker.maintain(2000, 10, [&](const auto&) { ++gone; });
    EXPECT_EQ(gone, 10U);
    for (int i = 0; i < 200; ++i)
        one.worker.maintain(2000, 10, [&](const auto&) { ++gone; });
    EXPECT_EQ(gone, 1000U);
}

TEST(Expiry, RecordsComeBackForever) {
    One one(64);
    std::uint64_t now = 0;
    for (std::uint32_t round = 0; round < 200; ++round) {
        for (std::uint32_t i = 0; i < 64; ++i)
            ASSERT_NE(one.add(tuple<V4>(i, 1), to_moment(now + 1000), now), no_flow) << round;
        for (const std::uint64_t end = now + 1500; now < end; now += tick)
            one.settle(now);
        ASSERT_EQ(one.table.index().occupancy().entries, 0U) << round;
    }
}

}  // namespace noclash::test::expiry_test
