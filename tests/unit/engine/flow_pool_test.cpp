// SPDX-License-Identifier: Apache-2.0
#include "engine/flow_pool.hpp"

#include <gtest/gtest.h>

#include <set>

#include "engine/flow_cache.hpp"
#include "engine/production.hpp"

namespace noclash::test::flow_pool_test {

using Pool = FlowPool<V4, Production>;
using Cache = FlowCache<V4, Production>;

TEST(FlowPool, GivesEveryRecordOnceAndTakesAllBack) {
    Pool pool(3 * Pool::chunk, 0);
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
    Pool pool(10 * Pool::chunk, 0);
    Cache one(pool), other(pool);
    std::vector<FlowId> taken;
    while (const FlowId id = one.take())
        taken.push_back(id);
    EXPECT_EQ(other.take(), no_flow);
    for (const FlowId id : taken)
        one.give(id);
    // All but the two chunks that `one` may keep.
    std::set<FlowId> reached;
    while (const FlowId id = other.take())
        ASSERT_TRUE(reached.insert(id).second) << id << " twice";
    EXPECT_GE(reached.size(), taken.size() - std::size_t{2} * Pool::chunk);
    while (const FlowId id = one.take())
        ASSERT_TRUE(reached.insert(id).second) << id << " twice";
    EXPECT_EQ(reached.size(), taken.size());
}

TEST(FlowPool, CachesHoldThreeChunksAtMostInWhateverOrderRecordsComeAndGo) {
    Pool pool(10 * Pool::chunk, 0);
    Cache one(pool), other(pool);
    std::vector<FlowId> taken;
    for (unsigned step = 0; step < 2000; ++step) {
        // Runs of takes and gives of many lengths.
        for (unsigned i = 0; i < step * 7 % (3 * Pool::chunk); ++i)
            if (const FlowId id = one.take()) taken.push_back(id);
        for (unsigned i = 0; i < step * 11 % (3 * Pool::chunk) && !taken.empty(); ++i) {
            one.give(taken[taken.size() / 2]);
            taken.erase(taken.begin() + static_cast<std::ptrdiff_t>(taken.size() / 2));
        }
        std::vector<FlowId> others;
        while (const FlowId id = other.take())
            others.push_back(id);
        EXPECT_GE(others.size() + taken.size(), pool.last_id() - std::size_t{3} * Pool::chunk);
        std::set<FlowId> different(others.begin(), others.end());
        different.insert(taken.begin(), taken.end());
        ASSERT_EQ(different.size(), others.size() + taken.size());
        for (const FlowId id : others)
            other.give(id);
    }
}

TEST(FlowRecord, IsTwoCacheLinesForIpv4) {
    EXPECT_EQ(sizeof(Flow<V4, Production>), 128U);
    EXPECT_EQ(sizeof(Flow<V6, Production>), 192U);
}

}  // namespace noclash::test::flow_pool_test
