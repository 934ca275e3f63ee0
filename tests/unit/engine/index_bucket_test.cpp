// SPDX-License-Identifier: Apache-2.0
#include "engine/index_bucket.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace noclash::test::index_bucket_test {

std::vector<unsigned> listed(PositionSet set) {
    std::vector<unsigned> positions;
    EXPECT_EQ(static_cast<bool>(set), set.size() != 0);
    for (; set; set.drop_first())
        positions.push_back(set.first());
    return positions;
}

TEST(BucketHeader, SetsAreExactForAnyWord) {
    std::mt19937_64 random(1);
    for (int round = 0; round < 20000; ++round) {
        const std::uint64_t word = random() & (round % 2 == 0 ? ~0ULL : random());
        const auto tag_at = [&](unsigned slot) { return (word >> (4 * slot)) & 0xfU; };
        std::vector<unsigned> shown, hidden, overflow;
        for (unsigned slot = 0; slot < BucketHeader::local_slots; ++slot)
            (tag_at(slot) != 0 ? shown : hidden).push_back(slot);
        for (unsigned i = 0; i < BucketHeader::shared_slots; ++i) {
            const bool set = ((word >> (52 + i)) & 1U) != 0;
            (set ? shown : hidden).push_back(BucketHeader::local_slots + i);
            if (set) overflow.push_back(BucketHeader::local_slots + i);
        }
        const BucketHeader header(word);
        ASSERT_EQ(listed(header.shown()), shown) << std::hex << word;
        ASSERT_EQ(listed(header.hidden()), hidden) << std::hex << word;
        ASSERT_EQ(listed(header.overflow()), overflow);
        ASSERT_EQ(header.overflowing(), overflow.size());
        for (unsigned tag = 1; tag < 16; ++tag) {
            std::vector<unsigned> expected;
            for (unsigned slot = 0; slot < BucketHeader::local_slots; ++slot)
                if (tag_at(slot) == tag) expected.push_back(slot);
            ASSERT_EQ(listed(header.tagged(tag)), expected) << std::hex << word << " " << tag;
            std::vector<unsigned> directly;
            for (PositionSet set = header.tagged(tag); set; set.drop_first())
                directly.push_back(set.first_tagged());
            ASSERT_EQ(directly, expected);
            const PositionSet first = header.first_tagged(tag);
            ASSERT_EQ(static_cast<bool>(first), !expected.empty());
            if (first) {
                ASSERT_EQ(first.first_tagged(), expected.front());
            }
        }
    }
}

TEST(BucketHeader, AnEntryComesAndGoesWithoutATrace) {
    BucketHeader header;
    for (unsigned position = 0; position < BucketHeader::positions; ++position) {
        const BucketHeader more = header.with(position, 0xf);
        EXPECT_EQ(more.shown().size(), position + 1);
        EXPECT_EQ(more.word() & BucketHeader::all_but(position), header.word());
        header = more;
    }
    EXPECT_FALSE(header.hidden());
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

}  // namespace noclash::test::index_bucket_test
