// SPDX-License-Identifier: Apache-2.0

// The gateway's invariants, each with the moment made at which a broken one shows; the numbers are
// the design's. Where two workers meet, one interrupts the other at every place there is.

#include <gtest/gtest.h>

#include <optional>
#include <random>
#include <set>

#include "tests/unit/engine/stepped.hpp"
#include "tests/unit/nat/pipeline_fixture.hpp"

namespace noclash::nat::test::invariants_test {
namespace {

using noclash::test::at_every_step, noclash::test::calm, noclash::test::interrupt,
    noclash::test::Stepped;
using tcp_flag::ack, tcp_flag::syn;

/// As TestGateway, with two workers whose steps can be interrupted.
struct TwoWorkers {
    using Engine = FlowWorker<V4, Stepped>;
    using Pipe = Pipeline<V4, TestRouter, Stepped>;

    explicit TwoWorkers(std::vector<Rule<V4>> rules)
        : policy({{}, std::move(rules)}, timeouts, {}, identities, {}), table(64, 2, 3) {
        for (auto* engine : {&engines[0], &engines[1]})
            engine->online();
    }
    Verdict pass(unsigned worker, Bytes& packet, std::uint16_t port = 0) {
        PacketContext<V4> context{};
        context.packet = view(packet);
        context.ingress_port = port;
        pipelines[worker].process({&context, 1}, {policy, 1000});
        return context.verdict;
    }
    [[nodiscard]] Found find(const Tuple<V4>& key) const {
        return table.index().find(key, table.index().hash(key));
    }
    bool release(FlowId id) {
        return table.release(id, engines[1].counters(),
                             [this](const auto& flow) { crowded.ended(flow); });
    }

