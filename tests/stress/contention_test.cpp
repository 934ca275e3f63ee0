// SPDX-License-Identifier: Apache-2.0

// Threads that want the *same* tuples, more of them than this machine has cores. What every thread
// saw is written down with a number from one global counter before and after each operation, and
// afterwards each tuple's history is checked: at no moment may two flows have owned it, and no
// attempt may have been refused at a moment when nobody owned it.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "tests/unit/engine/engine_fixture.hpp"

namespace noclash::test {
namespace {

constexpr unsigned threads = 8;
constexpr std::uint32_t keys = 24;

/// One thing a thread did to a tuple: from `begin` to `end` on the global counter.
struct Event {
    enum class Kind : std::uint8_t { taken_in, refused, given_up } kind;
    std::uint32_t key;
    FlowId flow;
    std::uint64_t begin;
    std::uint64_t end;
};

using History = std::vector<Event>;

/// Between the end of a successful insert and the beginning of the removal the flow surely owned
/// the tuple; between the beginning of the one and the end of the other it may have.
struct Ownership {
    std::uint64_t may_begin, surely_begin, surely_end, may_end;
};

std::vector<Ownership> ownerships(const History& history) {
    std::vector<Ownership> result;
    std::map<FlowId, Ownership> open;
    for (const Event& event : history) {
        if (event.kind == Event::Kind::taken_in) {
            EXPECT_FALSE(open.contains(event.flow));
            open[event.flow] = {event.begin, event.end, UINT64_MAX, UINT64_MAX};
        } else if (event.kind == Event::Kind::given_up) {
            Ownership& own = open.at(event.flow);
            own.surely_end = event.begin;
            own.may_end = event.end;
            result.push_back(own);
            open.erase(event.flow);
        }
    }
    for (const auto& [flow, own] : open)
        result.push_back(own);
    return result;
}

void check(History history) {
    std::ranges::sort(history, {}, &Event::begin);
    std::vector<Ownership> owned = ownerships(history);
    std::ranges::sort(owned, {}, &Ownership::surely_begin);
    for (std::size_t i = 1; i < owned.size(); ++i)
        ASSERT_LE(owned[i - 1].surely_end, owned[i].surely_begin) << "two owners at once";
    for (const Event& event : history) {
        if (event.kind != Event::Kind::refused) continue;
        const bool somebody = std::ranges::any_of(owned, [&](const Ownership& own) {
            return own.may_begin < event.end && event.begin < own.may_end;
        });
        ASSERT_TRUE(somebody) << "key " << event.key << " refused at " << event.begin << ".."
                              << event.end << " although nobody owned it";
    }
}

class Contention : public testing::Test {
  protected:
    static constexpr int rounds = 40'000;

    std::uint64_t stamp() { return clock_.fetch_add(1, std::memory_order_seq_cst); }

    /// One set-up that contends for an original tuple and, through `reply`, for a reply tuple.
    void set_up(FlowWorker<V4>& worker, std::uint32_t key, std::mt19937& random,
                std::vector<std::pair<std::uint32_t, FlowId>>& live, History& originals,
                History& replies);
    void end_one(FlowWorker<V4>& worker, std::mt19937& random,
                 std::vector<std::pair<std::uint32_t, FlowId>>& live, History& originals,
                 History& replies);

