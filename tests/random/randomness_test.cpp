// SPDX-License-Identifier: Apache-2.0

// Are the ports of one destination allocated at random, seen by somebody who knows everything about
// the earlier ones? Every statistic is held against the real allocator, and against specimens that
// it has to catch.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <memory>
#include <set>

#include "tests/random/gateway_ports.hpp"
#include "tests/random/specimens.hpp"
#include "tests/random/study.hpp"

namespace noclash::test::randomness_test {
namespace {

constexpr nat::PortRange range{1024, 65535};
constexpr std::size_t allocations = 1'000'000;
constexpr std::size_t enough_for_specimens = 200'000;

template <class A>
std::vector<Finding> findings(int occupancy_percent, std::size_t count) {
    const auto used = static_cast<std::uint32_t>(
        std::lround(static_cast<double>(range.size()) * occupancy_percent / 100.));
    const auto allocator = std::make_unique<A>(range);
    return study(*allocator, range, used, count);
}

template <class A>
void expect_random(int occupancy_percent, std::size_t count) {
    for (const Finding& finding : findings<A>(occupancy_percent, count))
        EXPECT_FALSE(finding.alarming()) << to_string(finding);
}

/// The statistics that have to raise an alarm; says which do.
template <class A>
void expect_caught(int occupancy_percent, std::set<std::string> by) {
    for (const Finding& finding : findings<A>(occupancy_percent, enough_for_specimens)) {
        if (!finding.alarming()) continue;
        std::puts(("  caught by " + to_string(finding)).c_str());
        by.erase(finding.name);
    }
    for (const std::string& name : by)
        ADD_FAILURE() << "not caught by " << name;
}

/// Per cent of the ports that are taken while the study runs.
using Occupancy = testing::TestWithParam<int>;

// [RFC 6056] [RFC 6888 REQ-15]
TEST_P(Occupancy, NobodyCanTellTheNextPort) {
    expect_random<GatewayPorts>(GetParam(), allocations);
}

TEST_P(Occupancy, AUniformAllocatorPasses) {
    expect_random<UniformPorts>(GetParam(), enough_for_specimens);
}

TEST_P(Occupancy, AGeneratorIsCaught) {
    expect_caught<GeneratorPorts>(GetParam(), {"chi-square by time since release"});
}

TEST_P(Occupancy, ARoverIsCaught) {
    expect_caught<RoverPorts>(GetParam(),
                              {"guess: next in a row", "chi-square by distance from the latest",
                               "serial correlation, lag 1", "runs"});
}

TEST_P(Occupancy, FirstReleasedFirstReusedIsCaught) {
    expect_caught<FifoPorts>(GetParam(),
                             {"guess: free for longest", "chi-square by time since release"});
}

TEST_P(Occupancy, LastReleasedFirstReusedIsCaught) {
    expect_caught<LifoPorts>(GetParam(),
                             {"guess: just released", "chi-square by time since release"});
}

INSTANTIATE_TEST_SUITE_P(PerCent, Occupancy, testing::Values(0, 50, 99),
                         testing::PrintToStringParamName());

TEST(Specimens, AGeneratorIsFoundOut) {
    for (const int percent : {0, 50})
        expect_caught<GeneratorPorts>(percent, {"guess: generator of the range"});
}

TEST(Specimens, AGeneratorIsTooEven) {
    expect_caught<GeneratorPorts>(0, {"chi-square by port"});
}

TEST(Specimens, ASearchFromARandomPortOnIsCaught) {
    // While no port is taken, that is a uniform choice.
    for (const int percent : {50, 99})
        expect_caught<RandomStartPorts>(
            percent, {"guess: after the longest run", "chi-square by taken ports before"});
}

TEST(Specimens, ReluctanceToReuseIsCaught) {
    expect_caught<ReluctantPorts>(99, {"guess: just released"});
}

}  // namespace
}  // namespace noclash::test::randomness_test
