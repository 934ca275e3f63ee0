// SPDX-License-Identifier: Apache-2.0
#include "engine/flow_pool.hpp"

#include <gtest/gtest.h>

#include <set>

#include "engine/production.hpp"

namespace noclash::test {

using Pool = FlowPool<V4, Production>;
using Cache = FlowCache<V4, Production>;

TEST(FlowPool, GivesEveryRecordOnceAndTakesAllBack) {
    Pool pool(100, 0);
    Cache cache(pool);
    std::set<FlowId> taken;
    while (const FlowId id = cache.take()) {
        ASSERT_TRUE(taken.insert(id).second) << id << " twice";
        ASSERT_LE(id, pool.last_id());
    }
    EXPECT_EQ(taken.size(), pool.last_id());
    for (const FlowId id : taken)
        cache.give(id);
    std::set<FlowId> again;
    while (const FlowId id = cache.take())
        again.insert(id);
    EXPECT_EQ(again, taken);
}

TEST(FlowPool, OneWorkersReturnsReachAnother) {
    Pool pool(320, 0);
    Cache one(pool), other(pool);
    std::vector<FlowId> taken;
    while (const FlowId id = one.take())
        taken.push_back(id);
    EXPECT_EQ(other.take(), no_flow);
    for (const FlowId id : taken)
        one.give(id);
    // All but the two chunks that `one` may keep.
    std::size_t reached = 0;
    while (other.take() != no_flow)
        ++reached;
    EXPECT_GE(reached, taken.size() - std::size_t{2} * Pool::chunk);
}

TEST(FlowRecord, IsTwoCacheLinesForIpv4) {
    EXPECT_EQ(sizeof(Flow<V4, Production>), 128U);
    EXPECT_EQ(sizeof(Flow<V6, Production>), 192U);
}

}  // namespace noclash::test
