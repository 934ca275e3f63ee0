// SPDX-License-Identifier: Apache-2.0
#include "engine/reservation.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "tests/unit/engine/engine_fixture.hpp"

namespace noclash::test::reservation_test {

template <class Family>
class ReservationTest : public testing::Test {
  public:
    OneWorker<Family> one{64};
};
using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(ReservationTest, Families);

TYPED_TEST(ReservationTest, ClaimedIsTakenButNotUsableUntilPublished) {
    const auto key = tuple<TypeParam>(1, 1);
    Reservation<TypeParam> reservation(this->one.worker, key);
    ASSERT_EQ(reservation.error(), SetupError::none);
    const Found found = this->one.find(key);
    ASSERT_EQ(found.flow, reservation.id());
    auto& record = this->one.worker.record(found.flow);
    EXPECT_EQ(record.status.load(), FlowStatus::setup);

    const Reservation<TypeParam> rival(this->one.worker, key);
    EXPECT_EQ(rival.error(), SetupError::taken);
    EXPECT_EQ(rival.owner().flow, found.flow);

    ASSERT_EQ(reservation.reserve(key.inverse()), SetupError::none);
    reservation.publish(1000, 0);
    EXPECT_EQ(record.status.load(), FlowStatus::live);
}

TYPED_TEST(ReservationTest, ATakenReplyTupleIsRefusedAndTheNextProposalServes) {
    const auto first = tuple<TypeParam>(1, 1);
    this->one.add(first);
    Reservation<TypeParam> reservation(this->one.worker, tuple<TypeParam>(2, 2));
    EXPECT_EQ(reservation.reserve(first.inverse()), SetupError::taken);
    EXPECT_EQ(this->one.find(first.inverse()).direction, Direction::reply);
    EXPECT_EQ(reservation.reserve(tuple<TypeParam>(7, 7)), SetupError::none);
    EXPECT_EQ(this->one.worker.counters().found.value(), 1U);
}

TYPED_TEST(ReservationTest, RollsBackWhateverWasDone) {
    const auto key = tuple<TypeParam>(1, 1);
    { const Reservation<TypeParam> claimed(this->one.worker, key); }
    EXPECT_FALSE(this->one.find(key));
    {
        Reservation<TypeParam> reserved(this->one.worker, key);
        ASSERT_EQ(reserved.reserve(key.inverse()), SetupError::none);
    }
    EXPECT_FALSE(this->one.find(key));
    EXPECT_FALSE(this->one.find(key.inverse()));
    EXPECT_EQ(this->one.worker.counters().rolled_back.value(), 2U);
}

TYPED_TEST(ReservationTest, RollbackLeaksNothing) {
    // Far more rounds than there are records or slots.
    for (std::uint32_t i = 0; i < 5000; ++i) {
        Reservation<TypeParam> reservation(this->one.worker, tuple<TypeParam>(i, 1));
        ASSERT_EQ(reservation.error(), SetupError::none) << i;
        if (i % 2 == 0) {
            ASSERT_EQ(reservation.reserve(tuple<TypeParam>(i, 2)), SetupError::none);
        }
        this->one.settle();
    }
    EXPECT_EQ(this->one.table.index().occupancy().entries, 0U);
}

TYPED_TEST(ReservationTest, AFullTableIsSaidAndRecovers) {
    auto& worker = this->one.worker;
    for (std::uint32_t i = 0; i < 64; ++i)
        ASSERT_NE(this->one.add(tuple<TypeParam>(i, 1), 50), no_flow);
    std::vector<FlowId> rest;
    while (const FlowId id = worker.take_record())
        rest.push_back(id);
    EXPECT_EQ(Reservation<TypeParam>(worker, tuple<TypeParam>(1U << 20U, 1)).error(),
              SetupError::table_full);
    EXPECT_EQ(worker.counters().table_full.value(), 2U);
    this->one.settle(60'000);
    EXPECT_EQ(worker.counters().removed.value(), 64U);
    for (std::uint32_t i = 0; i < 64; ++i)
        EXPECT_NE(this->one.add(tuple<TypeParam>(i, 2), 100'000, 60'000), no_flow);
    for (const FlowId id : rest)
        worker.give_back_record(id);
}

TYPED_TEST(ReservationTest, AReaderKeepsAReleasedRecordFromReuse) {
    const auto key = tuple<TypeParam>(1, 1);
    const FlowId id = this->one.add(key);
    auto& quiescence = this->one.table.quiescence();
    quiescence.online(1);  // somebody looks at the flow
    ASSERT_TRUE(this->one.table.release(id, this->one.worker.counters(), [](const auto&) {}));
    this->one.settle(60'000);
    EXPECT_EQ(this->one.worker.record(id).status.load(), FlowStatus::dead);
    EXPECT_EQ(this->one.worker.record(id).tuple(Direction::original), key);
    quiescence.offline(1);
    this->one.settle(60'000);
    EXPECT_EQ(this->one.worker.record(id).status.load(), FlowStatus::free);
}

TYPED_TEST(ReservationTest, OnlyOneReleaseCounts) {
    const FlowId id = this->one.add(tuple<TypeParam>(1, 1));
    auto& counters = this->one.worker.counters();
    EXPECT_TRUE(this->one.table.release(id, counters, [](const auto&) {}));
    EXPECT_FALSE(this->one.table.release(id, counters, [](const auto&) {}));
    EXPECT_EQ(counters.removed.value(), 1U);
}

}  // namespace noclash::test::reservation_test
