// SPDX-License-Identifier: Apache-2.0
#include "engine/index_bucket.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace noclash::test {

TEST(BucketHeader, MatchesAreExactForAnyTags) {
    std::mt19937_64 random(1);
    for (int round = 0; round < 20000; ++round) {
        const BucketHeader header(random());
        for (unsigned tag = 1; tag < 16; ++tag) {
            std::vector<unsigned> expected, seen;
            for (unsigned slot = 0; slot < BucketHeader::tagged_slots; ++slot)
                if (((header.word() >> (4 * slot)) & 0xf) == tag) expected.push_back(slot);
            for (auto left = header.matches(tag); left != 0; left &= left - 1)
                seen.push_back(BucketHeader::slot_of(left));
            ASSERT_EQ(seen, expected) << std::hex << header.word() << " tag " << tag;
        }
    }
}

TEST(BucketHeader, WithAndWithoutBumpTheVersion) {
    BucketHeader header;
    for (unsigned position = 0; position < BucketHeader::positions; ++position) {
        const BucketHeader more = header.with(position, 0xf);
        EXPECT_EQ(more.visible(), position + 1);
        EXPECT_NE(more.word() >> 58U, header.word() >> 58U);
        const BucketHeader back = more.without(position);
        EXPECT_EQ(back.word() << 6U, header.word() << 6U);
        EXPECT_NE(back.word(), header.word());
        header = more;
    }
}

TEST(BucketHeader, VersionWrapsWithoutTouchingTheRest) {
    BucketHeader header = BucketHeader().with(3, 7).with(13, 1);
    const auto entries = header.word() << 6U;
    for (int i = 0; i < 300; ++i)
        header = header.with(5, 9).without(5);
    EXPECT_EQ(header.word() << 6U, entries);
}

TEST(BucketHeader, TagIsNeverZero) {
    for (std::uint64_t hash = 0; hash < 0x20000; ++hash) {
        ASSERT_GE(BucketHeader::tag_of(hash), 1U);
        ASSERT_LE(BucketHeader::tag_of(hash), 15U);
    }
}

TEST(RefFormat, RoundTripsAtEveryPoolSize) {
    std::mt19937_64 random(2);
    for (unsigned bits = 1; bits <= 28; ++bits) {
        const FlowId last = (FlowId{1} << bits) - 1;
        const RefFormat format(last);
        for (const FlowId flow : {FlowId{1}, last}) {
            for (const auto direction : {Direction::original, Direction::reply}) {
                const std::uint64_t hash = random();
                const SlotRef ref = format.pack(flow, direction, hash);
                EXPECT_NE(ref, 0U);
                EXPECT_EQ(format.flow(ref), flow);
                EXPECT_EQ(RefFormat::direction(ref), direction);
                EXPECT_TRUE(format.agrees(ref, hash));
            }
        }
    }
}

}  // namespace noclash::test
