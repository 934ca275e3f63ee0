// SPDX-License-Identifier: Apache-2.0
#include "engine/random.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace noclash::test {

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

}  // namespace noclash::test
