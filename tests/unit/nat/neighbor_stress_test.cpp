// SPDX-License-Identifier: Apache-2.0

// Several workers on one small table, under the thread sanitizer too: they look up, learn and
// reclaim more neighbours than the table holds, each with a clock that runs fast. What must hold at
// every moment: a hardware address that comes back is one that this very neighbour had.

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "dpdk/datapath/neighbor.hpp"

namespace noclash::dpdk::neighbor_stress_test {
namespace {

constexpr unsigned workers = 4;
constexpr unsigned macs = 4;  // of a neighbour

V4Address ip(std::uint32_t i) {
    return V4Address::from_host(0x0a000000 + i);
}

/// Names its neighbour in its last bytes. A neighbour has several, and each worker hears all of
/// them: it is doubted, verified and moved all the time, where workers run one after the other too.
nat::MacAddress mac_of(std::uint32_t i, unsigned which) {
    return {{2, 0, 0, static_cast<std::uint8_t>(which), static_cast<std::uint8_t>(i >> 8),
             static_cast<std::uint8_t>(i)}};
}

bool belongs_to(const nat::MacAddress& mac, std::uint32_t i) {
    return mac.bytes[0] == 2 && mac.bytes[3] < macs && mac.bytes[4] * 256U + mac.bytes[5] == i;
}

std::vector<PortConfig> one_port() {
    std::vector<PortConfig> ports(1);
    ports[0].prefix_length = 8;
    return ports;
}

template <class Function>
void run_workers(Function function) {
    std::vector<std::thread> threads;
    for (unsigned worker = 0; worker < workers; ++worker)
        threads.emplace_back(function, worker);
    for (auto& thread : threads)
        thread.join();
}

class NeighborStress : public ::testing::Test {
  protected:
    static constexpr std::uint32_t neighbors = 3 * NeighborTable::window;

    /// One worker: adds, learns, and now and then sends to a neighbour that it found before.
    void work(unsigned seed, int rounds) {
        std::mt19937 random(seed);
        std::vector<std::pair<NeighborId, std::uint32_t>> kept;
        for (int round = 0; round < rounds; ++round) {
            const std::uint64_t now_ms = clock_ms_.fetch_add(1009, std::memory_order_relaxed);
            const auto i = static_cast<std::uint32_t>(random() % neighbors);
            const auto mac = mac_of(i, static_cast<unsigned>(random() % macs));
            note(table_.learn(0, ip(i), mac, now_ms, LearnMode::create_or_update), i);
            const auto id = table_.find_or_add(0, ip(i), now_ms);
            if (!id) continue;
            if (kept.size() < 64) kept.emplace_back(*id, i);
            check(*id, i, now_ms);
            if (table_.resolve(*id, now_ms).state == NeighborState::gone) {
                if (table_.find_or_add(0, ip(i), now_ms) == id) ++gone_and_here_;
            }
            auto& [old_id, neighbor] = kept[random() % kept.size()];
            check(old_id, neighbor, now_ms);
            old_id = *id;
            neighbor = i;
        }
    }

    void note(const Learned& learned, std::uint32_t neighbor) {
        if (learned.outcome == Learning::nothing) return;
        ++news_[static_cast<std::size_t>(learned.outcome)];
        if (!belongs_to(learned.known, neighbor) || !belongs_to(learned.claimed, neighbor))
            ++mixed_up_;
    }

    void check(NeighborId id, std::uint32_t neighbor, std::uint64_t now_ms) {
        const Resolution resolution = table_.resolve(id, now_ms);
        if (resolution.state == NeighborState::gone) ++gone_;
        if (resolution.ask_now && resolution.ask_at != nat::broadcast_mac &&
            !belongs_to(resolution.ask_at, neighbor))
            ++mixed_up_;
        if (resolution.state != NeighborState::reachable) return;
        ++reachable_;
        if (!belongs_to(resolution.mac, neighbor)) ++mixed_up_;
    }

    NeighborTable table_{NeighborConfig{60, 256, 1}, one_port(), {}, 1};
    std::atomic<std::uint64_t> clock_ms_{0};
    std::atomic<std::uint64_t> reachable_{0};
    std::atomic<std::uint64_t> gone_{0};
    std::atomic<std::uint64_t> mixed_up_{0};
    std::atomic<std::uint64_t> gone_and_here_{0};
    std::array<std::atomic<std::uint64_t>, 5> news_{};
};

TEST_F(NeighborStress, NoNeighborGetsAnothersAddress) {
    for (unsigned repetition = 0; repetition < 20; ++repetition) {
        run_workers([&](unsigned worker) { work(repetition * workers + worker, 10'000); });
        // At rest, the slots must be whole: what is in the table resolves.
        for (const auto& entry : table_.snapshot()) {
            const std::uint32_t neighbor = entry.address.value.host() - 0x0a000000;
            if (entry.state == NeighborState::reachable) {
                EXPECT_TRUE(belongs_to(entry.mac, neighbor));
            }
            const auto id = table_.find_or_add(0, entry.address, clock_ms_);
            ASSERT_TRUE(id);
            EXPECT_NE(table_.resolve(*id, clock_ms_).state, NeighborState::gone);
        }
        EXPECT_EQ(table_.snapshot().size(), NeighborTable::window);
    }
    EXPECT_EQ(mixed_up_, 0U);
    EXPECT_EQ(gone_and_here_, 0U);
    EXPECT_GT(reachable_, 0U) << "nothing was learned: the test saw nothing";
    for (const Learning outcome : {Learning::doubted, Learning::kept, Learning::moved})
        EXPECT_GT(news_[static_cast<std::size_t>(outcome)], 0U) << static_cast<int>(outcome);
    EXPECT_GT(gone_, 0U) << "nothing was reclaimed: the test saw nothing";
}

TEST(NeighborAsking, OneOfAllAsks) {
    NeighborTable table(NeighborConfig{}, one_port(), {}, 1);
    constexpr std::uint32_t neighbors = 2000;
    std::vector<std::atomic<unsigned>> asked(neighbors);
    run_workers([&](unsigned) {
        for (std::uint32_t i = 0; i < neighbors; ++i) {
            const auto id = table.find_or_add(0, ip(i), 0);
            if (id && table.resolve(*id, 0).ask_now) ++asked[i];
        }
    });
    for (std::uint32_t i = 0; i < neighbors; ++i)
        EXPECT_EQ(asked[i], 1U) << i;
    EXPECT_EQ(table.snapshot().size(), neighbors);
}

}  // namespace
}  // namespace noclash::dpdk::neighbor_stress_test
