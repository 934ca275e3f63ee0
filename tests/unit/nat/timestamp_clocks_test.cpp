// SPDX-License-Identifier: Apache-2.0
#include "nat/conntrack/timestamp_clocks.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "engine/base/address.hpp"
#include "engine/production.hpp"

namespace noclash::nat::timestamp_clocks_test {
namespace {

using Clocks = TimestampClocks<Production>;

constexpr V4Address address = V4Address::from_host(0xcb007109);

std::int32_t after(std::uint32_t earlier, std::uint32_t later) {
    return static_cast<std::int32_t>(later - earlier);
}

TEST(TimestampClocks, TickEachMillisecond) {
    const Clocks clocks;
    const std::uint32_t start = clocks.read(address, 1000);
    EXPECT_EQ(after(start, clocks.read(address, 1001)), 1);
    EXPECT_EQ(after(start, clocks.read(address, 61000)), 60000);
}

TEST(TimestampClocks, StartAnywhere) {
    std::set<std::uint32_t> starts;
    for (int i = 0; i < 8; ++i)
        starts.insert(std::make_unique<Clocks>()->read(address, 0));
    EXPECT_GE(starts.size(), 7U);
    const Clocks clocks;
    starts.clear();
    for (std::uint32_t i = 0; i < 64; ++i)
        starts.insert(clocks.read(V4Address::from_host(0xcb007100 + i), 0));
    EXPECT_GE(starts.size(), 48U);  // neighbours may share a clock, but few do
}

TEST(TimestampClocks, AreHeldAtWhatWasSaidAhead) {
    Clocks clocks;
    const std::uint32_t now = clocks.read(address, 5000);
    clocks.sent(address, now + 250, 5000);
    EXPECT_EQ(clocks.read(address, 5000), now + 250);
    EXPECT_EQ(clocks.read(address, 5200), now + 250);
    EXPECT_EQ(clocks.read(address, 5251), now + 251);  // time has caught up
    clocks.sent(address, now + 100, 5251);             // of one that lags
    EXPECT_EQ(clocks.read(address, 5251), now + 251);
}

TEST(TimestampClocks, DoNotWaitForWhoeverIsFarAhead) {
    Clocks clocks;
    const std::uint32_t now = clocks.read(address, 5000);
    clocks.sent(address, now + Clocks::most_ahead_ms + 1, 5000);
    clocks.sent(address, now + 0x7fffffff, 5000);
    clocks.sent(address, now - 5, 5000);
    EXPECT_EQ(clocks.read(address, 5000), now);
    clocks.sent(address, now + Clocks::most_ahead_ms, 5000);
    EXPECT_EQ(clocks.read(address, 5000), now + Clocks::most_ahead_ms);
}

TEST(TimestampClocks, GoOnWhenTheirBitsWrap) {
    Clocks clocks;
    for (std::uint64_t now_ms : {0xfffffff0ULL, 0x100000010ULL, 0x180000000ULL, 0x500000000ULL}) {
        const std::uint32_t now = clocks.read(address, now_ms);
        clocks.sent(address, now + 7, now_ms);
        EXPECT_EQ(clocks.read(address, now_ms), now + 7);
        EXPECT_EQ(clocks.read(address, now_ms + 0x80000000ULL), now + 0x80000000U);
    }
}

// No connection begins behind a value that was seen before, whatever workers say at once.
TEST(TimestampClocks, NeverGoBackOnAnyWorker) {
    Clocks clocks;
    std::vector<std::thread> workers;
    std::vector<int> back(4);
    for (unsigned worker = 0; worker < back.size(); ++worker)
        workers.emplace_back([&, worker] {
            std::uint32_t seen = clocks.read(address, 1000);
            for (std::uint32_t i = 0; i < 20000; ++i) {
                const std::uint32_t now = clocks.read(address, 1000 + i / 100);
                if (after(seen, now) < 0) ++back[worker];
                const std::uint32_t said = now + i % (5 + worker);
                clocks.sent(address, said, 1000 + i / 100);
                seen = said;
            }
        });
    for (auto& worker : workers)
        worker.join();
    EXPECT_EQ(back, std::vector<int>(back.size()));
}

}  // namespace
}  // namespace noclash::nat::timestamp_clocks_test