    FlowTable<V4> table_{4096, threads, threads};
    std::atomic<std::uint64_t> clock_{0};
};

Tuple<V4> original_of(std::uint32_t key) {
    return tuple<V4>(key, 1000);
}
// Half as many reply tuples as originals: different originals contend for one.
Tuple<V4> reply_of(std::uint32_t key) {
    return tuple<V4>(0x0a020002, 80, 0x0a020001, static_cast<std::uint16_t>(2000 + key / 2));
}

void Contention::set_up(FlowWorker<V4>& worker, std::uint32_t key, std::mt19937& random,
                        std::vector<std::pair<std::uint32_t, FlowId>>& live, History& originals,
                        History& replies) {
    const std::uint64_t begin = stamp();
    Event given_up{};
    {
        Reservation<V4> reservation(worker, original_of(key));
        const FlowId id = reservation.id();
        if (reservation.error() == SetupError::taken) {
            originals.push_back({Event::Kind::refused, key, no_flow, begin, stamp()});
            return;
        }
        if (reservation.error() == SetupError::busy) return;
        ASSERT_EQ(reservation.error(), SetupError::none);
        originals.push_back({Event::Kind::taken_in, key, id, begin, stamp()});
        const std::uint64_t reserve_begin = stamp();
        const SetupError outcome = reservation.reserve(reply_of(key));
        const std::uint64_t reserve_end = stamp();
        if (outcome == SetupError::none && random() % 8 != 0) {
            replies.push_back({Event::Kind::taken_in, key / 2, id, reserve_begin, reserve_end});
            worker.record(id).rule = static_cast<std::uint16_t>(key);
            live.emplace_back(key, reservation.publish(UINT32_MAX / 2, 0));
            return;
        }
        given_up = {Event::Kind::given_up, key, id, stamp(), 0};
        if (outcome == SetupError::none) {  // aborted after the reservation
            replies.push_back({Event::Kind::taken_in, key / 2, id, reserve_begin, reserve_end});
        } else if (outcome == SetupError::taken) {
            replies.push_back({Event::Kind::refused, key / 2, no_flow, reserve_begin, reserve_end});
        }
    }
    given_up.end = stamp();
    originals.push_back(given_up);
    if (!replies.empty() && replies.back().kind == Event::Kind::taken_in &&
        replies.back().flow == given_up.flow) {
        given_up.key = key / 2;
        replies.push_back(given_up);
    }
}

void Contention::end_one(FlowWorker<V4>& worker, std::mt19937& random,
                         std::vector<std::pair<std::uint32_t, FlowId>>& live, History& originals,
                         History& replies) {
    const std::size_t which = random() % live.size();
    const auto [key, id] = live[which];
    live.erase(live.begin() + static_cast<std::ptrdiff_t>(which));
    const std::uint64_t begin = stamp();
    ASSERT_TRUE(table_.release(id, worker.counters(), [](const auto&) {}));
    const std::uint64_t end = stamp();
    originals.push_back({Event::Kind::given_up, key, id, begin, end});
    replies.push_back({Event::Kind::given_up, key / 2, id, begin, end});
}

TEST_F(Contention, HistoriesOfTheSameKeysAreSequential) {
    std::vector<History> originals(threads), replies(threads);
    std::vector<std::uint64_t> broken_views(threads);
    std::barrier start(threads);
    std::vector<std::thread> running;
    for (unsigned id = 0; id < threads; ++id) {
        running.emplace_back([&, id] {
            FlowWorker<V4> worker(table_, static_cast<std::uint16_t>(id), 0);
            std::mt19937 random(id + 1);
            std::vector<std::pair<std::uint32_t, FlowId>> live;
            worker.online();
            start.arrive_and_wait();
            std::uint64_t now = 0;
            for (int round = 0; round < rounds; ++round) {
                const auto key = static_cast<std::uint32_t>(random() % keys);
                if (live.size() > 2 || (!live.empty() && random() % 2 == 0))
                    end_one(worker, random, live, originals[id], replies[id]);
                else
                    set_up(worker, key, random, live, originals[id], replies[id]);

                // A worker that sees `live` sees a complete flow of the tuple that was looked up.
                const auto wanted = original_of(static_cast<std::uint32_t>(random() % keys));
                const Found found = table_.index().find(wanted, table_.index().hash(wanted));
                if (found) {
                    const auto& record = worker.record(found.flow);
                    if (record.status.load(std::memory_order_acquire) == FlowStatus::live &&
                        (record.tuple(Direction::original) != wanted ||
                         record.tuple(Direction::reply) != reply_of(record.rule) ||
                         original_of(record.rule) != wanted))
                        ++broken_views[id];
                }
                worker.quiescent();
                worker.maintain(now += 50, 64, [](const auto&) {});
                if (round % 64 == 0) std::this_thread::yield();
            }
            for (; !live.empty();)
                end_one(worker, random, live, originals[id], replies[id]);
            worker.offline();
        });
    }
    for (auto& thread : running)
        thread.join();

    for (std::uint32_t key = 0; key < keys; ++key) {
        for (const auto* histories : {&originals, &replies}) {
            History of_key;
            for (const History& history : *histories)
                std::ranges::copy_if(history, std::back_inserter(of_key),
                                     [key](const Event& event) { return event.key == key; });
            SCOPED_TRACE(histories == &originals ? "original" : "reply");
            check(std::move(of_key));
        }
    }
    EXPECT_EQ(broken_views, std::vector<std::uint64_t>(threads));
    EXPECT_EQ(table_.index().occupancy().entries, 0U);
}

TEST_F(Contention, OneWinnerForEachTupleWhenAllStartTogether) {
    // The storm: all threads claim different originals and reserve the same reply, in step.
    constexpr int steps = 3000;
    std::vector<std::atomic<int>> winners(steps);
    std::barrier step(threads);
    std::vector<std::thread> running;
    for (unsigned id = 0; id < threads; ++id) {
        running.emplace_back([&, id] {
            FlowWorker<V4> worker(table_, static_cast<std::uint16_t>(id), 0);
            worker.online();
            for (int i = 0; i < steps; ++i) {
                worker.offline();
                step.arrive_and_wait();
                worker.online();
                Reservation<V4> reservation(worker, tuple<V4>(id, static_cast<std::uint16_t>(i)));
                if (reservation.error() == SetupError::none &&
                    reservation.reserve(
                        tuple<V4>(0x0a020002, 80, 0x0a020001, static_cast<std::uint16_t>(i))) ==
                        SetupError::none) {
                    winners[static_cast<std::size_t>(i)].fetch_add(1);
                    const FlowId flow = reservation.publish(UINT32_MAX / 2, 0);
                    if (i % 2 == 0) table_.release(flow, worker.counters(), [](const auto&) {});
                }
                worker.quiescent();
                worker.maintain(static_cast<std::uint64_t>(i) * 100, 64, [](const auto&) {});
            }
            worker.offline();
        });
    }
    for (auto& thread : running)
        thread.join();
    for (int i = 0; i < steps; ++i) {
        const int won = winners[static_cast<std::size_t>(i)].load();
        // Where the winner releases at once, another may win after it.
        if (i % 2 == 0)
            EXPECT_GE(won, 1) << i;
        else
            EXPECT_EQ(won, 1) << i;
    }
}

}  // namespace
}  // namespace noclash::test
