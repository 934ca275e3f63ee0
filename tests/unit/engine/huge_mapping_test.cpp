// SPDX-License-Identifier: Apache-2.0
#include "engine/base/huge_mapping.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <new>
#include <string>

#include "engine/base/huge_array.hpp"

namespace noclash::test::huge_mapping_test {
namespace {

/// Lets mappings take reserved pages as long as it lives.
class TakingReserved {
  public:
    TakingReserved() { HugeMapping::use_reserved(ReservedPages::take); }
    TakingReserved(const TakingReserved&) = delete;
    TakingReserved& operator=(const TakingReserved&) = delete;
    ~TakingReserved() { HugeMapping::use_reserved(ReservedPages::leave); }
};

std::uint64_t free_pages(const char* size) {
    std::uint64_t pages = 0;
    std::ifstream(std::string("/sys/kernel/mm/hugepages/hugepages-") + size + "/free_hugepages") >>
        pages;
    return pages;
}
constexpr const char *small = "2048kB", *large = "1048576kB";

bool is_zero(const HugeMapping& mapping, std::size_t bytes) {
    const auto* data = static_cast<const char*>(mapping.data());
    return std::all_of(data, data + bytes, [](char byte) { return byte == 0; });
}

void expect_usable(const HugeMapping& mapping, std::size_t bytes) {
    EXPECT_GE(mapping.bytes(), bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(mapping.data()) % HugeMapping::two_megabytes, 0U);
    auto* data = static_cast<char*>(mapping.data());
    data[0] = data[mapping.bytes() - 1] = 1;
}

}  // namespace

TEST(HugeMapping, HoldsZerosFromABoundaryOn) {
    const HugeMapping mapping(5'000'000);
    EXPECT_TRUE(is_zero(mapping, 5'000'000));
    expect_usable(mapping, 5'000'000);
    EXPECT_EQ(mapping.bytes(), 3 * HugeMapping::two_megabytes);
}

TEST(HugeMapping, LeavesReservedPagesAloneUnlessTold) {
    const std::uint64_t before = free_pages(small);
    const HugeMapping mapping(5'000'000);
    EXPECT_EQ(free_pages(small), before);
}

TEST(HugeMapping, DoesWithoutReservedPagesWhenTheyAreTooFew) {
    const TakingReserved taking;
    const std::uint64_t before = free_pages(small);
    const std::size_t bytes = std::max((before + 1) * HugeMapping::two_megabytes,
                                       (free_pages(large) + 1) * HugeMapping::gigabyte);
    const HugeMapping mapping(bytes);
    expect_usable(mapping, bytes);
    EXPECT_EQ(free_pages(small), before);
}

TEST(HugeMapping, TakesAndGivesBackPagesOfTwoMegabytes) {
    const std::uint64_t before = free_pages(small);
    if (before < 3) GTEST_SKIP() << "vm.nr_hugepages leaves fewer than 3 pages free";
    const TakingReserved taking;
    {
        const HugeMapping mapping(5'000'000);
        EXPECT_EQ(free_pages(small), before - 3);
        EXPECT_TRUE(is_zero(mapping, mapping.bytes()));
        expect_usable(mapping, 5'000'000);
    }
    EXPECT_EQ(free_pages(small), before);
}

TEST(HugeMapping, TakesAPageOfOneGigabyteForWhatFillsHalfOfIt) {
    const std::uint64_t before = free_pages(large);
    if (before < 1) GTEST_SKIP() << "no page of 1 GiB is free";
    const TakingReserved taking;
    {
        const HugeMapping half(HugeMapping::gigabyte / 2);
        EXPECT_EQ(free_pages(large), before - 1);
        EXPECT_EQ(half.bytes(), HugeMapping::gigabyte);
        expect_usable(half, HugeMapping::gigabyte);
    }
    EXPECT_EQ(free_pages(large), before);
    const HugeMapping less(HugeMapping::gigabyte / 2 - HugeMapping::two_megabytes);
    EXPECT_EQ(free_pages(large), before);
}

TEST(HugeMapping, IsRefusedWhenThereIsNoAddressSpaceLeft) {
    const TakingReserved taking;
    EXPECT_THROW(HugeMapping(std::size_t{1} << 50), std::bad_alloc);
}

TEST(HugeArray, HoldsWhatWasConstructed) {
    struct Seven {
        int value = 7;
    };
    const TakingReserved taking;
    HugeArray<Seven> array(3'000'000);
    EXPECT_EQ(array.size(), 3'000'000U);
    EXPECT_GE(array.bytes(), array.size() * sizeof(Seven));
    for (std::size_t i = 0; i < array.size(); i += 1000)
        ASSERT_EQ(array[i].value, 7);
    EXPECT_EQ(array[array.size() - 1].value, 7);
}

}  // namespace noclash::test::huge_mapping_test
