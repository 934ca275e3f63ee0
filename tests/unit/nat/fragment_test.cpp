// SPDX-License-Identifier: Apache-2.0
#include "nat/packet/fragment.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "nat/fragments/fragment_quota.hpp"
#include "tests/unit/nat/packets.hpp"

namespace noclash::nat::fragment_test {
namespace {

using test::Bytes;

constexpr unsigned more = 0x2000;

/// A fragment with so much payload; `word` is what its header says of flags and offset.
DropReason judged(std::size_t payload, unsigned word, std::uint32_t most = 12000,
                  const Bytes& options = {}) {
    Bytes packet = test::ipv4({}, 17, Bytes(payload), options);
    test::put16(packet, 6, word);
    return check_fragment<V4>(test::view(packet), most);
}

TEST(Fragment, HasBytesAndEndsWhereAnotherCanBegin) {
    EXPECT_EQ(judged(8, more), DropReason::none);
    EXPECT_EQ(judged(1480, more | 185), DropReason::none);
    EXPECT_EQ(judged(1481, more), DropReason::fragment_invalid);
    EXPECT_EQ(judged(7, more | 1), DropReason::fragment_invalid);
    EXPECT_EQ(judged(7, 1), DropReason::none);  // the last one ends where it ends
    EXPECT_EQ(judged(0, more), DropReason::fragment_invalid);
    EXPECT_EQ(judged(0, 1), DropReason::fragment_invalid);
}

TEST(Fragment, EndsWithinThePacket) {
    EXPECT_EQ(judged(100, 1485), DropReason::none);  // 20 + 11,880 + 100
    EXPECT_EQ(judged(101, 1485), DropReason::fragment_too_big);
    EXPECT_EQ(judged(100, 1485, 12000, Bytes(4)), DropReason::fragment_too_big);
    EXPECT_EQ(judged(1000, 0x1fff, 65535), DropReason::fragment_too_big);
}

V4Address address(std::uint32_t number) {
    return V4Address::from_host(0x0a000000 + number);
}

// [RFC 4787 REQ-14]
TEST(FragmentQuota, EachHasItsBoundAndAllTogetherTheirs) {
    FragmentQuota<V4> shares(10, 4);
    for (int i = 0; i < 4; ++i) {
        EXPECT_FALSE(shares.exhausted(address(1)));
        shares.add(address(1));
    }
    EXPECT_TRUE(shares.exhausted(address(1)));
    EXPECT_FALSE(shares.exhausted(address(2)));
    for (std::uint32_t i = 0; i < 6; ++i) {
        EXPECT_FALSE(shares.full());
        shares.add(address(10 + i));
    }
    EXPECT_TRUE(shares.full());
    shares.remove(address(1), 4);
    EXPECT_FALSE(shares.full());
    EXPECT_FALSE(shares.exhausted(address(1)));
    EXPECT_EQ(shares.total(), 6U);
}

TEST(FragmentQuota, CountsAsAMapWould) {
    std::mt19937 random(1);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same test each time
    constexpr std::uint32_t capacity = 64;
    for (int round = 0; round < 200; ++round) {
        FragmentQuota<V4> shares(capacity, capacity);
        std::map<std::uint32_t, std::uint32_t> expected;
        for (int step = 0; step < 500; ++step) {
            const auto source = static_cast<std::uint32_t>(random() % (2UL * capacity));
            if (random() % 2 == 0 && !shares.full()) {
                shares.add(address(source));
                ++expected[source];
            } else if (expected[source] > 0) {
                const auto count = static_cast<std::uint32_t>(1 + random() % expected[source]);
                shares.remove(address(source), count);
                expected[source] -= count;
            }
            std::uint32_t total = 0;
            for (const auto& [number, count] : expected) {
                ASSERT_EQ(shares.held_by(address(number)), count);
                total += count;
            }
            ASSERT_EQ(shares.total(), total);
        }
    }
}

}  // namespace
}  // namespace noclash::nat::fragment_test
