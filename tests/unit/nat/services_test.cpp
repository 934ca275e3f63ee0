// SPDX-License-Identifier: Apache-2.0
// Services in the pipeline: which backend a flow gets, and what happens when there is none.

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "nat/policy/flow_fate.hpp"
#include "tests/unit/nat/pipeline_fixture.hpp"
#include "tests/unit/nat/spoken.hpp"

namespace noclash::nat::test::services_test {
namespace {

using tcp_flag::ack, tcp_flag::fin, tcp_flag::rst, tcp_flag::syn;

constexpr const char* vip = "203.0.113.7";

Service<V4> web(std::vector<Backend<V4>> backends, std::uint8_t protocol = ip_protocol::tcp) {
    Service<V4> service;
    service.name = protocol == ip_protocol::tcp ? "web" : "dns";
    service.address = ip(vip);
    service.ports = {{80, 80}, {8000, 8010}};
    service.protocol = protocol;
    service.backends = std::move(backends);
    return service;
}

Backend<V4> backend(std::uint8_t last, std::uint16_t port = 8080, std::uint16_t weight = 1) {
    return {V4Address::from_host(host("10.2.0.0") + last), port, weight};
}

Ends from_client(std::uint32_t number, std::uint16_t port = 80) {
    return {host("10.1.0.7") + number % 200, host(vip), static_cast<std::uint16_t>(1024 + number),
            port};
}

struct Balanced : testing::Test {
    Balanced() : gateway({masquerade()}) {}

    void serve(std::vector<Service<V4>> services) { gateway.policy.services = std::move(services); }
    /// What became of the packet's tuple; its verdict is in `verdict`.
    Tuple<V4> send(const Ends& ends, std::uint8_t flags = syn, std::uint16_t port = 0) {
        Bytes packet = tcp(ends, flags);
        return pass(packet, port);
    }
    Tuple<V4> send_datagram(const Ends& ends, std::uint16_t port = 0) {
        Bytes packet = udp(ends);
        return pass(packet, port);
    }
    Tuple<V4> pass(Bytes& packet, std::uint16_t port) {
        verdict = gateway.pass(packet, port);
        return verdict.transmits() ? read(packet).tuple : Tuple<V4>{};
    }
    [[nodiscard]] const BackendTable<V4>& table(std::size_t service = 0) {
        static_cast<void>(gateway.round());
        return *gateway.snapshot->service_rules.table(service);
    }
    /// Puts a table in place whose entries were `change`d, as commands do.
    template <class Change>
    void change(Change&& change) {
        auto entries = std::vector(table().entries().begin(), table().entries().end());
        change(entries);
        gateway.keep_policy();
        static_cast<void>(gateway.snapshot->service_rules.replace(
            0, std::make_shared<const BackendTable<V4>>(std::move(entries),
                                                        gateway.identities.service_key())));
    }

