// SPDX-License-Identifier: Apache-2.0
#include "nat/limits/source_table.hpp"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

#include "engine/production.hpp"
#include "tests/unit/engine/stepped.hpp"

namespace noclash::nat::test::source_table_test {
namespace {

using noclash::test::at_every_step, noclash::test::calm, noclash::test::interrupt,
    noclash::test::Stepped;
using Table = SourceTable<V4, Production>;

V4Address address(std::uint32_t n) {
    return V4Address::from_host(0x0a000000 + n);
}

template <class Sources>
std::size_t size_of(const Sources& sources) {
    std::size_t size = 0;
    sources.for_each([&](const auto&) { ++size; });
    return size;
}

TEST(SourceTable, AnEntryLivesAsLongAsItIsHeld) {
    const FlowTable<V4> flows(1024, 1, 1);
    Table sources(flows, 16);
    EXPECT_FALSE(sources.find(address(1), 0));
    const auto first = sources.hold(address(1), 0, 0);
    const auto second = sources.hold(address(1), 0, 0);
    ASSERT_EQ(first.outcome, Table::Outcome::held);
    EXPECT_EQ(first.slot, second.slot);
    EXPECT_NE(sources.hold(address(1), 7, 0).slot, first.slot);  // of another zone
    sources.let_go(first.slot);
    EXPECT_EQ(sources.find(address(1), 0), second.slot);
    sources.let_go(second.slot);
    EXPECT_FALSE(sources.find(address(1), 0));
    EXPECT_EQ(size_of(sources), 1U);
}

TEST(SourceTable, NothingIsCountedOverALimit) {
    const FlowTable<V4> flows(1024, 1, 1);
    Table sources(flows, 16);
    const auto slot = sources.hold(address(1), 0, 0).slot;
    EXPECT_TRUE(sources.add(slot, Quota::flows, 2));
    EXPECT_TRUE(sources.add(slot, Quota::flows, 2));
    EXPECT_FALSE(sources.add(slot, Quota::flows, 2));
    EXPECT_TRUE(sources.add(slot, Quota::udp_ports, 0));  // no limit
    sources.for_each([&](const Table::Source& source) {
        EXPECT_EQ(source.address, address(1));
        EXPECT_EQ(source.used, (std::array<std::uint32_t, quotas>{2, 0, 1, 0, 0}));
    });
    sources.take_off(slot, Quota::flows);
    EXPECT_TRUE(sources.add(slot, Quota::flows, 2));
}

TEST(SourceTable, HoldsAsManyAsItWasMadeFor) {
    const FlowTable<V4> flows(1024, 1, 1);
    constexpr std::uint32_t many = 100'000;
    Table sources(flows, many);
    std::vector<Table::Slot> slots;
    for (std::uint32_t i = 0; i < many; ++i) {
        const auto held = sources.hold(address(i), 0, 0);
        ASSERT_EQ(held.outcome, Table::Outcome::held) << i;
        slots.push_back(held.slot);
    }
    EXPECT_EQ(std::set(slots.begin(), slots.end()).size(), many);
    for (const auto slot : slots)
        sources.let_go(slot);
    EXPECT_EQ(size_of(sources), 0U);
}

TEST(SourceTable, SaysWhenItIsFull) {
    const FlowTable<V4> flows(1024, 1, 1);
    Table sources(flows, 1);
    std::uint32_t refused = 0;
    for (std::uint32_t i = 0; i < 64; ++i)
        refused += sources.hold(address(i), 0, 0).outcome == Table::Outcome::full ? 1U : 0U;
    EXPECT_EQ(size_of(sources), 64U - refused);
    EXPECT_LE(size_of(sources), 16U);
    EXPECT_GT(size_of(sources), 8U);
}

/// Wherever one worker is interrupted by another with the same source, there is one entry.
TEST(SourceTable, TwoThatComeAtOnceShareAnEntry) {
    const FlowTable<V4, Stepped> flows(64, 1, 1);
    const unsigned places = at_every_step([&](unsigned n) {
        SourceTable<V4, Stepped> sources(flows, 16);
        std::vector<std::uint32_t> slots;
        const auto hold = [&](std::uint32_t worker) {
            const auto held = sources.hold(address(1), 0, worker);
            ASSERT_EQ(held.outcome, (SourceTable<V4, Stepped>::Outcome::held));
            slots.push_back(held.slot);
        };
        interrupt(n, [&] {
            hold(1);
            if (n % 2 == 0) {
                sources.let_go(slots.back());
                slots.pop_back();
            }
        });
        hold(0);
        calm();
        for (const auto slot : slots)
            EXPECT_EQ(slot, slots.front()) << n;
        EXPECT_EQ(size_of(sources), 1U) << n;
        for (const auto slot : slots)
            sources.let_go(slot);
        EXPECT_EQ(size_of(sources), 0U) << n;
    });
    EXPECT_GT(places, 16U);
}

/// Few sources that come and go on many threads: never over the limit, and nothing is left.
TEST(SourceTable, ManyThreads) {
    const FlowTable<V4> flows(1024, 1, 1);
    constexpr std::uint32_t limit = 3;
    Table sources(flows, 1);
    std::vector<std::atomic<std::uint32_t>> inside(4);
    std::atomic<std::uint32_t> over{0};
    std::vector<std::thread> threads;
    for (std::uint32_t id = 0; id < 6; ++id) {
        threads.emplace_back([&, id] {
            for (std::uint32_t i = 0; i < 20'000; ++i) {
                const std::uint32_t which = (i * 7 + id) % 4;
                const auto held = sources.hold(address(which), 0, id);
                if (held.outcome != Table::Outcome::held) continue;
                if (sources.add(held.slot, Quota::flows, limit)) {
                    if (inside[which].fetch_add(1) >= limit) over.fetch_add(1);
                    inside[which].fetch_sub(1);
                    sources.take_off(held.slot, Quota::flows);
                }
                sources.let_go(held.slot);
            }
        });
    }
    for (auto& thread : threads)
        thread.join();
    EXPECT_EQ(over.load(), 0U);
    EXPECT_EQ(size_of(sources), 0U);
    const auto held = sources.hold(address(0), 0, 0);
    EXPECT_EQ(sources.used(held.slot, Quota::flows), 0U);
}

}  // namespace
}  // namespace noclash::nat::test::source_table_test
