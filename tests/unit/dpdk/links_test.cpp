// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "dpdk/datapath/link_log.hpp"
#include "dpdk/datapath/shared_mac.hpp"
#include "dpdk/datapath/sleeper.hpp"
#include "dpdk/device/port_states.hpp"
#include "dpdk/device/urgency.hpp"

namespace noclash::dpdk::links_test {
namespace {

TEST(LinkLog, CountsChangesAndRemembersSinceWhen) {
    LinkLog log(2);
    EXPECT_FALSE(log.note(1, LinkState::up, 100));  // nobody knew: that is no change
    EXPECT_FALSE(log.note(1, LinkState::up, 200));
    EXPECT_EQ(log.status(1).since_ms, 100U);
    EXPECT_TRUE(log.note(1, LinkState::down, 300));
    EXPECT_FALSE(log.note(1, LinkState::down, 400));
    EXPECT_TRUE(log.note(1, LinkState::up, 500));
    EXPECT_EQ(log.status(1).state, LinkState::up);
    EXPECT_EQ(log.status(1).since_ms, 500U);
    EXPECT_EQ(log.status(1).changes, 2U);
    EXPECT_EQ(log.status(0).state, LinkState::unknown);
}

TEST(LinkLog, LossesAreOfThePortSinceTheStart) {
    LinkLog log(1);
    log.note_losses(0, {.rx_dropped = 1000, .tx_dropped = 70});  // of the time before the start
    EXPECT_EQ(log.status(0).losses.rx_dropped, 0U);
    log.note_losses(0, {.rx_dropped = 1005, .tx_dropped = 70});
    EXPECT_EQ(log.status(0).losses.rx_dropped, 5U);
    log.note_reopened(0);  // another interface, which counts for itself
    log.note_losses(0, {.rx_dropped = 2});
    EXPECT_EQ(log.status(0).losses.rx_dropped, 5U);
    log.note_losses(0, {.rx_dropped = 4});
    EXPECT_EQ(log.status(0).losses.rx_dropped, 7U);
    EXPECT_EQ(log.status(0).losses.tx_dropped, 0U);
    EXPECT_EQ(log.status(0).reopened, 1U);
}

TEST(PortStates, ThoseWhoHaveNotJoinedAreNotWaitedFor) {
    PortStates states(2, 3);
    states.join(1);
    states.leave(1);
    states.set(0, PortState::closed, [] { FAIL() << "nobody to wait for"; });
    EXPECT_EQ(states.state(0), PortState::closed);
    EXPECT_EQ(states.state(1), PortState::up);
}

TEST(PortStates, WaitsForAWorkerUntilItHasSeenTheState) {
    PortStates states(1, 1);
    states.join(0);
    int waited = 0;
    states.set(0, PortState::closed, [&] {
        if (++waited == 3) states.seen(0, states.epoch());
    });
    EXPECT_EQ(waited, 3);
}

// A device is closed and opened while workers use it: none may touch it in between. The sanitizers
// see what the assertion does not.
TEST(PortStates, NoWorkerUsesAClosedPort) {
    constexpr int times = 2000;
    constexpr std::uint16_t workers = 2;
    PortStates states(1, workers);
    std::atomic<bool> stop{false};
    std::atomic<int> misuses{0};
    std::atomic<int> uses{0};
    int device = 0;  // not atomic: only handed over
    std::atomic<bool> open{true};
    std::vector<std::thread> threads;
    for (std::uint16_t id = 0; id < workers; ++id)
        threads.emplace_back([&, id] {
            states.join(id);
            std::uint64_t epoch = 0;
            bool usable = false;
            while (!stop.load(std::memory_order_relaxed)) {
                if (states.epoch() != epoch) {
                    epoch = states.epoch();
                    usable = states.state(0) != PortState::closed;
                    states.seen(id, epoch);
                }
                if (!usable) continue;
                if (device < 0 || !open.load(std::memory_order_relaxed)) ++misuses;
                ++uses;
            }
            states.leave(id);
        });
    for (int i = 0; i < times; ++i) {
        states.set(0, PortState::closed, [] { std::this_thread::yield(); });
        open.store(false, std::memory_order_relaxed);
        device = -1;
        device = i;
        open.store(true, std::memory_order_relaxed);
        states.set(0, PortState::up, [] { std::this_thread::yield(); });
    }
    while (uses == 0)
        std::this_thread::yield();
    stop = true;
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(misuses, 0);
}

TEST(SharedMac, IsWhatWasSet) {
    const nat::MacAddress one{{2, 1, 2, 3, 4, 5}};
    const nat::MacAddress other{{0xfe, 9, 8, 7, 6, 0xff}};
    SharedMac mac(one);
    EXPECT_TRUE(one == mac);
    mac.set(other);
    EXPECT_TRUE(other == mac);
    EXPECT_FALSE(one == mac);
}

TEST(Sleeper, FramesEndItsSleep) {
    const int queue = ::eventfd(0, EFD_NONBLOCK);
    Sleeper sleeper(2);
    sleeper.watch(queue);
    EXPECT_TRUE(sleeper.is_woken_by_all());
    EXPECT_FALSE(sleeper.sleep(1000));  // until its time is over
    std::thread device([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        ::eventfd_write(queue, 1);
    });
    // Each sleep could last almost a second, so a few of them mean that something ended them.
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_TRUE(sleeper.sleep(999'000'000));
    EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(1));
    device.join();
    sleeper.watch(-1);
    EXPECT_FALSE(sleeper.is_woken_by_all());
    sleeper.forget();
    EXPECT_FALSE(sleeper.sleep(1000));  // the queue is ready, but not watched
    ::close(queue);
}

TEST(Urgency, EndsWithALongTimeOfWorkAndComesBackWithANap) {
    // On a thread of its own: what is set stays set.
    std::thread([] {
        Urgency urgency;
        urgency.begin(1000);
        if (!urgency.urgent()) GTEST_SKIP() << "needs CAP_SYS_NICE";
        const auto policy = [] { return ::sched_getscheduler(0) & ~SCHED_RESET_ON_FORK; };
        EXPECT_EQ(policy(), SCHED_FIFO);
        urgency.worked(1000 + Urgency::longest_ms);
        EXPECT_EQ(policy(), SCHED_FIFO);
        urgency.worked(1001 + Urgency::longest_ms);
        EXPECT_EQ(policy(), SCHED_OTHER);
        urgency.worked(2000);
        EXPECT_EQ(policy(), SCHED_OTHER);
        urgency.rested(2001);
        EXPECT_EQ(policy(), SCHED_FIFO);
        urgency.worked(2002);
        EXPECT_EQ(policy(), SCHED_FIFO);
    }).join();
}

}  // namespace
}  // namespace noclash::dpdk::links_test
