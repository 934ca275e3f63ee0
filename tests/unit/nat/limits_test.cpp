// SPDX-License-Identifier: Apache-2.0
#include "nat/limits/limits.hpp"

#include <gtest/gtest.h>

#include <array>

#include "tests/unit/engine/stepped.hpp"
#include "tests/unit/nat/pipeline_fixture.hpp"

namespace noclash::nat::test::limits_test {
namespace {

using noclash::test::at_every_step, noclash::test::calm, noclash::test::interrupt,
    noclash::test::Stepped;
using tcp_flag::ack, tcp_flag::rst, tcp_flag::syn;

LimitsConfig<V4> at_most(Quota quota, std::uint32_t most) {
    LimitsConfig<V4> limits;
    limits.most[static_cast<std::size_t>(quota)] = most;
    return limits;
}
LimitsConfig<V4> half_open_per_service(std::uint32_t most) {
    LimitsConfig<V4> limits;
    limits.half_open_per_service = most;
    return limits;
}

Ends from_port(std::uint16_t port, const char* source = "10.1.0.7") {
    return {host(source), host("192.0.2.80"), port, 80};
}
DropReason opens_udp(TestGateway& gateway, const Ends& ends) {
    Bytes packet = udp(ends);
    return gateway.pass(packet).reason;
}
DropReason sends(TestGateway& gateway, const Ends& ends, std::uint8_t flags,
                 std::uint16_t port = 0) {
    Bytes packet = tcp(ends, flags);
    return gateway.pass(packet, port).reason;
}
/// The answer to what became of a packet from the inside.
Ends answered(TestGateway& gateway, const Ends& ends, std::uint8_t flags) {
    Bytes packet = tcp(ends, flags);
    EXPECT_EQ(gateway.pass(packet).outcome, Outcome::transmit);
    return answer_to(read(packet).tuple);
}

std::uint32_t used(const TestGateway& gateway, Quota quota) {
    std::uint32_t sum = 0;
    gateway.limits.sources()->for_each(
        [&](const auto& source) { sum += source.used[static_cast<std::size_t>(quota)]; });
    return sum;
}
void expect_nothing_is_left(TestGateway& gateway) {
    gateway.pass_time(400'000);
    gateway.limits.sources()->for_each(
        [](const auto& source) { ADD_FAILURE() << to_string<V4>(source.address) << " is left"; });
}

// [RFC 6888 REQ-5] [field k]
TEST(Limits, ASubscriberGetsSoManyFlowsAndOthersAllTheirs) {
    TestGateway gateway({masquerade()}, 1, 4096, at_most(Quota::flows, 3));
    for (std::uint16_t port = 1000; port < 1003; ++port)
        EXPECT_EQ(opens_udp(gateway, from_port(port)), DropReason::none);
    Bytes over = udp(from_port(1003));
    const Verdict refused = gateway.pass(over);
    EXPECT_EQ(refused.reason, DropReason::subscriber_flows);
    EXPECT_EQ(refused.outcome, Outcome::reject);
    EXPECT_EQ(refused.error.type, icmp_error::host_unreachable.type);
    EXPECT_EQ(opens_udp(gateway, from_port(1000)), DropReason::none);  // one that there is
    EXPECT_EQ(opens_udp(gateway, from_port(1003, "10.1.0.8")), DropReason::none);
    EXPECT_EQ(used(gateway, Quota::flows), 4U);
    gateway.pass_time(400'000);
    EXPECT_EQ(opens_udp(gateway, from_port(1003)), DropReason::none);
    expect_nothing_is_left(gateway);
}

// [RFC 6888 REQ-4]
TEST(Limits, PortsAreCountedByProtocolAndWhereTheyAreTaken) {
    LimitsConfig<V4> limits = at_most(Quota::udp_ports, 1);
    limits.most[static_cast<std::size_t>(Quota::tcp_ports)] = 2;
    Rule<V4> forward;
    forward.name = "forward";
    forward.ingress_port = 0;
    forward.to = {{ip("198.51.100.0"), 24}};
    forward.action = Action::forward;
    TestGateway gateway({forward, masquerade()}, 1, 4096, limits);
    EXPECT_EQ(opens_udp(gateway, from_port(1)), DropReason::none);
    EXPECT_EQ(opens_udp(gateway, from_port(2)), DropReason::subscriber_ports);
    EXPECT_EQ(sends(gateway, from_port(1), syn), DropReason::none);
    EXPECT_EQ(sends(gateway, from_port(2), syn), DropReason::none);
    EXPECT_EQ(sends(gateway, from_port(3), syn), DropReason::subscriber_ports);
    Ends untranslated = from_port(9);
    untranslated.destination = host("198.51.100.1");
    EXPECT_EQ(opens_udp(gateway, untranslated), DropReason::none);
    EXPECT_EQ(used(gateway, Quota::flows), 4U);
    expect_nothing_is_left(gateway);
}

TEST(Limits, ConcernTheSubscribersAlone) {
    LimitsConfig<V4> limits = at_most(Quota::flows, 1);
    limits.subscribers = {{ip("10.1.0.0"), 29}};
    TestGateway gateway({masquerade()}, 1, 4096, limits);
    EXPECT_EQ(opens_udp(gateway, from_port(1)), DropReason::none);
    EXPECT_EQ(opens_udp(gateway, from_port(2)), DropReason::subscriber_flows);
    for (std::uint16_t port = 1; port < 5; ++port)
        EXPECT_EQ(opens_udp(gateway, from_port(port, "10.1.0.8")), DropReason::none);
}

TEST(Limits, WhatFailsIsNotCounted) {
    LimitsConfig<V4> limits = at_most(Quota::flows, 10);
    TestGateway gateway({masquerade({5000, 5001})}, 1, 4096, limits);
    EXPECT_EQ(opens_udp(gateway, from_port(1)), DropReason::none);
    EXPECT_EQ(opens_udp(gateway, from_port(2)), DropReason::none);
    for (std::uint16_t port = 3; port < 30; ++port)
        EXPECT_EQ(opens_udp(gateway, from_port(port)), DropReason::exhausted);
    EXPECT_EQ(used(gateway, Quota::flows), 2U);
    EXPECT_EQ(used(gateway, Quota::udp_ports), 2U);
    expect_nothing_is_left(gateway);
}

TEST(Limits, ASourceBeyondTheTableIsLetInAndCounted) {
    LimitsConfig<V4> limits = at_most(Quota::flows, 1);
    limits.sources = 1;
    TestGateway gateway({masquerade()}, 1, 4096, limits);
    for (std::uint32_t i = 0; i < 40; ++i) {
        Ends ends = from_port(1);
        ends.source += i;
        EXPECT_EQ(opens_udp(gateway, ends), DropReason::none);
    }
    EXPECT_GT(gateway.pipelines[0]->slow_path().uncounted().value(), 0U);
    EXPECT_EQ(used(gateway, Quota::flows) + gateway.pipelines[0]->slow_path().uncounted().value(),
              40U);
    expect_nothing_is_left(gateway);
}

// [field e]
TEST(Limits, HalfOpenConnectionsOfASource) {
    TestGateway gateway({masquerade()}, 1, 4096, at_most(Quota::half_open, 2));
    const Ends back = answered(gateway, from_port(1), syn);
    EXPECT_EQ(sends(gateway, from_port(2), syn), DropReason::none);
    Bytes over = tcp(from_port(3), syn);
    const Verdict refused = gateway.pass(over);
    EXPECT_EQ(refused.reason, DropReason::half_open_source);
    EXPECT_EQ(refused.outcome, Outcome::drop);                       // its source may be forged
    EXPECT_EQ(sends(gateway, from_port(1), syn), DropReason::none);  // sent again
    EXPECT_EQ(sends(gateway, back, syn | ack, 1), DropReason::none);
    EXPECT_EQ(sends(gateway, from_port(3), syn), DropReason::half_open_source);
    EXPECT_EQ(sends(gateway, from_port(1), ack), DropReason::none);  // established
    EXPECT_EQ(used(gateway, Quota::half_open), 1U);
    EXPECT_EQ(sends(gateway, from_port(3), syn), DropReason::none);
    EXPECT_EQ(sends(gateway, from_port(3), rst), DropReason::none);  // given up
    EXPECT_EQ(used(gateway, Quota::half_open), 1U);
    gateway.pass_time(300'000);  // SYN_SENT and CLOSE end, the established one lives
    EXPECT_EQ(used(gateway, Quota::half_open), 0U);
    EXPECT_EQ(used(gateway, Quota::flows), 1U);
}

// [field e]
TEST(Limits, HalfOpenConnectionsToAService) {
    TestGateway gateway({node_port(), masquerade()}, 1, 4096, half_open_per_service(5));
    Ends to_service{host("192.0.2.1"), host("10.2.0.1"), 1000, 30080};
    for (std::uint32_t i = 0; i < 20; ++i) {  // each from an address of its own
        ++to_service.source;
        EXPECT_EQ(sends(gateway, to_service, syn, 1), DropReason::none) << i;
        EXPECT_EQ(gateway.limits.services().half_open(gateway.id_of(0)), std::min(i + 1, 5U));
    }
    EXPECT_EQ(gateway.pipelines[0]->slow_path().half_open().ended().value(), 15U);
    EXPECT_EQ(sends(gateway, from_port(1), syn), DropReason::none);  // no service
    gateway.pass_time(300'000);
    EXPECT_EQ(gateway.limits.services().half_open(gateway.id_of(0)), 0U);
    EXPECT_EQ(gateway.snapshot->backends.unanswered(0, 0), 20U);
    EXPECT_EQ(sends(gateway, to_service, syn, 1), DropReason::none);
}

TEST(Limits, WhatIsOpenedAnewIsHalfOpenAgain) {
    TestGateway gateway({masquerade()}, 1, 4096, at_most(Quota::half_open, 1));
    for (int times = 0; times < 3; ++times) {
        EXPECT_EQ(sends(gateway, from_port(1), syn), DropReason::none);
        EXPECT_EQ(used(gateway, Quota::half_open), 1U);
        EXPECT_EQ(sends(gateway, from_port(2), syn), DropReason::half_open_source);
        EXPECT_EQ(sends(gateway, from_port(1), rst), DropReason::none);
        EXPECT_EQ(used(gateway, Quota::half_open), 0U);
    }
    EXPECT_EQ(sends(gateway, from_port(2), syn), DropReason::none);
    EXPECT_EQ(sends(gateway, from_port(1), syn), DropReason::half_open_source);
    expect_nothing_is_left(gateway);
}

/// Two workers, one of which can be interrupted at each of its steps.
struct TwoWorkers {
    using Pipe = Pipeline<V4, TestRouter, Stepped>;
    using Engine = FlowWorker<V4, Stepped>;

    explicit TwoWorkers(const LimitsConfig<V4>& most)
        : policy({{}, {masquerade()}}, {}, most, identities, {}), limits(table, most, 8) {
        for (auto* engine : {&engines[0], &engines[1]})
            engine->online();
    }
    Verdict pass(unsigned worker, Bytes packet, std::uint16_t port = 0) {
        PacketContext<V4> context{};
        context.packet = view(packet);
        context.ingress_port = port;
        pipelines[worker].process({&context, 1}, {policy, 1000});
        if (context.verdict.outcome == Outcome::transmit) last = read(packet).tuple;
        return context.verdict;
    }
    std::uint32_t used(Quota quota) const {
        std::uint32_t sum = 0;
        limits.sources()->for_each(
            [&](const auto& source) { sum += source.used[static_cast<std::size_t>(quota)]; });
        return sum;
    }
    void end_all() {
        for (FlowId id = 1; id <= table.pool().last_id(); ++id)
            table.release(id, engines[1].counters(),
                          [this](auto& flow) { limits.ended(policy, flow); });
    }

    Identities identities;
    PolicySnapshot<V4, TestRouter> policy;
    FlowTable<V4, Stepped> table{64, 2, 3};
    OccupancyMaps<V4, Stepped> crowded{table};
    Limits<V4, Stepped> limits;
    std::array<Engine, 2> engines{Engine{table, 0, 0}, Engine{table, 1, 0}};
    std::array<Pipe, 2> pipelines{Pipe{engines[0], {crowded, limits, 8}},
                                  Pipe{engines[1], {crowded, limits, 8}}};
    Tuple<V4> last{};
};

TEST(Limits, TwoWorkersAtTheLimit) {
    const unsigned places = at_every_step([](unsigned n) {
        TwoWorkers two(at_most(Quota::flows, 1));
        unsigned in = 0;
        interrupt(n, [&] {
            in += two.pass(1, udp(from_port(2))).outcome == Outcome::transmit ? 1U : 0U;
        });
        in += two.pass(0, udp(from_port(1))).outcome == Outcome::transmit ? 1U : 0U;
        calm();
        EXPECT_EQ(in, 1U) << n;
        EXPECT_EQ(two.used(Quota::flows), 1U) << n;
        two.end_all();
        EXPECT_EQ(two.used(Quota::flows), 0U) << n;
    });
    EXPECT_GT(places, 30U);
}

/// A second packet of the flow that reaches the limit is no packet over the limit (invariant 2).
TEST(Limits, CopiesOfTheLastFlowAllPass) {
    at_every_step([](unsigned n) {
        TwoWorkers two(at_most(Quota::flows, 1));
        Verdict copy{};
        interrupt(n, [&] { copy = two.pass(1, udp(from_port(1))); });
        const Verdict first = two.pass(0, udp(from_port(1)));
        if (calm()) {
            EXPECT_NE(copy.reason, DropReason::subscriber_flows) << n;
            EXPECT_TRUE(copy.outcome == Outcome::transmit || copy.outcome == Outcome::park) << n;
        }
        EXPECT_EQ(first.outcome, Outcome::transmit) << n;
        EXPECT_EQ(two.used(Quota::flows), 1U) << n;
    });
}

/// However the end of a flow, its establishment and its new opening meet, each is counted once.
TEST(Limits, HalfOpenIsTakenOffOnce) {
    enum class Meets : std::uint8_t { established, opened_anew };
    for (const Meets meets : {Meets::established, Meets::opened_anew}) {
        at_every_step([meets](unsigned n) {
            TwoWorkers two(at_most(Quota::half_open, 5));
            two.pass(0, tcp(from_port(1), syn));
            two.pass(0, tcp(answer_to(two.last), syn | ack), 1);
            if (meets == Meets::opened_anew) two.pass(0, tcp(from_port(1), rst));
            interrupt(n, [&] { two.end_all(); });
            two.pass(0, tcp(from_port(1), meets == Meets::established ? ack : syn));
            calm();
            two.end_all();
            EXPECT_EQ(two.used(Quota::half_open), 0U) << n;
            EXPECT_EQ(two.used(Quota::flows), 0U) << n;
            EXPECT_FALSE(two.limits.sources()->find(ip("10.1.0.7"), 0)) << n;
        });
    }
}

}  // namespace
}  // namespace noclash::nat::test::limits_test
