// SPDX-License-Identifier: Apache-2.0

// The engine's invariants, each with the moment made at which a broken one shows. The numbers are
// the design's; most tests interrupt one worker by another at every place there is.

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <vector>

#include "engine/base/random.hpp"
#include "tests/unit/engine/engine_fixture.hpp"
#include "tests/unit/engine/stepped.hpp"

namespace noclash::test::invariants_test {
namespace {

using Claim = Reservation<V4, Stepped>;

/// Two workers and a reader (2) of one table, all online.
struct TwoWorkers {
    explicit TwoWorkers(std::uint32_t flows = 64) : table(flows, 2, 3) {
        one.online();
        two.online();
        table.quiescence().online(2);
    }
    FlowTable<V4, Stepped> table;
    FlowWorker<V4, Stepped> one{table, 0, 0}, two{table, 1, 0};

    [[nodiscard]] Found find(const Tuple<V4>& key) const {
        return table.index().find(key, table.index().hash(key));
    }
    FlowId add(FlowWorker<V4, Stepped>& worker, const Tuple<V4>& original, Moment expires = 1000) {
        Claim claim(worker, original);
        if (claim.error() != SetupError::none) return no_flow;
        if (claim.reserve(original.inverse()) != SetupError::none) return no_flow;
        return claim.publish(expires, 0);
    }
    void release(FlowId id) {
        EXPECT_TRUE(table.release(id, one.counters(), [](const auto&) {}));
    }
    /// The workers pass through quiescent states and reclaim what they may; the reader does not.
    void settle_workers(std::uint64_t now_ms = 0) {
        for (int i = 0; i < 4; ++i) {
            for (auto* worker : {&one, &two}) {
                worker->quiescent();
                worker->maintain(now_ms, 1000, [](const auto&) {});
            }
        }
    }
    void reader_quiescent() { table.quiescence().quiescent(2); }
};

TEST(Invariant1OneOwner, OfTwoClaimsOneWinsWhereverTheyMeet) {
    const auto key = tuple<V4>(1, 1);
    const unsigned places = at_every_step([&](unsigned n) {
        TwoWorkers all;
        std::optional<Claim> rival;
        interrupt(n, [&] { rival.emplace(all.two, key); });
        const Claim claim(all.one, key);
        if (!calm()) return;
        const bool won = claim.error() == SetupError::none;
        EXPECT_NE(won, rival->error() == SetupError::none) << "step " << n;
        EXPECT_EQ((won ? *rival : claim).error(), SetupError::taken);
        EXPECT_EQ(all.find(key).flow, (won ? claim : *rival).id());
        EXPECT_EQ((won ? *rival : claim).owner().flow, (won ? claim : *rival).id());
        EXPECT_EQ(all.table.index().occupancy().entries, 1U);
    });
    EXPECT_GE(places, 4U);
}

TEST(Invariant1OneOwner, OfTwoReservationsOneWinsWhereverTheyMeet) {
    const auto reply = tuple<V4>(0x0a020002, 80, 0x0a020001, 2000);
    const unsigned places = at_every_step([&](unsigned n) {
        TwoWorkers all;
        Claim claim(all.one, tuple<V4>(1, 1)), rival(all.two, tuple<V4>(2, 1));
        std::optional<SetupError> rivals;
        interrupt(n, [&] { rivals = rival.reserve(reply); });
        const SetupError outcome = claim.reserve(reply);
        if (!calm()) return;
        EXPECT_NE(outcome, *rivals) << "step " << n;
        const bool won = outcome == SetupError::none;
        EXPECT_EQ(won ? *rivals : outcome, SetupError::taken);
        EXPECT_EQ(all.find(reply).flow, (won ? claim : rival).id());
    });
    EXPECT_GE(places, 3U);
}

TEST(Invariant1OneOwner, ANeighbourInTheBucketDisturbsNoClaim) {
    // One bucket for all: the header changes under the claim, to and fro.
    const auto key = tuple<V4>(1, 1), other = tuple<V4>(2, 1), lasting = tuple<V4>(3, 1);
    at_every_step([&](unsigned n) {
        TwoWorkers all(1);
        interrupt(n, [&] {
            const Claim passing(all.two, other);
            ASSERT_NE(all.add(all.two, lasting), no_flow);
        });
        const Claim claim(all.one, key);
        const bool disturbed = calm();
        ASSERT_EQ(claim.error(), SetupError::none) << "step " << n;
        EXPECT_EQ(all.find(key).flow, claim.id());
        EXPECT_FALSE(all.find(other));
        EXPECT_EQ(static_cast<bool>(all.find(lasting)), disturbed);
    });
}

TEST(Invariant3AllOrNothing, WhoeverSeesLiveSeesACompleteFlow) {
    const auto key = tuple<V4>(1, 1), reply = tuple<V4>(7, 7);
    unsigned seen_in_setup = 0;
    at_every_step([&](unsigned n) {
        TwoWorkers all;
        interrupt(n, [&] {
            const Found found = all.find(key);
            if (!found) return;
            auto& flow = all.two.record(found.flow);
            if (flow.status.load() == FlowStatus::setup) ++seen_in_setup;
            if (flow.status.load() != FlowStatus::live) return;
            EXPECT_EQ(flow.tuple(Direction::original), key) << "step " << n;
            EXPECT_EQ(flow.tuple(Direction::reply), reply) << "step " << n;
            EXPECT_EQ(all.find(reply).flow, found.flow) << "step " << n;
            EXPECT_EQ(flow.rule, 7) << "step " << n;
            EXPECT_EQ(flow.expires.load(), 5000U) << "step " << n;
        });
        Claim claim(all.one, key);
        ASSERT_EQ(claim.error(), SetupError::none);
        ASSERT_EQ(claim.reserve(reply), SetupError::none);
        claim.record().rule = 7;
        claim.publish(5000, 0);
    });
    EXPECT_GE(seen_in_setup, 4U);
}

TEST(Invariant3AllOrNothing, ARolledBackClaimLeavesBothTuplesFreeForAll) {
    const auto key = tuple<V4>(1, 1);
    at_every_step([&](unsigned n) {
        TwoWorkers all;
        {
            Claim claim(all.one, key);
            ASSERT_EQ(claim.reserve(key.inverse()), SetupError::none);
            interrupt(n, [&] {  // The one who comes in between gets all or nothing as well.
                Claim rival(all.two, key);
                if (rival.error() == SetupError::none) rival.reserve(key.inverse());
            });
        }
        calm();
        EXPECT_NE(all.add(all.two, key), no_flow) << "step " << n;
        EXPECT_EQ(all.table.index().occupancy().entries, 2U);
    });
}

TEST(Invariant3AllOrNothing, ALostClaimLeavesNoSlotBehind) {
    const auto key = tuple<V4>(1, 1);
    at_every_step([&](unsigned n) {
        TwoWorkers all(1);  // one bucket
        {
            std::optional<Claim> rival;
            interrupt(n, [&] { rival.emplace(all.two, key); });
            const Claim claim(all.one, key);
            calm();
        }
        all.settle_workers();
        all.reader_quiescent();
        all.settle_workers();
        for (std::uint32_t i = 0; i < BucketHeader::positions / 2; ++i)
            EXPECT_NE(all.add(all.one, tuple<V4>(i, 2)), no_flow) << "step " << n;
    });
}

TEST(Invariant3AllOrNothing, EveryRecordComesBackWhateverBecameOfIt) {
    OneWorker<V4> one(128);
    const FlowId records = one.table.pool().last_id();
    for (std::uint64_t round = 0; round < 20; ++round) {
        const std::uint64_t now = round * 20'000;
        for (std::uint32_t i = 0; i < 100; ++i)  // lives and expires
            ASSERT_NE(one.add(tuple<V4>(i, 1), to_moment(now + 1000), now), no_flow);
        EXPECT_EQ(one.add(tuple<V4>(1, 1)), no_flow);  // the original tuple is taken
        {
            Reservation<V4> refused(one.worker, tuple<V4>(200, 1));
            EXPECT_EQ(refused.reserve(tuple<V4>(1, 1).inverse()), SetupError::taken);
        }
        one.settle(now + 15'000);
    }
    FlowId came_back = 0;
    while (one.worker.take_record() != no_flow)
        ++came_back;
    EXPECT_EQ(came_back, records);
    EXPECT_EQ(one.table.index().occupancy().entries, 0U);
}

TEST(Invariant8Reuse, ARolledBackRecordWaitsForItsReaders) {
    TwoWorkers all;
    const auto key = tuple<V4>(1, 1);
    FlowId id = no_flow;
    {
        const Claim claim(all.one, key);
        id = all.find(key).flow;  // The reader found it, and looks at it from now on.
    }
    all.settle_workers();
    auto& record = all.one.record(id);
    EXPECT_NE(record.status.load(), FlowStatus::free);
    for (std::uint32_t i = 2; i < 10; ++i)
        EXPECT_NE(all.add(all.one, tuple<V4>(i, 1)), id);
    EXPECT_EQ(record.tuple(Direction::original), key);
    all.reader_quiescent();
    all.settle_workers();
    EXPECT_EQ(record.status.load(), FlowStatus::free);
}

TEST(Invariant8Reuse, AFlowThatRetiresLaterHasAGracePeriodOfItsOwn) {
    TwoWorkers all;
    const FlowId early = all.add(all.one, tuple<V4>(1, 1));
    const FlowId late = all.add(all.one, tuple<V4>(2, 1), 5000);
    all.settle_workers(2000);  // `early` ends; its grace period waits for the reader
    ASSERT_EQ(all.one.record(early).status.load(), FlowStatus::dead);
    all.reader_quiescent();
    all.one.quiescent();
    all.two.quiescent();
    ASSERT_EQ(all.find(tuple<V4>(2, 1)).flow, late);  // by the reader
    all.settle_workers(6000);
    EXPECT_EQ(all.one.record(early).status.load(), FlowStatus::free);
    EXPECT_EQ(all.one.record(late).status.load(), FlowStatus::dead);
    all.reader_quiescent();
    all.settle_workers(6000);
    EXPECT_EQ(all.one.record(late).status.load(), FlowStatus::free);
}

// This is also why a header needs no version: one that reads as it did before shows the same slots,
// and within a critical section these hold the same entries (invariant 1).
TEST(Invariant8Reuse, ASlotIsNotUsedAgainBeforeItIsReclaimed) {
    TwoWorkers all(1);
    auto& index = all.table.index();
    ASSERT_EQ(index.buckets(), 1U);
    constexpr FlowId full = BucketHeader::positions;
    std::array<IndexPlace, 2 * full + 1> places{};
    const auto insert = [&](FlowId id) {
        const auto key = all.table.pool()[id].tuple(Direction::original) = tuple<V4>(id, 1);
        const InsertResult result =
            index.insert(id, Direction::original, key, index.hash(key), all.one.counters());
        places[id] = result.place;
        return result;
    };
    for (FlowId id = 1; id <= full; ++id)
        ASSERT_EQ(insert(id).error, SetupError::none);
    for (FlowId id = 1; id <= full; ++id)
        index.remove(places[id]);
    EXPECT_EQ(insert(full + 1).error, SetupError::busy);
    for (FlowId id = 1; id <= full; ++id) {
        index.reclaim_slot(places[id]);
        EXPECT_EQ(insert(full + id).error, SetupError::none) << id;
    }
}

TEST(Invariant1OneOwner, NoRecordIsHandedOutTwice) {
    // A pop that is overtaken: its element leaves, the next one too, and the first comes back
    // (Treiber's ABA problem).
    std::vector<SteppedAtomic<std::uint32_t>> links(8);
    const auto link = [&](std::uint32_t i) -> auto& {
        return links[i];
    };
    at_every_step([&](unsigned n) {
        FreeStack<Stepped> stack;
        for (std::uint32_t i = 3; i > 0; --i)
            stack.push(i, link);
        std::vector<int> owners(8);
        interrupt(n, [&] {
            const std::uint32_t first = stack.pop(link);
            ++owners[stack.pop(link)];
            if (first != 0) stack.push(first, link);
        });
        ++owners[stack.pop(link)];
        calm();
        for (int i = 0; i < 5; ++i)
            ++owners[stack.pop(link)];
        owners[0] = 0;  // the pops that found nothing
        EXPECT_EQ(owners, (std::vector<int>{0, 1, 1, 1, 0, 0, 0, 0})) << "step " << n;
    });
}

TEST(Invariant5Exhausted, DrawsAreUnbiasedAtAnyBound) {
    // Without rejection, every third number below 3 * 2^30 would come up twice as often.
    const auto random = std::make_unique<RandomBuffer>();
    std::vector<double> counts(3);
    for (int i = 0; i < 30'000; ++i)
        counts[random->below(0xc000'0000U) % 3] += 1;
    double chi_square = 0;  // 2 degrees of freedom: 28 is beyond one in 10^6
    for (const double count : counts)
        chi_square += (count - 10'000) * (count - 10'000) / 10'000;
    EXPECT_LT(chi_square, 28);
}

TEST(Invariant5Exhausted, NoTwoWorkersDrawTheSameNumbers) {
    const auto one = std::make_unique<RandomBuffer>(), two = std::make_unique<RandomBuffer>();
    std::vector<std::uint32_t> ones, twos;
    for (int i = 0; i < 8; ++i) {
        ones.push_back(one->below(0x8000'0000U));
        twos.push_back(two->below(0x8000'0000U));
    }
    EXPECT_NE(ones, twos);
}

TEST(Invariant8Reuse, AFlowFoundDuringAForeignReleaseIsNotReusedUnderItsReader) {
    // While another thread is in the middle of releasing a flow, its owner's wheel comes round to
    // it: the grace period must not start before the flow can no longer be found.
    const auto key = tuple<V4>(1, 1);
    at_every_step([&](unsigned n) {
        FlowTable<V4, Stepped> table(64, 1, 3);
        FlowWorker<V4, Stepped> owner(table, 0, 0);
        auto& quiescence = table.quiescence();
        owner.online();
        quiescence.online(1);  // the control thread that releases
        quiescence.online(2);  // another worker, which looks up
        const auto maintain = [&](std::uint64_t now_ms) {
            owner.quiescent();
            owner.maintain(now_ms, 100, [](const auto&) {});
        };
        FlowId id = no_flow;
        {
            Reservation<V4, Stepped> reservation(owner, key);
            ASSERT_EQ(reservation.reserve(key.inverse()), SetupError::none);
            id = reservation.publish(15'000, 0);
        }
        Found found{};
        interrupt(n, [&] {
            maintain(15'000);
            maintain(20'000);
            quiescence.quiescent(2);
            found = table.index().find(key, table.index().hash(key));
        });
        EngineCounters counters;
        table.release(id, counters, [](const auto&) {});
        calm();
        quiescence.offline(1);
        for (int i = 0; i < 4; ++i)
            maintain(20'000);
        // Reader 2 has had no quiescent state since it found the flow.
        if (found) {
            EXPECT_NE(table.pool()[found.flow].status.load(), FlowStatus::free) << "step " << n;
        }
    });
}

}  // namespace
}  // namespace noclash::test::invariants_test