    Timeouts timeouts;
    Identities identities;
    PolicySnapshot<V4, TestRouter> policy;
    FlowTable<V4, Stepped> table;
    OccupancyMaps<V4, Stepped> crowded{table};
    Limits<V4, Stepped> limits{table, {}, 8};
    std::array<Engine, 2> engines{Engine{table, 0, 0}, Engine{table, 1, 0}};
    std::array<Pipe, 2> pipelines{Pipe{engines[0], {crowded, limits, 8}},
                                  Pipe{engines[1], {crowded, limits, 8}}};
};

/// One port, 5999, is left of a thousand: blind draws hardly ever find it, the search has to.
std::vector<Rule<V4>> one_free_port() {
    Rule<V4> services = node_port();
    services.to_port = PortRange{5000, 5998};
    return {services, masquerade({5000, 5999})};
}

Bytes open_from(std::uint32_t number) {
    return tcp({client.source + number, client.destination, 40000, 80}, syn);
}
Tuple<V4> original_of(std::uint32_t number) {
    return test::tuple({client.source + number, client.destination, 40000, 80}, ip_protocol::tcp);
}

TEST(Invariant2FirstPacket, CopiesThatMeetAnywhereShareOneFlow) {
    unsigned parked = 0, adopted = 0;
    at_every_step([&](unsigned n) {
        TwoWorkers gateway({masquerade()});
        Bytes packet = open_from(0), copy = open_from(0);
        Verdict copys{};
        interrupt(n, [&] { copys = gateway.pass(1, copy); });
        const Verdict verdict = gateway.pass(0, packet);
        if (!calm()) return;
        ASSERT_EQ(verdict.outcome, Outcome::transmit) << "step " << n;
        adopted += gateway.pipelines[0].clash_resolved().value() != 0 ? 1U : 0U;
        if (copys.outcome == Outcome::park) {
            ++parked;
            copys = gateway.pass(1, copy);
        }
        ASSERT_EQ(copys.outcome, Outcome::transmit) << "step " << n;
        EXPECT_EQ(packet, copy) << "step " << n;
        EXPECT_EQ(gateway.table.index().occupancy().entries, 2U);
    });
    EXPECT_GT(parked, 0U);
    EXPECT_GT(adopted, 0U);
}

TEST(Invariant2FirstPacket, AClaimLostToAStalledWorkerWaits) {
    unsigned parked = 0;
    at_every_step([&](unsigned n) {
        TwoWorkers gateway({masquerade()});
        Bytes packet = open_from(0);
        std::optional<Reservation<V4, Stepped>> stalled;
        interrupt(n, [&] { stalled.emplace(gateway.engines[1], original_of(0)); });
        Verdict verdict = gateway.pass(0, packet);
        calm();
        if (stalled && stalled->error() == SetupError::none) {
            ++parked;
            ASSERT_EQ(verdict.outcome, Outcome::park) << "step " << n;
            stalled.reset();  // gives up
            verdict = gateway.pass(0, packet);
        }
        EXPECT_EQ(verdict.outcome, Outcome::transmit) << "step " << n;
    });
    EXPECT_GT(parked, 0U);
}

TEST(Invariant2FirstPacket, AnAnswerToAFlowInSetUpWaitsToo) {
    TwoWorkers gateway({masquerade()});
    Reservation<V4, Stepped> stalled(gateway.engines[1], original_of(0));
    auto reply = original_of(0).inverse();
    reply.destination = ip("10.2.0.1");
    ASSERT_EQ(stalled.reserve(reply), SetupError::none);
    Bytes answer = tcp(answer_to(reply.inverse()), syn | ack);
    EXPECT_EQ(gateway.pass(0, answer, 1).outcome, Outcome::park);
    Bytes copy = open_from(0);
    EXPECT_EQ(gateway.pass(0, copy).outcome, Outcome::park);
    EXPECT_EQ(gateway.pipelines[0].slow_path().rule_hits(0), 0U) << "no flow was opened";
}

TEST(Invariant3AllOrNothing, WhoeverSeesLiveSeesACompleteFlow) {
    Rule<V4> other = masquerade();
    other.name = "other";
    other.protocol = ip_protocol::udp;
    unsigned seen_live = 0;
    const auto look = [&](TwoWorkers& gateway, unsigned n) {
        const Found found = gateway.find(original_of(0));
        if (!found) return;
        const auto& flow = gateway.table.pool()[found.flow];
        if (flow.status.load() != FlowStatus::live) return;
        ++seen_live;
        EXPECT_EQ(flow.rule, 1) << "step " << n;
        EXPECT_EQ(flow.protocol_state.load(), static_cast<std::uint8_t>(TcpState::syn_sent));
        EXPECT_EQ(flow.counters[0].packets.load(), 1U) << "step " << n;
        EXPECT_EQ(flow.expires.load(), 1000 + gateway.timeouts.tcp_syn_sent_s * 1000);
        EXPECT_EQ(gateway.find(flow.tuple(Direction::reply)).flow, found.flow) << "step " << n;
    };
    at_every_step([&](unsigned n) {
        TwoWorkers gateway({other, masquerade()});
        Bytes packet = open_from(0);
        interrupt(n, [&] { look(gateway, n); });
        ASSERT_EQ(gateway.pass(0, packet).outcome, Outcome::transmit);
        if (!calm()) look(gateway, n);
    });
    EXPECT_GT(seen_live, 0U);
}

TEST(Invariant5Exhausted, TheLastPortServesExactlyOneOfTwo) {
    const unsigned places = at_every_step([&](unsigned n) {
        TwoWorkers gateway(one_free_port());
        Bytes packet = open_from(0), rival = open_from(1);
        Verdict rivals{};
        interrupt(n, [&] { rivals = gateway.pass(1, rival); });
        const Verdict verdict = gateway.pass(0, packet);
        if (!calm()) return;
        ASSERT_NE(verdict.outcome == Outcome::transmit, rivals.outcome == Outcome::transmit)
            << "step " << n;
        const bool won = verdict.outcome == Outcome::transmit;
        EXPECT_EQ((won ? rivals : verdict).reason, DropReason::exhausted);
        EXPECT_EQ(read(won ? packet : rival).tuple.source_port.host(), 5999);
    });
    EXPECT_GT(places, 1000U);  // the building of the map among them
}

// [RFC 6888 REQ-13]
TEST(Invariant5Exhausted, APortIsFoundWheneverItWasFreed) {
    const auto prepared = [] {
        auto gateway = std::make_unique<TwoWorkers>(one_free_port());
        Bytes holder = open_from(0), refused = open_from(1);
        EXPECT_EQ(gateway->pass(0, holder).outcome, Outcome::transmit);
        EXPECT_EQ(gateway->pass(0, refused).reason, DropReason::exhausted);  // makes the map
        return gateway;
    };
    const auto served = [](TwoWorkers& gateway, Verdict verdict, Bytes& packet) {
        if (verdict.outcome != Outcome::transmit) verdict = gateway.pass(0, packet);
        return verdict.outcome == Outcome::transmit;
    };
    // The flow ends in the midst of a search, and a search comes in the midst of its end.
    at_every_step([&](unsigned n) {
        const auto gateway = prepared();
        const FlowId holder = gateway->find(original_of(0)).flow;
        Bytes packet = open_from(2);
        interrupt(n, [&] { EXPECT_TRUE(gateway->release(holder)); });
        const auto verdict = gateway->pass(0, packet);
        if (!calm()) return;
        ASSERT_TRUE(served(*gateway, verdict, packet)) << "step " << n;
    });
    at_every_step([&](unsigned n) {
        const auto gateway = prepared();
        const FlowId holder = gateway->find(original_of(0)).flow;
        Bytes packet = open_from(2);
        Verdict verdict{};
        interrupt(n, [&] { verdict = gateway->pass(0, packet); });
        EXPECT_TRUE(gateway->release(holder));
        calm();
        ASSERT_TRUE(served(*gateway, verdict, packet)) << "step " << n;
    });
}

TEST(Invariant5Exhausted, APortTellsNothingOfTheNext) {
    // The step from one port to the next is as uniform as the ports are. 15 degrees of freedom: 56
    // is beyond one in 10^6.
    TestGateway gateway({masquerade({1024, 65535})}, 1, 20000);
    std::vector<double> counts(16);
    std::uint32_t last = 0;
    constexpr std::uint32_t draws = 16 * 1000;
    for (std::uint32_t i = 0; i < draws; ++i) {
        Bytes packet = udp({client.source, host("192.0.2.0") + i, 40000, 53});
        ASSERT_EQ(gateway.pass(packet).outcome, Outcome::transmit);
        const std::uint32_t port = read(packet).tuple.source_port.host();
        counts[(port + 64512 - last) % 64512 / 4032] += 1;
        last = port;
    }
    double chi_square = 0;
    for (const double count : counts)
        chi_square += (count - 1000) * (count - 1000) / 1000;
    EXPECT_LT(chi_square, 56);
}

// [field h]
TEST(Invariant6Translated, WhateverTheSegmentsNothingLeavesAsItCame) {
    TestGateway gateway({masquerade()});
    std::mt19937 random(5);
    std::set<DropReason> reasons;
    for (int connection = 0; connection < 200; ++connection) {
        Bytes first = open_from(static_cast<std::uint32_t>(connection));
        ASSERT_EQ(gateway.pass(first).outcome, Outcome::transmit);
        const Tuple<V4> sent = read(first).tuple;
        const auto inside = original_of(static_cast<std::uint32_t>(connection));
        for (int i = 0; i < 20; ++i) {
            const bool outwards = random() % 2 == 0;
            const auto flags = static_cast<std::uint8_t>(random() % 32);
            const Ends ends = answer_to(outwards ? inside.inverse() : sent);
            Bytes segment = tcp(ends, flags);
            const Bytes before = segment;
            const auto verdict = gateway.pass(segment, outwards ? 0 : 1);
            if (verdict.outcome == Outcome::transmit) {
                ASSERT_EQ(read(segment).tuple, outwards ? sent : inside.inverse());
                continue;
            }
            ASSERT_EQ(verdict.outcome, Outcome::drop);
            ASSERT_NE(verdict.reason, DropReason::none) << int{flags};
            EXPECT_EQ(segment, before);
            reasons.insert(verdict.reason);
        }
    }
    EXPECT_TRUE(reasons.contains(DropReason::tcp_invalid));
}

// [RFC 6888 REQ-11] [field g]
TEST(Invariant6Translated, WhatFindsNoRoomIsDroppedWithTheReason) {
    // Records run out long before the index does; and in an index of one bucket, places do. There
    // a packet's search for a port comes to an end after many visits, and the packet waits, to be
    // dropped with that reason when its time is over.
    for (const auto& [flows, expected] :
         {std::pair{1024U, DropReason::table_full}, {1U, DropReason::chain_too_long}}) {
        TestGateway gateway({masquerade()}, 1, flows);
        std::uint32_t served = 0;
        Verdict verdict = Verdict::transmit();
        for (; verdict.outcome == Outcome::transmit && served < 10 * 1024; ++served) {
            Bytes packet = open_from(served);
            verdict = gateway.pass(packet);
            for (int visit = 0; visit < 1000 && verdict.reason == DropReason::search_timeout;
                 ++visit)
                verdict = gateway.pass(packet);
        }
        EXPECT_GE(served, flows);
        EXPECT_NE(verdict.outcome, Outcome::transmit);
        EXPECT_EQ(verdict.reason, expected);
    }
}

TEST(Invariant6Translated, WhatNoRuleAllowsIsDroppedWithTheReason) {
    TestGateway gateway({masquerade()});
    Bytes packet = udp({host("203.0.113.1"), host("10.1.0.7"), 5, 6});
    const auto verdict = gateway.pass(packet, 1);
    EXPECT_EQ(verdict.outcome, Outcome::drop);
    EXPECT_EQ(verdict.reason, DropReason::no_rule);
}

TEST(Invariant8Reuse, AMapInUseIsNotTakenForAnotherDestination) {
    FlowTable<V4> table(64, 1, 2);
    table.quiescence().online(0);
    table.quiescence().online(1);
    OccupancyMaps<V4, Production> crowded(table);
    const auto none = [](auto&) {};
    const auto reply = [](std::uint32_t number) { return test::tuple({number, 2, 80, 1}, 6); };
    const auto* held = crowded.acquire(reply(0), {1, 100}, 0, none);  // by reader 1
    ASSERT_NE(held, nullptr);
    const auto storm = [&](std::uint32_t first) {
        for (std::uint32_t i = first; i < first + 2000; ++i) {
            static_cast<void>(crowded.acquire(reply(i), {200, 300}, 5000 + i, none));
            table.quiescence().quiescent(0);
        }
    };
    storm(1);
    EXPECT_EQ(held->ports(), (PortRange{1, 100}));
    table.quiescence().quiescent(1);
    storm(2001);
    EXPECT_EQ(held->ports(), (PortRange{200, 300})) << "its place was wanted all the time";
}

TEST(Invariant8Reuse, AMapThatRetiredAgainIsNotTakenOnTheOldGracePeriod) {
    using Crowded = OccupancyMaps<V4, Stepped>;
    at_every_step([&](unsigned n) {
        FlowTable<V4, Stepped> table(64, 1, 3);
        for (unsigned reader = 0; reader < 3; ++reader)
            table.quiescence().online(reader);
        Crowded crowded(table);
        const auto as_it_is = [](auto&) {};
        std::vector<Tuple<V4>> key;  // all with one home
        for (std::uint32_t i = 0; key.size() < Crowded::window + 5; ++i) {
            auto tuple = test::tuple({i, 2, 80, 0}, 6);
            if (table.index().hash(tuple) % Crowded::maps == 0) key.push_back(tuple);
        }
        std::size_t next = 0;
        for (; next < Crowded::window; ++next)
            static_cast<void>(crowded.acquire(key[next], {1, 4}, 0, as_it_is));
        static_cast<void>(
            crowded.acquire(key[next++], {1, 4}, 5000, as_it_is));  // the first place retires
        for (unsigned reader = 0; reader < 3; ++reader)
            table.quiescence().quiescent(reader);
        const OccupancyMap<Stepped>* held = nullptr;
        interrupt(n, [&] {
            held = crowded.acquire(key[next], {10, 14}, 5000, as_it_is);  // by reader 2
            for (std::size_t i = 1; i < Crowded::window; ++i)
                static_cast<void>(crowded.acquire(key[i], {1, 4}, 20'000, as_it_is));
            static_cast<void>(
                crowded.acquire(key[next + 1], {1, 4}, 20'000, as_it_is));  // it retires again
        });
        static_cast<void>(
            crowded.acquire(key[next + 2], {20, 24}, 5000, as_it_is));  // by a worker that stalled
        calm();
        if (held != nullptr) {
            EXPECT_EQ(held->ports(), (PortRange{10, 14})) << "step " << n;
        }
    });
}

}  // namespace
}  // namespace noclash::nat::test::invariants_test
