// SPDX-License-Identifier: Apache-2.0
#include "engine/base/random.hpp"

#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

namespace noclash::test::random_test {

TEST(RandomBuffer, IsUniform) {
    // Chi-square over 100 cells, 10^6 draws: 99 degrees of freedom, 182 is beyond one in 10^6.
    const auto random = std::make_unique<RandomBuffer>();
    constexpr std::uint32_t cells = 100, draws = 1'000'000;
    constexpr double expected = draws / double{cells};
    std::vector<double> counts(cells);
    for (std::uint32_t i = 0; i < draws; ++i)
        counts[random->below(cells)] += 1;
    double chi_square = 0;
    for (const double count : counts)
        chi_square += (count - expected) * (count - expected) / expected;
    EXPECT_LT(chi_square, 182);
    EXPECT_GT(chi_square, 40);  // too even is not random either: below one in 10^6
}

TEST(RandomBuffer, BoundsHold) {
    const auto random = std::make_unique<RandomBuffer>();
    for (const std::uint32_t bound : {1U, 2U, 3U, 64512U, 0x80000001U, 0xffffffffU})
        for (int i = 0; i < 1000; ++i)
            ASSERT_LT(random->below(bound), bound);
}

// Over all words that there are, each pair must come from as many of them as any other.
TEST(TwoBelow, EachPairComesOfAsManyWords) {
    using Word = std::uint8_t;
    constexpr std::uint32_t all = 1U << std::numeric_limits<Word>::digits;
    for (std::uint32_t first = 1; first < all; ++first) {
        for (std::uint32_t second = 1; second < all && first * second <= all; ++second) {
            std::array<std::uint32_t, all> words_of{};
            std::uint32_t refused = 0;
            for (std::uint32_t word = 0; word < all; ++word) {
                bool taken = true;
                const auto another = [&] {
                    taken = false;
                    return std::numeric_limits<Word>::max();  // the last is always taken
                };
                const auto [a, b] = two_below(static_cast<Word>(first), static_cast<Word>(second),
                                              static_cast<Word>(word), another);
                ASSERT_LT(a, first);
                ASSERT_LT(b, second);
                if (taken) ++words_of[a * second + b];
                if (!taken) ++refused;
            }
            for (std::uint32_t pair = 0; pair < first * second; ++pair)
                ASSERT_EQ(words_of[pair], all / (first * second)) << first << ' ' << second;
            ASSERT_EQ(refused, all % (first * second));  // no more than there must be
        }
    }
}

TEST(RandomBuffer, PairsAreUniform) {
    // As above: 8 times 13 cells, 103 degrees of freedom. The second bound takes two words a pair.
    const auto random = std::make_unique<RandomBuffer>();
    for (const std::uint32_t scale : {1U, 1U << 20U}) {
        constexpr std::uint32_t first = 8, second = 13, cells = first * second, draws = 1'000'000;
        constexpr double expected = draws / double{cells};
        std::vector<double> counts(cells);
        for (std::uint32_t i = 0; i < draws; ++i) {
            const auto [a, b] = random->below(first * scale, second);
            ASSERT_LT(a, first * scale);
            ASSERT_LT(b, second);
            counts[a / scale * second + b] += 1;
        }
        double chi_square = 0;
        for (const double count : counts)
            chi_square += (count - expected) * (count - expected) / expected;
        EXPECT_LT(chi_square, 188);
        EXPECT_GT(chi_square, 42);
    }
}

}  // namespace noclash::test::random_test
