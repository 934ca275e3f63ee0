// SPDX-License-Identifier: Apache-2.0

// Are ranges whose size is no power of two mapped to without bias?

#include <gtest/gtest.h>

#include <memory>
#include <random>

#include "tests/random/gateway_ports.hpp"
#include "tests/random/study.hpp"

namespace noclash::test::range_test {
namespace {

constexpr int draws = 1'000'000;
constexpr std::uint32_t three_quarters = 0xC0000000U;

/// Numbers below three quarters of 2^32: there a mapping without rejection is off by a factor of
/// two, which for 64,512 ports would be too little to be seen.
template <class Draw>
std::vector<Finding> by_third(Draw&& draw) {
    UniformCount high(3, 3), low(3, 3);
    for (int i = 0; i < draws; ++i) {
        const std::uint32_t number = draw();
        high.add(number >> 30U);
        low.add(number % 3);
    }
    return {high.chi_square("high bits"), low.chi_square("remainder")};
}

TEST(RangeMapping, IsUnbiased) {
    const auto random = std::make_unique<RandomBuffer>();
    for (const Finding& finding : by_third([&] { return random->below(three_quarters); }))
        EXPECT_FALSE(finding.alarming()) << to_string(finding);
    for (const std::uint32_t size : {3U, 7U, 1000U, 64512U}) {
        UniformCount count(size, size);
        for (int i = 0; i < draws; ++i)
            count.add(random->below(size));
        const Finding finding = count.chi_square("chi-square below " + std::to_string(size));
        EXPECT_FALSE(finding.alarming()) << to_string(finding);
    }
}

TEST(RangeMapping, MappingsWithoutRejectionAreCaught) {
    std::mt19937 random(3);
    const auto modulo =
        by_third([&] { return static_cast<std::uint32_t>(random()) % three_quarters; });
    EXPECT_TRUE(modulo[0].alarming()) << to_string(modulo[0]);
    const auto scaled = by_third([&] {
        return static_cast<std::uint32_t>((std::uint64_t{random()} * three_quarters) >> 32U);
    });
    EXPECT_TRUE(scaled[1].alarming()) << to_string(scaled[1]);
}

TEST(RangeMapping, ThreePortsAreAllocatedAtRandom) {
    constexpr nat::PortRange range{5000, 5002};
    for (const std::uint32_t used : {0U, 1U, 2U}) {
        GatewayPorts ports(range, 10'000);
        for (const Finding& finding : study(ports, range, used, 100'000))
            EXPECT_FALSE(finding.alarming()) << used << " used: " << to_string(finding);
    }
}

}  // namespace
}  // namespace noclash::test::range_test
