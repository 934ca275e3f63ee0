// SPDX-License-Identifier: Apache-2.0
#include "nat/pipeline.hpp"

#include <gtest/gtest.h>

#include <map>
#include <tuple>
#include <utility>

#include "tests/unit/nat/pipeline_fixture.hpp"

namespace noclash::nat::test::pipeline_test {
namespace {

using tcp_flag::ack, tcp_flag::fin, tcp_flag::rst, tcp_flag::syn;

TEST(Pipeline, MasqueradeThereAndBack) {
    TestGateway gateway({masquerade()});
    Bytes out = tcp(client, syn);
    const int ttl = read(out).ttl;
    const auto context = gateway.decide(out);
    ASSERT_EQ(context.verdict.outcome, Outcome::transmit);
    EXPECT_EQ(context.hop.port, 1);
    EXPECT_EQ(context.hop.next_hop, ip("10.2.0.254"));
    const Tuple<V4> sent = read(out).tuple;
    EXPECT_EQ(sent.source, ip("10.2.0.1"));
    EXPECT_GE(sent.source_port.host(), 1024);
    EXPECT_EQ(sent.destination, ip("192.0.2.80"));
    EXPECT_EQ(read(out).ttl, ttl - 1);

    Bytes back = tcp(answer_to(sent), syn | ack);
    ASSERT_EQ(gateway.pass(back, 1).outcome, Outcome::transmit);
    EXPECT_EQ(read(back).tuple, test::tuple(client, ip_protocol::tcp).inverse());
    Bytes next = tcp(client, ack, {1, 2, 3});
    ASSERT_EQ(gateway.pass(next).outcome, Outcome::transmit);
    EXPECT_EQ(read(next).tuple, sent);
}

TEST(Pipeline, NodePortTranslatesBothEnds) {
    TestGateway gateway({node_port(), masquerade()});
    Bytes out = tcp({client.source, host("10.1.0.1"), 40000, 30080}, syn);
    ASSERT_EQ(gateway.pass(out).outcome, Outcome::transmit);
    const Tuple<V4> sent = read(out).tuple;
    EXPECT_EQ(sent.source, ip("10.2.0.1"));
    EXPECT_EQ(sent.destination, ip("10.2.0.2"));
    EXPECT_EQ(sent.destination_port.host(), 80);
    Bytes back = tcp(answer_to(sent), syn | ack);
    ASSERT_EQ(gateway.pass(back, 1).outcome, Outcome::transmit);
    EXPECT_EQ(read(back).tuple.source, ip("10.1.0.1"));
    EXPECT_EQ(read(back).tuple.source_port.host(), 30080);
}

/// A gateway whose node port has four targets, the third on a port of its own.
TestGateway with_four_targets() {
    Rule<V4> rule = node_port();
    rule.targets = {
        {ip("10.2.0.2"), 80}, {ip("10.2.0.3"), 80}, {ip("10.2.0.4"), 8080}, {ip("10.2.0.5"), 80}};
    return TestGateway({rule});
}

TEST(Pipeline, NewFlowsAreSpreadOverTheTargetsOfARule) {
    TestGateway gateway = with_four_targets();
    std::map<std::pair<std::uint32_t, unsigned>, int> flows;
    constexpr int all = 400;
    for (int i = 0; i < all; ++i) {
        const auto port = static_cast<std::uint16_t>(20000 + i);
        Bytes packet = tcp({client.source, host("10.1.0.1"), port, 30080}, syn);
        ASSERT_EQ(gateway.pass(packet).outcome, Outcome::transmit);
        const Tuple<V4> sent = read(packet).tuple;
        ++flows[{sent.destination.value.host(), sent.destination_port.host()}];
    }
    ASSERT_EQ(flows.size(), 4U);
    EXPECT_TRUE(flows.contains({host("10.2.0.4"), 8080U}));
    // A fair draw is below 50 or above 150 of 100 less than once in 10^8 runs.
    for (const auto& [target, count] : flows) {
        EXPECT_GT(count, 50);
        EXPECT_LT(count, 150);
    }
}

TEST(Pipeline, AFlowKeepsItsTarget) {
    TestGateway gateway = with_four_targets();
    const Ends ends{client.source, host("10.1.0.1"), 40000, 30080};
    std::vector<Bytes> packets(16, tcp(ends, syn));
    std::vector<PacketContext<V4>> contexts(packets.size());
    for (std::size_t i = 0; i < contexts.size(); ++i)
        contexts[i].packet = view(packets[i]);
    gateway.process(contexts);  // all of them draw
    for (const Bytes& packet : packets)
        EXPECT_EQ(packet, packets[0]);
    for (int i = 0; i < 16; ++i) {
        Bytes again = tcp(ends, syn);
        ASSERT_EQ(gateway.pass(again).outcome, Outcome::transmit);
        EXPECT_EQ(again, packets[0]);
    }
}

TEST(Pipeline, UdpAndPingAreTranslatedToo) {
    TestGateway gateway({masquerade()});
    Bytes query = udp(client, {1, 2, 3});
    ASSERT_EQ(gateway.pass(query).outcome, Outcome::transmit);
    Bytes answer = udp(answer_to(read(query).tuple), {4, 5});
    ASSERT_EQ(gateway.pass(answer, 1).outcome, Outcome::transmit);
    EXPECT_EQ(read(answer).tuple, test::tuple(client, ip_protocol::udp).inverse());

    Bytes ping = icmp({client.source, client.destination}, 8, 0, 0x12340001, {9});
    ASSERT_EQ(gateway.pass(ping).outcome, Outcome::transmit);
    const Tuple<V4> sent = read(ping).tuple;
    EXPECT_EQ(sent.source, ip("10.2.0.1"));
    Bytes pong = icmp({client.destination, host("10.2.0.1")}, 0, 0,
                      std::uint32_t{sent.source_port.host()} << 16U | 1, {9});
    ASSERT_EQ(gateway.pass(pong, 1).outcome, Outcome::transmit);
    EXPECT_EQ(read(pong).tuple.destination, ip("10.1.0.7"));
    EXPECT_EQ(read(pong).tuple.destination_port.host(), 0x1234);
}

TEST(Pipeline, TheFirstRuleThatMatchesDecides) {
    Rule<V4> drop;
    drop.name = "drop";
    drop.to = {{ip("192.0.2.0"), 24}};
    Rule<V4> forward;
    forward.name = "forward";
    forward.action = Action::forward;
    forward.to = {{ip("198.51.100.0"), 24}};
    TestGateway gateway({forward, drop, masquerade()});
    Bytes dropped = udp(client);
    const Bytes before = dropped;
    const auto verdict = gateway.pass(dropped);
    EXPECT_EQ(verdict.outcome, Outcome::drop);
    EXPECT_EQ(verdict.reason, DropReason::rule);
    EXPECT_EQ(dropped, before);
    Bytes forwarded = udp({client.source, host("198.51.100.1"), 5, 6});
    ASSERT_EQ(gateway.pass(forwarded).outcome, Outcome::transmit);
    EXPECT_EQ(read(forwarded).tuple.source, ip("10.1.0.7"));
    Bytes from_outside = udp({host("203.0.113.1"), host("10.1.0.7"), 5, 6});
    EXPECT_EQ(gateway.pass(from_outside, 1).reason, DropReason::no_rule);
    EXPECT_EQ(gateway.pipelines[0]->slow_path().rule_hits(0), 1U);
    EXPECT_EQ(gateway.pipelines[0]->slow_path().rule_hits(1), 1U);
    EXPECT_EQ(gateway.pipelines[0]->slow_path().rule_hits(2), 0U);
}

TEST(Pipeline, AForwardedFlowWhoseReplyTupleIsTakenGetsAnotherPort) {
    // Two flows of one client to one backend, one of them through the service's address.
    Rule<V4> forward;
    forward.action = Action::forward;
    TestGateway gateway({node_port(SourceNat::keep), forward});
    Bytes direct = tcp({client.source, host("10.2.0.2"), 40000, 80}, syn);
    Bytes service = tcp({client.source, host("10.1.0.1"), 40000, 30080}, syn);
    ASSERT_EQ(gateway.pass(direct).outcome, Outcome::transmit);
    ASSERT_EQ(gateway.pass(service).outcome, Outcome::transmit);
    EXPECT_EQ(read(direct).tuple.source_port.host(), 40000);
    EXPECT_EQ(read(service).tuple.source, ip("10.1.0.7"));
    EXPECT_NE(read(service).tuple.source_port.host(), 40000);
}

TEST(Pipeline, AMiddleOfAConnectionOpensAFlowWherePickupIsConfigured) {
    Rule<V4> forward;
    forward.action = Action::forward;
    TestGateway gateway({forward});
    gateway.policy.tcp.pickup = true;
    for (const std::uint8_t flags : {std::uint8_t(syn | ack), std::uint8_t(fin | ack), rst}) {
        Bytes packet = tcp(client, flags);
        EXPECT_EQ(gateway.pass(packet).reason, DropReason::tcp_not_syn);
    }
    Bytes packet = tcp(client, ack, {1, 2, 3});
    ASSERT_EQ(gateway.pass(packet).outcome, Outcome::transmit);
    EXPECT_EQ(read(packet).tuple, test::tuple(client, ip_protocol::tcp));
    Bytes answer = tcp(answer_to(read(packet).tuple), ack);
    ASSERT_EQ(gateway.pass(answer, 1).outcome, Outcome::transmit);
    const auto key = test::tuple(client, ip_protocol::tcp);
    const Found found = gateway.table.index().find(key, gateway.table.index().hash(key));
    const auto& flow = gateway.table.pool()[found.flow];
    EXPECT_EQ(flow.protocol_state.load(), static_cast<std::uint8_t>(TcpState::established));
    EXPECT_EQ(flow.expires.load(), gateway.now_ms + gateway.timeouts.tcp_established_s * 1000ULL);
}

// [RFC 5508 REQ-4] [RFC 5508 REQ-6] [RFC 4787 REQ-12]
TEST(Pipeline, AnErrorAboutAFlowReachesItsSenderAndChangesNothing) {
    TestGateway gateway({masquerade()});
    Bytes out = udp(client, {1, 2, 3, 4});
    ASSERT_EQ(gateway.pass(out).outcome, Outcome::transmit);
    const Found found = gateway.table.index().find(
        test::tuple(client, ip_protocol::udp),
        gateway.table.index().hash(test::tuple(client, ip_protocol::udp)));
    const Moment expires = gateway.table.pool()[found.flow].expires.load();
    gateway.now_ms += 5000;

    // From a router on the way, and from the destination itself.
    for (const char* sender : {"198.51.100.9", "192.0.2.80"}) {
        Bytes error = icmp({host(sender), host("10.2.0.1")}, 3, 3, 0, out);
        ASSERT_EQ(gateway.pass(error, 1).outcome, Outcome::transmit) << sender;
        EXPECT_EQ(read(error).tuple, test::tuple(client, ip_protocol::udp)) << sender;
        EXPECT_EQ(header<IpHeader<V4>>(view(error), 0).source.get(), ip(sender));
        EXPECT_EQ(header<IpHeader<V4>>(view(error), 0).destination.get(), ip("10.1.0.7"));
    }
    EXPECT_EQ(gateway.table.pool()[found.flow].expires.load(), expires);
    Bytes stray = icmp({host("198.51.100.9"), host("10.2.0.1")}, 3, 3, 0,
                       udp({host("10.2.0.1"), host("192.0.2.80"), 1, 2}));
    EXPECT_EQ(gateway.pass(stray, 1).reason, DropReason::icmp_unrelated);
}

// [RFC 5508 REQ-5]
TEST(Pipeline, AnErrorFromInsideDoesNotTellInsideAddresses) {
    TestGateway gateway({masquerade()});
    Bytes out = udp(client);
    ASSERT_EQ(gateway.pass(out).outcome, Outcome::transmit);
    Bytes answer = udp(answer_to(read(out).tuple));
    ASSERT_EQ(gateway.pass(answer, 1).outcome, Outcome::transmit);
    Bytes error = icmp({host("10.1.0.99"), client.destination}, 3, 1, 0, answer);
    ASSERT_EQ(gateway.pass(error).outcome, Outcome::transmit);
    EXPECT_EQ(header<IpHeader<V4>>(view(error), 0).source.get(), ip("10.2.0.1"));
}

TEST(Pipeline, AnErrorThatIsNotForTheQuotedSenderIsRefused) {
    TestGateway gateway({masquerade()});
    Bytes out = udp(client);
    ASSERT_EQ(gateway.pass(out).outcome, Outcome::transmit);
    Bytes error = icmp({host("198.51.100.9"), host("10.1.0.200")}, 3, 3, 0, out);
    EXPECT_EQ(gateway.pass(error, 1).reason, DropReason::icmp_unrelated);
}

TEST(Pipeline, AConnectionOpenedFromBothSidesAtOnceIsOneFlow) {
    // [RFC 5382 REQ-2] Worker 1 is setting up B -> A when A -> B arrives.
    Rule<V4> forward;
    forward.action = Action::forward;
    TestGateway gateway({forward}, 2);
    gateway.engines[1]->online();
    const Ends there{host("10.1.0.7"), host("10.2.0.2"), 500, 500};
    Bytes packet = udp(there);
    {
        Reservation<V4> mirrored(*gateway.engines[1],
                                 test::tuple(there, ip_protocol::udp).inverse());
        EXPECT_EQ(gateway.pass(packet).outcome, Outcome::park);
        ASSERT_EQ(mirrored.reserve(test::tuple(there, ip_protocol::udp)), SetupError::none);
        mirrored.publish(to_moment(gateway.now_ms + 1000), gateway.now_ms);
    }
    ASSERT_EQ(gateway.pass(packet).outcome, Outcome::transmit);
    EXPECT_EQ(read(packet).tuple, test::tuple(there, ip_protocol::udp));
}

TEST(Pipeline, AClosedConnectionGoesAndGivesItsTuplesBack) {
    TestGateway gateway({masquerade({5000, 5000})});
    gateway.timeouts.tcp_close_s = 2;
    Bytes first = tcp(client, syn);
    ASSERT_EQ(gateway.pass(first).outcome, Outcome::transmit);
    Bytes second = tcp({host("10.1.0.8"), client.destination, 40000, 80}, syn);
    EXPECT_EQ(gateway.pass(second).reason, DropReason::exhausted);
    Bytes reset = tcp(answer_to(read(first).tuple), rst | ack);
    ASSERT_EQ(gateway.pass(reset, 1).outcome, Outcome::transmit);
    gateway.pass_time(13'000);
    second = tcp({host("10.1.0.8"), client.destination, 40000, 80}, syn);
    EXPECT_EQ(gateway.pass(second).outcome, Outcome::transmit);
    EXPECT_EQ(gateway.table.index().occupancy().entries, 2U);
}

// [RFC 6888 REQ-8] [RFC 7857 section 2.2] [RFC 5382 REQ-5]
TEST(Pipeline, AClosedConnectionHoldsItsPortForFourMinutes) {
    for (const std::uint8_t end : {std::uint8_t(rst | ack), std::uint8_t(fin | ack)}) {
        TestGateway gateway({masquerade({5000, 5000})});
        Bytes first = tcp(client, syn);
        ASSERT_EQ(gateway.pass(first).outcome, Outcome::transmit);
        const Ends back = answer_to(read(first).tuple);
        for (Bytes answer : {tcp(back, syn | ack), tcp(back, end)})
            ASSERT_EQ(gateway.pass(answer, 1).outcome, Outcome::transmit);
        for (Bytes last : {tcp(client, fin | ack), tcp(client, ack)})
            ASSERT_EQ(gateway.pass(last).outcome, Outcome::transmit);

        gateway.pass_time(239'000);
        Bytes second = tcp({host("10.1.0.8"), client.destination, 40000, 80}, syn);
        EXPECT_EQ(gateway.pass(second).reason, DropReason::exhausted);
        gateway.pass_time(12'000);  // it is looked at every 10 s
        EXPECT_EQ(gateway.pass(second).outcome, Outcome::transmit);
    }
}

/// The maximum segment size that the SYN names behind its ports and so on; 1460 on the way in.
Bytes with_mss(Bytes packet) {
    packet[32] = 0x60;  // a header of six words
    for (const int byte : {2, 4, 1460 >> 8, 1460 & 0xff})
        packet.push_back(static_cast<std::uint8_t>(byte));
    put16(packet, 2, static_cast<unsigned>(packet.size()));
    fix_ip_checksum(packet);
    fix_l4_checksum(packet);
    return packet;
}

TEST(Pipeline, SegmentSizesAreClampedToWhatFitsBothPorts) {
    for (const auto& [clamp, mtu, expected] :
         {std::tuple(std::optional<std::uint16_t>(), 1400, 1460U),
          {std::optional(any_mss), 1400, 1360U},
          {std::optional(any_mss), 9000, 1460U},
          {std::optional<std::uint16_t>(1200), 1400, 1200U}}) {
        Rule<V4> rule = masquerade();
        rule.mss_clamp = clamp;
        TestGateway gateway({rule});
        gateway.router.outside_mtu = static_cast<std::uint16_t>(mtu);
        // The first SYN, which opens the flow, its copy, which finds it, and the answer.
        Bytes out = with_mss(tcp(client, syn));
        for (int copy = 0; copy < 2; ++copy) {
            out = with_mss(tcp(client, syn));
            ASSERT_EQ(gateway.pass(out).outcome, Outcome::transmit);
            EXPECT_EQ(get16(out, 42), expected);
        }
        Bytes back = with_mss(tcp(answer_to(read(out).tuple), syn | ack));
        ASSERT_EQ(gateway.pass(back, 1).outcome, Outcome::transmit);
        EXPECT_EQ(get16(back, 42), expected);
        EXPECT_EQ(read(back).tuple.destination, ip("10.1.0.7"));
        // A segment that is no SYN has no MSS, whatever its payload looks like.
        Bytes data = with_mss(tcp(client, ack));
        ASSERT_EQ(gateway.pass(data).outcome, Outcome::transmit);
        EXPECT_EQ(get16(data, 42), 1460);
    }
}

// [RFC 4787 REQ-5] [RFC 4787 REQ-6]
TEST(Pipeline, AUdpMappingLivesForFiveMinutesAfterItsLastPacket) {
    TestGateway gateway({masquerade()});
    Bytes out = udp(client);
    ASSERT_EQ(gateway.pass(out).outcome, Outcome::transmit);
    const Tuple<V4> sent = read(out).tuple;
    for (int i = 0; i < 3; ++i) {
        gateway.pass_time(299'000);
        Bytes again = udp(client);
        ASSERT_EQ(gateway.pass(again).outcome, Outcome::transmit);
        EXPECT_EQ(read(again).tuple, sent);
    }
    gateway.pass_time(311'000);
    Bytes late = udp(answer_to(sent));
    EXPECT_EQ(gateway.pass(late, 1).reason, DropReason::unsolicited);
}

TEST(Pipeline, AFlowBeingSetUpElsewhereParksAndItsMappingIsAdopted) {
    TestGateway gateway({masquerade()}, 2);
    gateway.engines[1]->online();
    Bytes packet = tcp(client, syn);
    {
        // Worker 1 has claimed the flow and stalls.
        Reservation<V4> stalled(*gateway.engines[1], test::tuple(client, ip_protocol::tcp));
        EXPECT_EQ(gateway.pass(packet).outcome, Outcome::park);
        auto reply = test::tuple(client, ip_protocol::tcp).inverse();
        reply.destination = ip("10.2.0.1");
        reply.destination_port = Be16::from_host(7777);
        ASSERT_EQ(stalled.reserve(reply), SetupError::none);
        EXPECT_EQ(gateway.pass(packet).outcome, Outcome::park);
        stalled.record().protocol_state.store(static_cast<std::uint8_t>(TcpState::syn_sent));
        keep(stalled.record(), translation(test::tuple(client, ip_protocol::tcp), reply.inverse()));
        stalled.publish(to_moment(gateway.now_ms + 1000), gateway.now_ms);
    }
    ASSERT_EQ(gateway.pass(packet).outcome, Outcome::transmit);
    EXPECT_EQ(read(packet).tuple.source_port.host(), 7777);
}

TEST(Pipeline, ASetUpThatWasGivenUpElsewhereIsDoneHere) {
    TestGateway gateway({masquerade()}, 2);
    gateway.engines[1]->online();
    Bytes packet = tcp(client, syn);
    {
        const Reservation<V4> aborted(*gateway.engines[1], test::tuple(client, ip_protocol::tcp));
        EXPECT_EQ(gateway.pass(packet).outcome, Outcome::park);
    }
    EXPECT_EQ(gateway.pass(packet).outcome, Outcome::transmit);
}

TEST(Pipeline, CopiesInOneBurstShareTheFlow) {
    TestGateway gateway({masquerade()});
    std::vector<Bytes> packets(8, tcp(client, syn));
    std::vector<PacketContext<V4>> contexts(packets.size());
    for (std::size_t i = 0; i < contexts.size(); ++i)
        contexts[i].packet = view(packets[i]);
    gateway.process(contexts);
    for (std::size_t i = 0; i < contexts.size(); ++i) {
        ASSERT_EQ(contexts[i].verdict.outcome, Outcome::transmit);
        EXPECT_EQ(packets[i], packets[0]);
    }
    EXPECT_EQ(gateway.table.index().occupancy().entries, 2U);
}

}  // namespace
}  // namespace noclash::nat::test::pipeline_test
