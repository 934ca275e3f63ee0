// SPDX-License-Identifier: Apache-2.0

// The ranks that the statistics stand on, against a plain count.

#include "tests/random/port_history.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace noclash::test::port_history_test {
namespace {

constexpr std::uint32_t ports = 37;

/// Free ports and when each became free: the same knowledge, without any structure.
struct Plain {
    std::vector<int> free_since = std::vector<int>(ports, 0);  ///< -1: taken

    [[nodiscard]] bool is_free(std::uint32_t port) const { return free_since[port] >= 0; }
    [[nodiscard]] std::uint32_t taken_before(std::uint32_t port) const {
        std::uint32_t run = 0;
        while (run + 1 < ports && !is_free((port + ports - run - 1) % ports))
            ++run;
        return run;
    }
    template <class Is>
    [[nodiscard]] std::uint32_t count(Is&& is) const {
        std::uint32_t found = 0;
        for (std::uint32_t port = 0; port < ports; ++port)
            found += is_free(port) && is(port) ? 1U : 0U;
        return found;
    }
};

void expect_same(const PortHistory& history, const Plain& plain, std::uint32_t port) {
    ASSERT_TRUE(history.is_free(port));
    ASSERT_EQ(history.rank(port), plain.count([&](auto other) { return other < port; }));
    // All are free from the start in the order of their numbers.
    const auto older = [&](std::uint32_t other) {
        return std::pair(plain.free_since[other], other) < std::pair(plain.free_since[port], port);
    };
    ASSERT_EQ(history.rank_by_age(port), plain.count(older));
    const std::uint32_t run = plain.taken_before(port);
    const auto shorter = plain.count([&](auto other) { return plain.taken_before(other) < run; });
    const auto as_long = plain.count([&](auto other) { return plain.taken_before(other) == run; });
    ASSERT_GE(history.rank_by_run(port), shorter);
    ASSERT_LT(history.rank_by_run(port), shorter + as_long);
}

TEST(PortHistory, RanksAreWhatAPlainCountSays) {
    std::mt19937 random(5);
    PortHistory history(ports, 20'000);
    Plain plain;
    std::vector<std::uint32_t> free(ports), taken;
    for (std::uint32_t port = 0; port < ports; ++port)
        free[port] = port;
    for (int i = 1; i < 20'000; ++i) {
        const bool allocate = taken.empty() || (!free.empty() && random() % 2 == 0);
        auto& from = allocate ? free : taken;
        std::swap(from[random() % from.size()], from.back());
        const std::uint32_t port = from.back();
        if (allocate) expect_same(history, plain, port);
        from.pop_back();
        (allocate ? taken : free).push_back(port);
        plain.free_since[port] = allocate ? -1 : i;
        allocate ? history.allocated(port) : history.released(port);
        ASSERT_EQ(history.free(), free.size());
        if (free.empty()) continue;
        EXPECT_EQ(history.rank_by_age(history.longest_free()), 0U);
        EXPECT_EQ(history.rank_by_age(history.latest_released()), free.size() - 1);
        const auto longest = std::ranges::max(
            free, {}, [&](std::uint32_t other) { return plain.taken_before(other); });
        EXPECT_EQ(plain.taken_before(history.after_longest_run()), plain.taken_before(longest));
    }
}

}  // namespace
}  // namespace noclash::test::port_history_test
