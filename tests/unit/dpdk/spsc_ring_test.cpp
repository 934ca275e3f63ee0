// SPDX-License-Identifier: Apache-2.0
#include "dpdk/datapath/spsc_ring.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <thread>
#include <vector>

namespace noclash::dpdk::spsc_ring_test {
namespace {

TEST(SpscRing, IsBoundedAndInOrder) {
    SpscRing<int, 4> ring;
    std::vector<int> taken;
    const auto take = [&](int value) { taken.push_back(value); };
    EXPECT_TRUE(ring.empty());
    for (int i = 0; i < 4; ++i) {
        EXPECT_EQ(ring.left(), static_cast<std::size_t>(4 - i));
        EXPECT_TRUE(ring.push(i));
    }
    EXPECT_FALSE(ring.push(4));
    EXPECT_FALSE(ring.empty());
    EXPECT_EQ(ring.drain(take, 3), 3U);
    EXPECT_EQ(ring.left(), 3U);
    EXPECT_TRUE(ring.push(5));
    EXPECT_EQ(ring.drain(take), 2U);
    EXPECT_EQ(taken, (std::vector{0, 1, 2, 3, 5}));
    EXPECT_TRUE(ring.empty());
    EXPECT_EQ(ring.drain(take), 0U);
}

TEST(SpscRing, HandsWholeValuesFromThreadToThread) {
    constexpr std::uint64_t many = 200'000;
    using Value = std::array<std::uint64_t, 5>;
    SpscRing<Value, 64> ring;
    std::thread source([&] {
        for (std::uint64_t i = 0; i < many;)
            if (ring.push({i, i, i, i, i}))
                ++i;
            else
                std::this_thread::yield();
    });
    std::uint64_t next = 0;
    std::uint64_t wrong = 0;
    while (next < many) {
        const std::size_t taken = ring.drain(
            [&](const Value& value) {
                for (const std::uint64_t word : value)
                    wrong += word == next ? 0U : 1U;
                ++next;
            },
            16);
        if (taken == 0) std::this_thread::yield();
    }
    source.join();
    EXPECT_EQ(wrong, 0U);
    EXPECT_TRUE(ring.empty());
}

}  // namespace
}  // namespace noclash::dpdk::spsc_ring_test
