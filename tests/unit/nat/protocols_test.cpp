// SPDX-License-Identifier: Apache-2.0

// Protocols other than TCP, UDP and ICMP, through the pipeline.

#include <gtest/gtest.h>

#include "tests/unit/nat/pipeline_fixture.hpp"

namespace noclash::nat::protocols_test {
namespace {

using namespace test;

constexpr std::uint8_t gre = ip_protocol::gre;
const Bytes tunnelled{0, 0, 8, 0, 1, 2, 3};

Bytes portless(const char* from, const char* to, std::uint8_t protocol = gre) {
    return ipv4({host(from), host(to), 0, 0}, protocol, tunnelled);
}

Rule<V4> from_pool() {
    Rule<V4> rule = masquerade();
    rule.action = Action::snat;
    rule.source_nat = SourceNat::pool;
    return rule;
}

const auto& association(TestGateway& gateway, const Ends& ends) {
    const Tuple<V4> original = tuple(ends, ip_protocol::sctp);
    const auto& index = gateway.table.index();
    return gateway.engines[0]->record(index.find(original, index.hash(original)).flow);
}

SctpState sctp_state(TestGateway& gateway, const Ends& ends) {
    return static_cast<SctpState>(association(gateway, ends).protocol_state.load());
}

TEST(UdpLite, IsTranslatedBothWaysWhateverItsChecksumCovers) {
    constexpr std::array<std::uint16_t, 5> coverages{0, 8, 9, 20, 28};
    for (const std::uint16_t coverage : coverages) {
        TestGateway gateway({masquerade()});
        Bytes packet = udp_lite(client, coverage, Bytes(20, 0x5a));
        ASSERT_EQ(gateway.pass(packet).outcome, Outcome::transmit) << coverage;
        const Tuple<V4> out = read(packet).tuple;
        EXPECT_EQ(out.source, ip("10.2.0.1"));
        Bytes answer = udp_lite(answer_to(out), coverage, Bytes(20, 0xa5));
        ASSERT_EQ(gateway.pass(answer, 1).outcome, Outcome::transmit);
        EXPECT_EQ(read(answer).tuple, tuple(client, ip_protocol::udp_lite).inverse());
        EXPECT_EQ(get16(answer, 24), coverage);
    }
}

TEST(UdpLite, DamageOutsideTheCoveragePasses) {
    TestGateway gateway({masquerade()});
    Bytes outside = udp_lite(client, 12, Bytes(20));
    outside[32] ^= 1;
    EXPECT_EQ(gateway.pass(outside).outcome, Outcome::transmit);
    Bytes inside = udp_lite({client.source, client.destination, 40001, 80}, 12, Bytes(20));
    inside[31] ^= 1;
    EXPECT_EQ(gateway.pass(inside).reason, DropReason::bad_l4_checksum);
}

TEST(Sctp, AnAssociationFromOpeningToClosing) {
    TestGateway gateway({masquerade()});
    const auto lives_for = [&](std::uint32_t seconds) {
        EXPECT_EQ(association(gateway, client).expires.load(),
                  to_moment(gateway.now_ms) + seconds * 1000);
    };
    Bytes stray = sctp(client, 5, sctp_chunk(0, Bytes(13)));
    EXPECT_EQ(gateway.pass(stray).reason, DropReason::sctp_not_init);
    Bytes opening = sctp(client, 0, sctp_chunk(1, Bytes(16)));
    ASSERT_EQ(gateway.pass(opening).outcome, Outcome::transmit);
    EXPECT_TRUE(sctp_crc_ok(opening));
    EXPECT_EQ(sctp_state(gateway, client), SctpState::opening);
    lives_for(gateway.timeouts.sctp_transitory_s);
    const Ends back = answer_to(read(opening).tuple);
    EXPECT_NE(back.destination_port, client.source_port);
    Bytes cookie_ack = sctp(back, 5, sctp_chunk(11));
    ASSERT_EQ(gateway.pass(cookie_ack, 1).outcome, Outcome::transmit);
    EXPECT_TRUE(sctp_crc_ok(cookie_ack));
    EXPECT_EQ(read(cookie_ack).tuple, tuple(client, ip_protocol::sctp).inverse());
    lives_for(gateway.timeouts.sctp_established_s);
    Bytes damaged = sctp(back, 5, sctp_chunk(6));
    damaged[30] ^= 1;  // the verification tag
    EXPECT_EQ(gateway.pass(damaged, 1).reason, DropReason::bad_l4_checksum);
    EXPECT_EQ(sctp_state(gateway, client), SctpState::established);
    Bytes complete = sctp(back, 5, sctp_chunk(14));
    ASSERT_EQ(gateway.pass(complete, 1).outcome, Outcome::transmit);
    EXPECT_EQ(sctp_state(gateway, client), SctpState::closing);
    lives_for(gateway.timeouts.sctp_transitory_s);
}

TEST(Sctp, TwoClientsWithOnePortGetTwo) {
    TestGateway gateway({masquerade()});
    Ends other = client;
    ++other.source;
    Bytes first = sctp(client, 0, sctp_chunk(1, Bytes(16)));
    Bytes second = sctp(other, 0, sctp_chunk(1, Bytes(16)));
    ASSERT_EQ(gateway.pass(first).outcome, Outcome::transmit);
    ASSERT_EQ(gateway.pass(second).outcome, Outcome::transmit);
    EXPECT_NE(read(first).tuple, read(second).tuple);
}

TEST(Portless, OneInsideHostForEachAddressAndRemote) {
    TestGateway gateway({masquerade()});
    Bytes first = portless("10.1.0.7", "192.0.2.80");
    const Bytes before = first;
    ASSERT_EQ(gateway.pass(first).outcome, Outcome::transmit);
    EXPECT_EQ(read(first).tuple.source, ip("10.2.0.1"));
    EXPECT_TRUE(std::equal(first.begin() + 20, first.end(), before.begin() + 20));
    Bytes answer = portless("192.0.2.80", "10.2.0.1");
    ASSERT_EQ(gateway.pass(answer, 1).outcome, Outcome::transmit);
    EXPECT_EQ(read(answer).tuple.destination, ip("10.1.0.7"));

    Bytes second = portless("10.1.0.8", "192.0.2.80");
    EXPECT_EQ(gateway.pass(second).reason, DropReason::exhausted);
    Bytes elsewhere = portless("10.1.0.8", "192.0.2.81");
    EXPECT_EQ(gateway.pass(elsewhere).outcome, Outcome::transmit);
    Bytes other_protocol = portless("10.1.0.8", "192.0.2.80", ip_protocol::esp);
    EXPECT_EQ(gateway.pass(other_protocol).outcome, Outcome::transmit);

    gateway.pass_time((gateway.timeouts.generic_s + 20) * 1000ULL);
    EXPECT_EQ(gateway.pass(second).outcome, Outcome::transmit);  // its turn has come
}

TEST(Portless, EveryAddressOfAPoolIsUsedBeforeItIsExhausted) {
    constexpr std::uint32_t addresses = 40;
    TestGateway gateway({from_pool()});
    Pool<V4> pool;
    for (std::uint32_t i = 0; i < addresses; ++i)
        pool.addresses.push_back(V4Address::from_host(host("198.51.100.1") + i));
    gateway.policy.pools.push_back(pool);
    std::vector<V4Address> used;
    for (std::uint32_t i = 0; i <= addresses; ++i) {
        Bytes packet = ipv4({host("10.1.0.7") + i, host("192.0.2.80"), 0, 0}, gre, tunnelled);
        const auto verdict = gateway.pass(packet);
        if (i == addresses) {
            EXPECT_EQ(verdict.reason, DropReason::exhausted);
            break;
        }
        ASSERT_EQ(verdict.outcome, Outcome::transmit) << i;
        used.push_back(read(packet).tuple.source);
    }
    std::ranges::sort(used, {}, [](const V4Address& address) { return address.value.host(); });
    EXPECT_TRUE(std::ranges::equal(used, pool.addresses));
}

TEST(Portless, RulesAboutPortsAreNotAboutIt) {
    Rule<V4> with_port;
    with_port.action = Action::forward;
    with_port.to_port = PortRange{1, 65535};
    TestGateway gateway({with_port});
    Bytes packet = portless("10.1.0.7", "192.0.2.80");
    EXPECT_EQ(gateway.pass(packet).reason, DropReason::no_rule);
    Rule<V4> of_protocol;
    of_protocol.action = Action::forward;
    of_protocol.protocol = gre;
    gateway.policy.rules = {of_protocol};
    EXPECT_EQ(gateway.pass(packet).outcome, Outcome::transmit);
    Bytes esp = portless("10.1.0.7", "192.0.2.80", ip_protocol::esp);
    EXPECT_EQ(gateway.pass(esp).reason, DropReason::no_rule);
}

TEST(Portless, ToAnAddressOfOursItNeedsAFlowOrADnatRule) {
    Rule<V4> dnat;
    dnat.action = Action::dnat;
    dnat.protocol = gre;
    dnat.to = {{ip("10.2.0.1"), 32}};
    dnat.targets = {{ip("10.1.0.7"), std::nullopt}};
    TestGateway gateway({dnat});
    Bytes packet = portless("192.0.2.80", "10.2.0.1");
    ASSERT_EQ(gateway.pass(packet, 1).outcome, Outcome::transmit);
    EXPECT_EQ(read(packet).tuple.destination, ip("10.1.0.7"));
    Bytes esp = portless("192.0.2.80", "10.2.0.1", ip_protocol::esp);
    EXPECT_EQ(gateway.pass(esp, 1).reason, DropReason::unsolicited);
}

TEST(Portless, ErrorsAboutItAreTranslated) {
    TestGateway gateway({masquerade()});
    for (const Bytes& sent :
         {portless("10.1.0.7", "192.0.2.80"), sctp(client, 0, sctp_chunk(1, Bytes(16))),
          udp_lite(client, 0, Bytes(4))}) {
        Bytes packet = sent;
        ASSERT_EQ(gateway.pass(packet).outcome, Outcome::transmit);
        Bytes error = icmp({host("192.0.2.254"), host("10.2.0.1")}, 3, 4, 1400, packet);
        ASSERT_EQ(gateway.pass(error, 1).outcome, Outcome::transmit);
        EXPECT_EQ(read(error).kind, PacketKind::icmp_error);
        Bytes quoted(error.begin() + 28, error.end());
        quoted[8] = sent[8];  // the time to live, which has changed on the way
        fix_ip_checksum(quoted);
        EXPECT_EQ(quoted, sent);
    }
}

TEST(IcmpTimestamps, ArePassedOnButNotAnswered) {
    TestGateway gateway({masquerade()});
    Bytes query = icmp({host("10.1.0.7"), host("192.0.2.80")}, 13, 0, 0x15b30001, Bytes(12));
    ASSERT_EQ(gateway.pass(query).outcome, Outcome::transmit);
    const Tuple<V4> out = read(query).tuple;
    Bytes reply = icmp({host("192.0.2.80"), host("10.2.0.1")}, 14, 0,
                       std::uint32_t{out.source_port.host()} << 16U | 1U, Bytes(12, 9));
    ASSERT_EQ(gateway.pass(reply, 1).outcome, Outcome::transmit);
    EXPECT_EQ(read(reply).tuple.destination_port.host(), 0x15b3);
    Bytes to_us = icmp({host("10.1.0.7"), host("10.1.0.1")}, 13, 0, 0x15b30001, Bytes(12));
    EXPECT_EQ(gateway.pass(to_us).reason, DropReason::unsolicited);
}

}  // namespace
}  // namespace noclash::nat::protocols_test
