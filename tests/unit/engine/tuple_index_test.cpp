// SPDX-License-Identifier: Apache-2.0
#include "engine/tuple_index.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/unit/engine/engine_fixture.hpp"

namespace noclash::test::tuple_index_test {

template <class Family>
class TupleIndexTest : public testing::Test {
  public:
    OneWorker<Family> one{4096};

    /// Inserts a record's original tuple by hand.
    InsertResult insert(FlowId id, const Tuple<Family>& key) {
        auto& index = one.table.index();
        auto& record = one.table.pool()[id];
        record.tuple(Direction::original) = key;
        const InsertResult result =
            index.insert(id, Direction::original, key, index.hash(key), one.worker.counters());
        record.place(Direction::original) = result.place;
        return result;
    }
    void remove(FlowId id) { one.table.index().remove(place(id)); }
    void reclaim(FlowId id) { one.table.index().reclaim_slot(place(id)); }
    IndexPlace place(FlowId id) { return one.table.pool()[id].place(Direction::original); }
};
using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(TupleIndexTest, Families);

TYPED_TEST(TupleIndexTest, SecondInsertOfAKeyIsTakenAndNamesTheOwner) {
    const auto key = tuple<TypeParam>(1, 1);
    EXPECT_EQ(this->insert(1, key).error, SetupError::none);
    const InsertResult second = this->insert(2, key);
    EXPECT_EQ(second.error, SetupError::taken);
    EXPECT_EQ(second.owner.flow, 1U);
    EXPECT_EQ(this->one.find(key).flow, 1U);
}

TYPED_TEST(TupleIndexTest, RemovedIsNotFoundAndMayBeInsertedAtOnce) {
    const auto key = tuple<TypeParam>(1, 1);
    this->insert(1, key);
    this->remove(1);
    EXPECT_FALSE(this->one.find(key));
    EXPECT_EQ(this->insert(2, key).error, SetupError::none);
    this->reclaim(1);
    EXPECT_EQ(this->one.find(key).flow, 2U);
}

TYPED_TEST(TupleIndexTest, AgreesWithAMapUnderRandomOperations) {
    std::mt19937 random(7);
    std::map<std::uint16_t, FlowId> model;  // by port
    std::vector<FlowId> free;
    for (FlowId id = 4000; id > 0; --id)
        free.push_back(id);
    for (int i = 0; i < 60000; ++i) {
        const auto port = static_cast<std::uint16_t>(random() % 3000);
        const auto key = tuple<TypeParam>(9, port);
        const auto known = model.find(port);
        ASSERT_EQ(this->one.find(key).flow, known == model.end() ? no_flow : known->second);
        if (random() % 2 == 0) {
            const InsertResult result = this->insert(free.back(), key);
            ASSERT_EQ(result.error, known == model.end() ? SetupError::none : SetupError::taken);
            if (known != model.end()) continue;
            model[port] = free.back();
            free.pop_back();
        } else if (known != model.end()) {
            this->remove(known->second);
            this->reclaim(known->second);
            free.push_back(known->second);
            model.erase(known);
        }
    }
    EXPECT_EQ(this->one.table.index().occupancy().entries, model.size());
}

TYPED_TEST(TupleIndexTest, HoldsItsNominalFlowsWithFewOverflows) {
    // Both tuples of 90 % of the nominal flows.
    OneWorker<TypeParam> big(100'000);
    for (std::uint32_t i = 0; i < 90'000; ++i)
        ASSERT_NE(big.add(tuple<TypeParam>(i, 1000)), no_flow) << i;
    const auto occupancy = big.table.index().occupancy();
    EXPECT_EQ(occupancy.entries, 180'000U);
    EXPECT_LT(static_cast<double>(occupancy.overflowing_buckets) * 100,
              static_cast<double>(big.table.index().buckets()));
    for (std::uint32_t i = 0; i < 90'000; ++i) {
        const auto key = tuple<TypeParam>(i, 1000);
        ASSERT_EQ(big.find(key).direction, Direction::original);
        ASSERT_EQ(big.find(key.inverse()).direction, Direction::reply);
    }
}

TYPED_TEST(TupleIndexTest, AFullChainIsSaidAndCounted) {
    // An index for one flow has one bucket: every key falls into it.
    OneWorker<TypeParam> tiny(1);
    ASSERT_EQ(tiny.table.index().buckets(), 1U);
    std::uint32_t added = 0;
    while (tiny.add(tuple<TypeParam>(added, 1)) != no_flow)
        ++added;
    EXPECT_EQ(added, BucketHeader::positions / 2);
    EXPECT_GE(tiny.worker.counters().chain_too_long.value(), 1U);
    for (std::uint32_t i = 0; i < added; ++i)
        EXPECT_TRUE(tiny.find(tuple<TypeParam>(i, 1)));
    EXPECT_FALSE(tiny.find(tuple<TypeParam>(added, 1)));
}

}  // namespace noclash::test::tuple_index_test
