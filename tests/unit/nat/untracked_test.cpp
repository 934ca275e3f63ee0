// SPDX-License-Identifier: Apache-2.0
#include "nat/untracked.hpp"

#include <gtest/gtest.h>

#include <utility>

#include "tests/unit/nat/pipeline_fixture.hpp"

namespace noclash::nat::test::untracked_test {
namespace {

using tcp_flag::ack, tcp_flag::syn;

Rule<V4> untracked() {
    Rule<V4> rule;
    rule.name = "transit";
    rule.action = Action::forward;
    rule.tracking = Tracking::none;
    return rule;
}

Rule<V4> untracked_to(const char* network, std::uint8_t length) {
    Rule<V4> rule = untracked();
    rule.to = {{ip(network), length}};
    return rule;
}

/// An inside host's whole address, bound to one outside.
Rule<V4> bound(const char* inside, const char* outside) {
    Rule<V4> rule;
    rule.action = Action::bind;
    rule.mapping = {{ip(inside), {}}, {ip(outside), {}}};
    return rule;
}

std::uint64_t entries(const TestGateway& gateway) {
    return gateway.table.index().occupancy().entries;
}
std::uint64_t untracked_packets(const TestGateway& gateway) {
    return gateway.pipelines[0]->untracked().packets();
}

/// Whether a packet leaves as it came, but for the hop, with right checksums and without a trace.
testing::AssertionResult passes_untracked(TestGateway& gateway, Bytes packet,
                                          std::uint16_t port = 0) {
    Bytes expected = packet;
    --expected[8];
    fix_ip_checksum(expected);
    const std::uint64_t before = untracked_packets(gateway);
    const Verdict verdict = gateway.pass(packet, port);
    if (!verdict.transmits())
        return testing::AssertionFailure() << "dropped: " << to_string(verdict.reason);
    if (packet != expected) return testing::AssertionFailure() << "became " << to_hex(packet);
    if (untracked_packets(gateway) != before + 1)
        return testing::AssertionFailure() << "was not counted";
    if (entries(gateway) != 0) return testing::AssertionFailure() << "made a flow";
    return testing::AssertionSuccess();
}

/// An error that `reporter` sends about a packet.
Bytes error_about(const Bytes& packet, const char* reporter) {
    const std::uint32_t sender =
        static_cast<std::uint32_t>(get16(packet, 12)) << 16U | get16(packet, 14);
    return icmp({host(reporter), sender}, 3, 3, 0, Bytes(packet.begin(), packet.begin() + 28));
}

TEST(Untracked, EveryProtocolPassesAsItIs) {
    TestGateway gateway({untracked()});
    EXPECT_TRUE(passes_untracked(gateway, tcp(client, ack, {1, 2, 3}))) << "no SYN is needed";
    EXPECT_TRUE(passes_untracked(gateway, udp(client, {1, 2, 3})));
    EXPECT_TRUE(passes_untracked(gateway, icmp(client, 8, 0, 0x00010001, {9})));
    EXPECT_TRUE(passes_untracked(gateway, icmp(client, 0, 0, 0x00010001, {9}))) << "an answer";
    EXPECT_TRUE(passes_untracked(gateway, ipv4(client, ip_protocol::gre, Bytes(24, 7))));
    EXPECT_TRUE(passes_untracked(gateway, sctp(client, 77, sctp_chunk(0, Bytes(12)))));
    EXPECT_TRUE(passes_untracked(gateway, tcp(client, syn, {}, Bytes(4, 1)))) << "IP options";
    EXPECT_EQ(gateway.pipelines[0]->rule_hits(0), 7U) << "each packet counts";
}

TEST(Untracked, TheIpChecksumIsRightWhateverTheHeaderSumsUpTo) {
    TestGateway gateway({untracked()});
    for (unsigned id = 0; id < 0x10000; ++id) {
        Bytes packet = udp(client);
        put16(packet, 4, id);
        fix_ip_checksum(packet);
        ASSERT_TRUE(passes_untracked(gateway, packet)) << id;
    }
}

TEST(Untracked, AWrongTransportChecksumIsTheReceiversConcern) {
    TestGateway gateway({untracked()});
    Bytes packet = tcp(client, syn, {1, 2, 3});
    packet.back() ^= 1;
    EXPECT_TRUE(passes_untracked(gateway, packet));
}

TEST(Untracked, ARuleMatchesByPortPrefixAndProtocol) {
    Rule<V4> rule = untracked_to("192.0.2.0", 24);
    rule.ingress_port = 0;
    rule.protocol = ip_protocol::udp;
    rule.from = {{ip("10.1.0.0"), 16}};
    rule.to_port = PortRange{80, 81};
    TestGateway gateway({rule});
    EXPECT_TRUE(passes_untracked(gateway, udp(client)));
    const auto reason = [&](Bytes packet, std::uint16_t port = 0) {
        return gateway.pass(packet, port).reason;
    };
    EXPECT_EQ(reason(udp(client), 1), DropReason::no_rule) << "another port";
    EXPECT_EQ(reason(udp(client), 7), DropReason::no_rule) << "one that no rule names";
    EXPECT_EQ(reason(tcp(client, syn)), DropReason::no_rule);
    Ends other = client;
    other.source = host("10.2.0.7");
    EXPECT_EQ(reason(udp(other)), DropReason::no_rule);
    other = client;
    other.destination = host("192.0.3.80");
    EXPECT_EQ(reason(udp(other)), DropReason::no_rule);
    other = client;
    other.destination_port = 82;
    EXPECT_EQ(reason(udp(other)), DropReason::no_rule);
    EXPECT_EQ(untracked_packets(gateway), 1U);
}

TEST(Untracked, BothDirectionsNeedARule) {
    Rule<V4> out = untracked(), in = untracked();
    out.ingress_port = 0;
    in.ingress_port = 1;
    const Bytes answer = tcp(answer_to(test::tuple(client, ip_protocol::tcp)), syn | ack);
    TestGateway one_way({out});
    EXPECT_TRUE(passes_untracked(one_way, tcp(client, syn)));
    Bytes lost = answer;
    EXPECT_EQ(one_way.pass(lost, 1).reason, DropReason::tcp_not_syn);
    TestGateway both({out, in});
    EXPECT_TRUE(passes_untracked(both, tcp(client, syn)));
    EXPECT_TRUE(passes_untracked(both, answer, 1));
}

TEST(Untracked, AnEarlierRuleDecidesBeforeIt) {
    Rule<V4> drop;
    drop.protocol = ip_protocol::udp;
    Rule<V4> translate = masquerade();
    translate.to = {{ip("192.0.2.80"), 32}};
    TestGateway gateway({drop, translate, untracked(), masquerade()});
    Bytes query = udp(client);
    EXPECT_EQ(gateway.pass(query).reason, DropReason::rule);
    Bytes opening = tcp(client, syn);
    ASSERT_TRUE(gateway.pass(opening).transmits());
    EXPECT_EQ(read(opening).tuple.source, ip("10.2.0.1"));
    Bytes answer = tcp(answer_to(read(opening).tuple), syn | ack);
    ASSERT_TRUE(gateway.pass(answer, 1).transmits());
    EXPECT_EQ(read(answer).tuple.destination, ip("10.1.0.7"));
    EXPECT_EQ(untracked_packets(gateway), 0U);
    Bytes other = tcp({client.source, host("192.0.2.81"), 40000, 80}, syn);
    ASSERT_TRUE(gateway.pass(other).transmits());
    EXPECT_EQ(untracked_packets(gateway), 1U);
    EXPECT_EQ(gateway.pipelines[0]->rule_hits(2), 1U);
    EXPECT_EQ(gateway.pipelines[0]->rule_hits(3), 0U) << "behind a rule that matches all";
}

// Invariant 6.
TEST(Untracked, NothingToOrFromAnAddressThatIsTranslated) {
    TestGateway gateway({untracked(), bound("10.1.0.9", "10.2.0.9"), masquerade()});
    gateway.router.inside = {ip("10.2.0.2"), ip("10.1.0.9")};
    for (const char* const translated : {"10.1.0.1", "10.2.0.1", "10.2.0.2", "10.1.0.9"}) {
        Bytes to = udp({client.source, host(translated), 5, 6});
        Bytes from = udp({host(translated), client.destination, 5, 6});
        [[maybe_unused]] const Verdict there = gateway.pass(to), back = gateway.pass(from);
        EXPECT_EQ(untracked_packets(gateway), 0U) << translated;
    }
    EXPECT_GT(entries(gateway), 0U) << "they were tracked instead";
}

// Invariant 6.
TEST(Untracked, AnswersOfTranslatedFlowsFindTheirWayBack) {
    TestGateway gateway({node_port(SourceNat::keep), untracked()});
    gateway.router.inside = {ip("10.2.0.2")};
    const Ends service{client.source, host("10.1.0.1"), 40000, 30080};
    Bytes out = tcp(service, syn);
    ASSERT_TRUE(gateway.pass(out).transmits());
    const Tuple<V4> sent = read(out).tuple;
    ASSERT_EQ(sent.destination, ip("10.2.0.2"));
    Bytes back = tcp(answer_to(sent), syn | ack);
    ASSERT_TRUE(gateway.pass(back, 1).transmits());
    EXPECT_EQ(read(back).tuple, test::tuple(service, ip_protocol::tcp).inverse());
    EXPECT_EQ(untracked_packets(gateway), 0U);
}

// Invariant 6: of a flow that a stranger opens to a mapping, only the strangers' side is
// translated.
TEST(Untracked, AMappingLetsNobodyInWhomAnswersWouldReachUntranslated) {
    Rule<V4> mapped = masquerade();
    mapped.behavior = {Mapping::endpoint_independent, Filtering::endpoint_independent};
    for (const bool passes_by : {false, true}) {
        Rule<V4> rule = untracked_to(passes_by ? "203.0.113.5" : "203.0.113.6", 32);
        rule.ingress_port = 0;
        TestGateway gateway({rule, mapped});
        Bytes out = udp(client);
        ASSERT_TRUE(gateway.pass(out).transmits());
        const Tuple<V4> sent = read(out).tuple;
        Bytes in =
            udp({host("203.0.113.5"), sent.source.value.host(), 99, sent.source_port.host()});
        const Verdict verdict = gateway.pass(in, 1);
        EXPECT_EQ(verdict.transmits(), !passes_by);
        if (passes_by) {
            EXPECT_EQ(verdict.reason, DropReason::untracked_answers);
        }
        // Its answer: translated, or no answer at all.
        Bytes answer = udp({client.source, host("203.0.113.5"), client.source_port, 99});
        ASSERT_TRUE(gateway.pass(answer).transmits());
        EXPECT_EQ(read(answer).tuple.source, ip(passes_by ? "10.1.0.7" : "10.2.0.1"));
    }
}

TEST(Untracked, TimeToLiveAndRouteAreAsked) {
    TestGateway gateway({untracked()});
    Bytes old = udp(client);
    old[8] = 1;
    fix_ip_checksum(old);
    const Bytes before = old;
    const Verdict late = gateway.pass(old);
    EXPECT_EQ(late.outcome, Outcome::reject);
    EXPECT_EQ(late.reason, DropReason::ttl);
    EXPECT_EQ(late.error.type, 11);
    EXPECT_EQ(old, before) << "the error quotes the packet as it came";
    Bytes lost = udp({client.source, host("10.99.0.1"), 1, 2});
    EXPECT_EQ(gateway.pass(lost).reason, DropReason::no_route);
}

TEST(Untracked, TooBigIsToldOrCut) {
    TestGateway gateway({untracked()});
    gateway.router.outside_mtu = 1000;
    Bytes whole = udp(client, Bytes(1200));
    whole[6] |= 0x40;
    fix_ip_checksum(whole);
    const Verdict verdict = gateway.pass(whole);
    EXPECT_EQ(verdict.outcome, Outcome::reject);
    EXPECT_EQ(verdict.reason, DropReason::too_big);
    EXPECT_EQ(verdict.error.code, 4);
    EXPECT_EQ(verdict.error.mtu, 1000);
    Bytes may_be_cut = udp(client, Bytes(1200));
    const auto context = gateway.decide(may_be_cut);
    EXPECT_EQ(context.verdict.outcome, Outcome::fragment);
    EXPECT_EQ(context.hop.mtu, 1000);
}

TEST(Untracked, AnIcmpErrorGoesByItsOuterHeader) {
    Rule<V4> out = untracked(), in = untracked_to("10.1.0.0", 16);
    out.ingress_port = 0;
    in.ingress_port = 1;
    TestGateway gateway({out, in});
    Bytes error = error_about(udp(client), "198.51.100.1");
    const auto context = gateway.decide(error, 1);
    ASSERT_TRUE(context.verdict.transmits());
    EXPECT_EQ(context.hop.port, 0);
    EXPECT_EQ(context.hop.next_hop, ip("10.1.0.7"));
    EXPECT_TRUE(passes_untracked(gateway, error_about(udp(client), "198.51.100.1"), 1));

    Bytes astray = icmp({host("198.51.100.1"), host("10.1.0.44")}, 3, 3, 0,
                        Bytes(error.end() - 28, error.end()));
    EXPECT_EQ(gateway.decide(astray, 1).hop.next_hop, ip("10.1.0.44"));

    Rule<V4> only_udp = in;
    only_udp.protocol = ip_protocol::udp;
    TestGateway without_icmp({out, only_udp});
    Bytes stopped = error_about(udp(client), "198.51.100.1");
    EXPECT_EQ(without_icmp.pass(stopped, 1).reason, DropReason::icmp_unrelated);
}

TEST(Untracked, NoErrorAboutAnError) {
    TestGateway gateway({untracked()});
    Bytes error = error_about(udp(client), "198.51.100.1");
    error[8] = 1;
    fix_ip_checksum(error);
    const Verdict verdict = gateway.pass(error, 1);
    EXPECT_EQ(verdict.outcome, Outcome::drop);
    EXPECT_EQ(verdict.reason, DropReason::ttl);
}

// Invariant 6: to and from addresses that are translated, and about packets that were.
TEST(Untracked, AnIcmpErrorAboutATranslatedPacketIsTranslated) {
    Rule<V4> pings = untracked();
    pings.protocol = ip_protocol::icmp;
    TestGateway gateway({pings, bound("10.1.0.7", "10.2.0.9"), masquerade()});
    gateway.router.inside = {ip("10.1.0.7")};
    Bytes out = udp({host("10.1.0.8"), client.destination, 40000, 80});
    const Bytes sent_by_client = out;
    ASSERT_TRUE(gateway.pass(out).transmits());
    Bytes from_outside = error_about(out, "198.51.100.1");  // to the port's own address
    ASSERT_TRUE(gateway.pass(from_outside, 1).transmits());
    EXPECT_EQ(read(from_outside).tuple,
              test::tuple({host("10.1.0.8"), client.destination, 40000, 80}, ip_protocol::udp));
    Bytes back = udp(answer_to(read(out).tuple));
    ASSERT_TRUE(gateway.pass(back, 1).transmits());
    Bytes from_inside = error_about(back, "10.1.0.55");  // neither of its ends is translated
    ASSERT_TRUE(gateway.pass(from_inside, 0).transmits());
    EXPECT_EQ(read(from_inside).tuple.destination, ip("10.2.0.1")) << "as its receiver knows it";
    EXPECT_EQ(untracked_packets(gateway), 0U);
}

TEST(Untracked, TrackedAndUntrackedPacketsShareABurst) {
    TestGateway gateway({untracked_to("192.0.2.0", 24), masquerade()});
    constexpr std::size_t count = TestPipeline::burst;
    std::vector<Bytes> packets;
    for (std::size_t i = 0; i < count; ++i) {
        const auto port = static_cast<std::uint16_t>(20000 + i / 8);  // several packets of a flow
        packets.push_back(i % 3 == 0 ? udp({client.source, client.destination, port, 80})
                          : i % 3 == 1
                              ? udp({client.source, host("198.51.100.1"), port, 80})
                              : udp({client.source, client.destination, port, 80}, Bytes(1600)));
        if (i % 3 == 2) packets.back()[8] = 0;  // damaged
    }
    for (int round = 0; round < 2; ++round) {  // flows are new, then known
        std::vector<Bytes> burst = packets;
        std::vector<PacketContext<V4>> contexts(count);
        for (std::size_t i = 0; i < count; ++i)
            contexts[i].packet = view(burst[i]);
        gateway.process(contexts);
        for (std::size_t i = 0; i < count; ++i) {
            const Verdict& verdict = contexts[i].verdict;
            if (i % 3 == 2) {
                EXPECT_EQ(verdict.reason, DropReason::bad_ip_checksum);
                continue;
            }
            ASSERT_TRUE(verdict.transmits());
            EXPECT_EQ(read(burst[i]).tuple.source, ip(i % 3 == 0 ? "10.1.0.7" : "10.2.0.1"));
            EXPECT_EQ(burst[i][8], packets[i][8] - 1);
        }
    }
    EXPECT_EQ(untracked_packets(gateway), 2 * 11U);
    EXPECT_EQ(gateway.engines[0]->counters().insert.value(), 4U);
}

}  // namespace
}  // namespace noclash::nat::test::untracked_test