    TestGateway gateway;
    Verdict verdict;
};

TEST_F(Balanced, AFlowGoesToABackendAndItsAnswersComeFromTheVip) {
    serve({web({backend(2)})});
    const Tuple<V4> there = send(from_client(1));
    EXPECT_EQ(there.destination, ip("10.2.0.2"));
    EXPECT_EQ(there.destination_port.host(), 8080);
    EXPECT_EQ(there.source, V4Address::from_host(from_client(1).source)) << "the client's own";
    const Tuple<V4> back = send(answer_to(there), syn | ack, 1);
    EXPECT_EQ(back.source, ip(vip));
    EXPECT_EQ(back.source_port.host(), 80);
    EXPECT_EQ(table().entries()[0].counters->openings.load(), 1U);
}

TEST_F(Balanced, ABackendWithoutAPortGetsTheOneThatWasAskedFor) {
    serve({web({backend(2, 0)})});
    EXPECT_EQ(send(from_client(1, 8003)).destination_port.host(), 8003);
    EXPECT_EQ(send(from_client(2, 80)).destination_port.host(), 80);
    send(from_client(3, 8011));
    EXPECT_EQ(verdict.transmits(), true) << "no port of the service: a packet to anybody";
}

TEST_F(Balanced, ServicesComeBeforeRules) {
    Rule<V4> all = masquerade();
    all.name = "forbids";
    all.action = Action::drop;
    all.source_nat = SourceNat::keep;
    gateway.policy.rules = {all};
    serve({web({backend(2)})});
    EXPECT_EQ(send(from_client(1)).destination, ip("10.2.0.2"));
    send(from_client(1, 81));
    EXPECT_EQ(verdict.reason, DropReason::rule);
}

TEST_F(Balanced, FlowsAreSpreadByBothEnds) {
    serve({web({backend(2), backend(3), backend(4, 8080, 2)})});
    std::map<std::uint32_t, int> counts;
    for (std::uint32_t i = 0; i < 2000; ++i)
        ++counts[send(from_client(i)).destination.value.host()];
    EXPECT_NEAR(counts[host("10.2.0.2")], 500, 90);
    EXPECT_NEAR(counts[host("10.2.0.3")], 500, 90);
    EXPECT_NEAR(counts[host("10.2.0.4")], 1000, 110);
}

TEST_F(Balanced, CopiesOfAFirstPacketGetOneBackend) {
    serve({web({backend(2), backend(3), backend(4)}, ip_protocol::udp)});
    for (std::uint32_t i = 0; i < 100; ++i) {
        const Tuple<V4> first = send_datagram(from_client(i));
        gateway.pass_time(400'000);  // the flow is over
        EXPECT_EQ(send_datagram(from_client(i)).destination, first.destination);
    }
}

TEST_F(Balanced, AffinityKeepsAClientAtItsBackend) {
    Service<V4> sticky = web({backend(2), backend(3), backend(4)});
    sticky.affinity = Affinity::client;
    serve({sticky});
    std::set<std::uint32_t> all;
    for (std::uint32_t client = 0; client < 40; ++client) {
        std::set<std::uint32_t> met;
        for (std::uint16_t port = 0; port < 10; ++port)
            met.insert(send({host("10.1.0.7") + client, host(vip),
                             static_cast<std::uint16_t>(2000 + port), 80})
                           .destination.value.host());
        EXPECT_EQ(met.size(), 1U);
        all.merge(met);
    }
    EXPECT_EQ(all.size(), 3U);
}

TEST_F(Balanced, WithoutABackendClientsAreToldAtOnce) {
    serve({web({}), web({}, ip_protocol::udp)});
    send(from_client(1));
    EXPECT_EQ(verdict.outcome, Outcome::reset);
    EXPECT_EQ(verdict.reason, DropReason::no_backend);
    send_datagram(from_client(1));
    EXPECT_EQ(verdict.outcome, Outcome::reject);
    EXPECT_EQ(verdict.error.type, icmp_error::port_unreachable.type);
    EXPECT_EQ(verdict.error.code, icmp_error::port_unreachable.code);
    gateway.policy.services[0].no_backend = NoBackend::drop;
    send(from_client(1));
    EXPECT_EQ(verdict.outcome, Outcome::drop);
    EXPECT_EQ(verdict.reason, DropReason::no_backend);
}

TEST_F(Balanced, ASegmentOfNoConnectionIsAnsweredByARst) {
    serve({web({backend(2)})});
    send(from_client(1), ack);
    EXPECT_EQ(verdict.outcome, Outcome::reset);
    send(from_client(1), rst);
    EXPECT_EQ(verdict.outcome, Outcome::drop);
}

TEST_F(Balanced, ABackendReachesItsOwnService) {
    serve({web({backend(2, 80)})});
    const Ends itself{host("10.2.0.2"), host(vip), 5000, 80};
    const Tuple<V4> there = send(itself, syn, 1);
    EXPECT_EQ(there.destination, ip("10.2.0.2"));
    EXPECT_EQ(there.source, ip("10.2.0.1")) << "a host drops what has its own source";
    const Tuple<V4> back = send(answer_to(there), syn | ack, 1);
    EXPECT_EQ(back.source, ip(vip));
    EXPECT_EQ(back.destination, ip("10.2.0.2"));
    EXPECT_EQ(back.destination_port.host(), 5000);
}

TEST_F(Balanced, ADrainingBackendKeepsItsFlowsAndGetsNoNewOnes) {
    serve({web({backend(2), backend(3)})});
    std::uint32_t number = 0;
    while (send(from_client(number)).destination != ip("10.2.0.2"))
        ++number;
    const Ends old = from_client(number);
    const Tuple<V4> there = send(old);
    send(answer_to(there), syn | ack, 1);
    change([](auto& entries) { entries[0].drains = true; });
    for (std::uint32_t i = 100; i < 200; ++i)
        EXPECT_EQ(send(from_client(i)).destination, ip("10.2.0.3"));
    EXPECT_EQ(send(old, ack).destination, ip("10.2.0.2"));
    change([](auto& entries) { entries[1].drains = true; });
    EXPECT_EQ(table().condition(), ServiceCondition::draining);
    std::set<std::uint32_t> met;
    for (std::uint32_t i = 200; i < 300; ++i)
        met.insert(send(from_client(i)).destination.value.host());
    EXPECT_EQ(met.size(), 2U) << "a backend that drains is better than none";
}

// A SYN on a port that a client uses again.

struct Reused : Balanced {
    /// A connection to the first of two backends.
    void connect() {
        serve({web({backend(2), backend(3)})});
        for (std::uint32_t i = 0; there.destination != ip("10.2.0.2"); ++i) {
            ends = from_client(i);
            there = send(ends);
        }
    }
    void client_says(const Spoken& spoken) {
        Bytes packet = segment(ends, spoken);
        pass(packet, 0);
        ASSERT_TRUE(verdict.transmits());
    }
    void backend_says(const Spoken& spoken) {
        Bytes packet = segment(answer_to(there), spoken);
        pass(packet, 1);
        ASSERT_TRUE(verdict.transmits());
    }
    void answer() {
        client_says({syn, 1000});
        backend_says({syn | ack, 9000, 1001});
        client_says({ack, 1001, 9001});
    }
    /// Both ends close it.
    void close() {
        answer();
        client_says({fin | ack, 1001, 9001});
        backend_says({fin | ack, 9001, 1002});
        client_says({ack, 1002, 9002});
    }
    Ends ends{};
    Tuple<V4> there{};
};

TEST_F(Reused, AfterTheEndItGoesByTheBackendsOfToday) {
    connect();
    close();
    Bytes again = segment(ends, {syn, 500'000});
    EXPECT_EQ(pass(again, 0).destination, ip("10.2.0.2")) << "nothing has changed";
    gateway.pass_time(3'600'000);
    gateway.keeps_policy = false;
    there = {};
    connect();
    close();
    change([](auto& entries) { entries[0].drains = true; });
    again = segment(ends, {syn, 500'000});
    EXPECT_EQ(pass(again, 0).destination, ip("10.2.0.3"));
    EXPECT_EQ(verdict.outcome, Outcome::transmit);
}

TEST_F(Reused, OfABackendThatIsDownOrGoneItGoesElsewhereAtOnce) {
    for (const bool is_gone : {false, true}) {
        for (const bool is_answered : {false, true}) {
            gateway.keeps_policy = false;
            serve({});
            static_cast<void>(gateway.round());  // nothing is known of its backends any more
            there = {};
            connect();
            if (is_answered) answer();
            change([&](auto& entries) {
                if (is_gone)
                    entries.erase(entries.begin());
                else
                    entries[0].health = Health::down;
            });
            EXPECT_EQ(send(ends).destination, ip("10.2.0.3")) << is_gone << is_answered;
            EXPECT_EQ(send(ends).destination, ip("10.2.0.3"));
            gateway.pass_time(3'600'000);
        }
    }
}

TEST_F(Reused, UnansweredItGoesByTheBackendsOfToday) {
    connect();
    EXPECT_EQ(send(ends).destination, ip("10.2.0.2")) << "nothing has changed";
    change([](auto& entries) { entries[0].drains = true; });
    EXPECT_EQ(send(ends).destination, ip("10.2.0.3"));
}

TEST_F(Reused, WhileItLivesABackendThatDrainsAnswersItself) {
    connect();
    answer();
    change([](auto& entries) { entries[0].drains = true; });
    EXPECT_EQ(send(ends).destination, ip("10.2.0.2"));
}

TEST_F(Balanced, WhenAllAreDownAllAreAsked) {
    serve({web({backend(2), backend(3), backend(4, 8080, no_weight)})});
    change([](auto& entries) { entries[0].health = Health::down; });
    EXPECT_EQ(table().condition(), ServiceCondition::ok);
    for (std::uint32_t i = 0; i < 50; ++i)
        EXPECT_EQ(send(from_client(i)).destination, ip("10.2.0.3"));
    change([](auto& entries) { entries[1].health = Health::down; });
    EXPECT_EQ(table().condition(), ServiceCondition::all_down);
    std::set<std::uint32_t> met;
    for (std::uint32_t i = 100; i < 200; ++i)
        met.insert(send(from_client(i)).destination.value.host());
    EXPECT_EQ(met, (std::set{host("10.2.0.2"), host("10.2.0.3")})) << "not the one that drains";
}

TEST_F(Balanced, AnotherPolicyKeepsWhatIsKnownOfBackends) {
    Service<V4> service = web({backend(2), backend(3)});
    serve({service});
    change([](auto& entries) { entries[1].health = Health::down; });
    send(from_client(1));
    service.backends.insert(service.backends.begin(), backend(9));
    gateway.keeps_policy = false;
    serve({service});
    const auto entries = table().entries();
    ASSERT_EQ(entries.size(), 3U);
    EXPECT_EQ(entries[2].health, Health::down);
    EXPECT_EQ(entries[1].counters->openings.load(), 1U);
    EXPECT_EQ(entries[0].health, Health::unknown);
}

TEST_F(Balanced, PortsOfAServiceAreNoSourcePorts) {
    Service<V4> service = web({backend(2)});
    service.address = ip("10.2.0.1");
    service.ports = {{2000, 2000}};
    serve({service});
    gateway.policy.rules = {masquerade({2000, 2001})};
    const Tuple<V4> there = send({host("10.1.0.7"), host("192.0.2.80"), 40000, 443});
    EXPECT_EQ(there.source_port.host(), 2001);
    send({host("10.1.0.8"), host("192.0.2.80"), 40000, 443});
    EXPECT_EQ(verdict.reason, DropReason::exhausted);
}

// Fates.

struct ServiceFate : testing::Test {
    FlowFate fate(std::uint8_t protocol, std::vector<Service<V4>> before,
                  std::vector<Service<V4>> now) {
        Identities identities{64};
        PolicyConfig<V4> first, second;
        first.services = std::move(before);
        second.services = std::move(now);
        const Policy<V4> old(first, {}, {}, identities, nullptr);
        const Policy<V4> next(second, {}, {}, identities, &old);
        Tuple<V4> original = test::tuple(from_client(1), protocol);
        Tuple<V4> reply = original.inverse();
        reply.source = ip("10.2.0.2");
        reply.source_port = Be16::from_host(8080);
        return fate_of<V4>({original, reply, old.service_rules.rules()[0].id, 0, true}, old, next,
                           false);
    }
    static constexpr std::uint8_t tcp = ip_protocol::tcp, udp = ip_protocol::udp;
};

TEST_F(ServiceFate, AFlowOfABackendThatStaysStays) {
    for (const std::uint8_t protocol : {tcp, udp})
        EXPECT_EQ(fate(protocol, {web({backend(2)}, protocol)},
                       {web({backend(3), backend(2)}, protocol)}),
                  FlowFate::unchanged);
}

TEST_F(ServiceFate, OfABackendThatDrainsDatagramsGoElsewhere) {
    for (const std::uint8_t protocol : {tcp, udp})
        EXPECT_EQ(fate(protocol, {web({backend(2)}, protocol)},
                       {web({backend(3), backend(2, 8080, no_weight)}, protocol)}),
                  protocol == udp ? FlowFate::ends : FlowFate::unchanged);
    EXPECT_EQ(fate(udp, {web({backend(2)}, udp)}, {web({backend(2, 8080, no_weight)}, udp)}),
              FlowFate::unchanged)
        << "there is nowhere else";
}

TEST_F(ServiceFate, OfABackendThatIsGoneConnectionsAreReset) {
    EXPECT_EQ(fate(tcp, {web({backend(2)})}, {web({backend(3)})}), FlowFate::is_reset);
    EXPECT_EQ(fate(udp, {web({backend(2)}, udp)}, {web({}, udp)}), FlowFate::ends);
    Service<V4> keeping = web({backend(3)});
    keeping.on_gone = OnGone::keep;
    EXPECT_EQ(fate(tcp, {web({backend(2)})}, {keeping}), FlowFate::lives_on);
}

TEST_F(ServiceFate, OfAServiceThatIsGoneOrMovedNothingStays) {
    EXPECT_EQ(fate(tcp, {web({backend(2)})}, {}), FlowFate::is_reset);
    EXPECT_EQ(fate(udp, {web({backend(2)}, udp)}, {}), FlowFate::ends);
    Service<V4> moved = web({backend(2)});
    moved.address = ip("203.0.113.8");
    EXPECT_EQ(fate(tcp, {web({backend(2)})}, {moved}), FlowFate::is_reset);
    moved = web({backend(2)});
    moved.ports = {{8000, 8010}};
    EXPECT_EQ(fate(tcp, {web({backend(2)})}, {moved}), FlowFate::is_reset);
}

}  // namespace
}  // namespace noclash::nat::test::services_test
