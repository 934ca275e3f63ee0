// SPDX-License-Identifier: Apache-2.0
#include "dpdk/datapath/hold_queue.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>

namespace noclash::dpdk::hold_queue_test {
namespace {

using Queue = HoldQueue<unsigned>;

class HoldQueueTest : public ::testing::Test {
  protected:
    bool enter(Queue& queue, std::uint64_t key, unsigned packet, std::uint64_t now_ms = 0) {
        return queue.enter(key, packet, now_ms, [&](unsigned old) { evicted_.push_back(old); });
    }
    /// All that waits, in the order in which it is handed out.
    std::vector<unsigned> visit(Queue& queue, std::size_t lines = 1000,
                                std::size_t packets = 1000) {
        std::vector<unsigned> taken;
        complete_ = queue.visit(
            lines, packets, [](unsigned) { return true; },
            [&](unsigned packet) { taken.push_back(packet); });
        return taken;
    }

    std::vector<unsigned> evicted_;
    bool complete_ = false;
};

TEST_F(HoldQueueTest, ALineKeepsItsOrderAndGoesAsAWhole) {
    Queue queue(16);
    EXPECT_TRUE(queue.empty());
    for (unsigned i = 0; i < 4; ++i) {
        EXPECT_TRUE(enter(queue, 7, i));
        EXPECT_TRUE(enter(queue, 8, 10 + i));
    }
    EXPECT_EQ(queue.size(), 8U);
    EXPECT_EQ(visit(queue), (std::vector<unsigned>{0, 1, 2, 3, 10, 11, 12, 13}));
    EXPECT_TRUE(complete_);
    EXPECT_TRUE(queue.empty());
}

TEST_F(HoldQueueTest, WhatWaitsOnStays) {
    Queue queue(16);
    for (unsigned i = 0; i < 3; ++i)
        EXPECT_TRUE(enter(queue, 1 + i, i));
    std::vector<unsigned> taken;
    EXPECT_TRUE(queue.visit(
        10, 10, [](unsigned packet) { return packet == 1; },
        [&](unsigned packet) { taken.push_back(packet); }));
    EXPECT_EQ(taken, std::vector<unsigned>{1});
    EXPECT_EQ(queue.size(), 2U);
}

TEST_F(HoldQueueTest, AVisitIsBoundedAndGoesOnWhereItEnded) {
    Queue queue(64);
    for (unsigned i = 0; i < 10; ++i)
        EXPECT_TRUE(enter(queue, 1, i));
    EXPECT_TRUE(enter(queue, 2, 100));
    EXPECT_EQ(visit(queue, 10, 4), (std::vector<unsigned>{0, 1, 2, 3}));
    EXPECT_FALSE(complete_);
    EXPECT_EQ(visit(queue, 10, 6), (std::vector<unsigned>{4, 5, 6, 7, 8, 9}));
    EXPECT_EQ(visit(queue, 10, 4), (std::vector<unsigned>{100}));
    EXPECT_TRUE(complete_);
}

TEST_F(HoldQueueTest, EveryLineIsSeenInItsTurn) {
    Queue queue(64);
    for (unsigned i = 0; i < 6; ++i)
        EXPECT_TRUE(enter(queue, 1 + i, i));
    std::map<unsigned, int> asked;
    for (int round = 0; round < 6; ++round) {
        (void)queue.visit(
            2, 10, [&](unsigned packet) { return ++asked[packet] == 0; }, [](unsigned) {});
    }
    for (unsigned i = 0; i < 6; ++i)
        EXPECT_EQ(asked[i], 2) << i;
}

TEST_F(HoldQueueTest, OneNeighborGetsFourFifthsAndLeavesTheRest) {
    Queue queue(5120);
    unsigned admitted = 0;
    while (enter(queue, 1, admitted))
        ++admitted;
    EXPECT_EQ(admitted, 4096U);
    // A second one finds room, and so do many after it.
    for (std::uint64_t key = 2; key < 500; ++key)
        EXPECT_TRUE(enter(queue, key, 0)) << key;
    EXPECT_TRUE(evicted_.empty());
}

TEST_F(HoldQueueTest, WhenItIsFullTheOldestLineMakesRoomIfItIsLate) {
    Queue queue(4);
    for (std::uint64_t key = 1; key <= 4; ++key)
        EXPECT_TRUE(enter(queue, key, static_cast<unsigned>(key), key));
    EXPECT_FALSE(enter(queue, 5, 5, 1000));
    EXPECT_TRUE(enter(queue, 5, 5, 1 + Queue::patience_ms));
    EXPECT_EQ(evicted_, std::vector<unsigned>{1});
    EXPECT_EQ(visit(queue), (std::vector<unsigned>{2, 3, 4, 5}));
}

TEST_F(HoldQueueTest, LinesAreBoundedToo) {
    Queue queue(100'000);
    for (unsigned i = 0; i < Queue::most_lines; ++i)
        ASSERT_TRUE(enter(queue, 1 + i, i));
    EXPECT_TRUE(enter(queue, 1, 9999));
    EXPECT_FALSE(enter(queue, 1'000'000, 0));
    EXPECT_TRUE(enter(queue, 1'000'000, 1, Queue::patience_ms));
    EXPECT_EQ(evicted_, (std::vector<unsigned>{0, 9999}));
    EXPECT_EQ(queue.size(), Queue::most_lines);
}

TEST_F(HoldQueueTest, NothingIsLostOrMixedUp) {
    Queue queue(200);
    std::map<std::uint64_t, std::deque<unsigned>> model;
    std::mt19937 random(5);
    std::size_t waiting = 0;
    for (unsigned i = 0; i < 200'000; ++i) {
        const std::uint64_t key = 1 + random() % 40;
        if (enter(queue, key, i)) {
            model[key].push_back(i);
            ++waiting;
        }
        if (random() % 30 != 0) continue;
        const auto going = static_cast<unsigned>(random() % 3);
        (void)queue.visit(
            random() % 8, 1 + random() % 20, [&](unsigned packet) { return packet % 3 == going; },
            [&](unsigned packet) {
                const auto line = std::ranges::find_if(model, [&](const auto& one) {
                    return !one.second.empty() && one.second.front() == packet;
                });
                ASSERT_NE(line, model.end()) << packet << " was not the first of any line";
                line->second.pop_front();
                --waiting;
            });
        ASSERT_EQ(queue.size(), waiting);
    }
    std::size_t cleared = 0;
    queue.clear([&](unsigned) { ++cleared; });
    EXPECT_EQ(cleared, waiting);
    EXPECT_TRUE(queue.empty());
    EXPECT_TRUE(evicted_.empty());
}

}  // namespace
}  // namespace noclash::dpdk::hold_queue_test
