// SPDX-License-Identifier: Apache-2.0
// Segments of connections that nobody knows, and who is told so.

#include "nat/conntrack/tcp_reset.hpp"

#include <gtest/gtest.h>

#include "nat/conntrack/tcp_window.hpp"
#include "tests/unit/nat/pipeline_fixture.hpp"

namespace noclash::nat::test::tcp_reset_test {
namespace {

using tcp_flag::ack, tcp_flag::fin, tcp_flag::rst, tcp_flag::syn;

constexpr std::uint32_t sequence = 0xffff'fff0, acknowledgment = 0x8000'0001;

/// The answer to a segment.
TcpSegment answer(std::uint8_t flags, const Bytes& payload = {}) {
    Bytes packet = tcp(client, flags, payload);
    put32(packet, 24, sequence);
    put32(packet, 28, acknowledgment);
    fix_l4_checksum(packet);
    const auto own = build_tcp_reset<V4>(view(packet), read(packet));
    Bytes reset(own.bytes().begin(), own.bytes().end());
    const Parsed<V4> parsed = read(reset);  // with right checksums
    EXPECT_EQ(parsed.tuple, test::tuple(client, ip_protocol::tcp).inverse());
    EXPECT_EQ(parsed.ttl, 64);
    return segment_of(view(reset), parsed);
}

TEST(TcpReset, IsTheNextThatItsReceiverExpects) {
    for (const std::uint8_t flags : {ack, std::uint8_t(fin | ack), std::uint8_t(syn | ack)}) {
        const TcpSegment reset = answer(flags, {1, 2, 3});
        EXPECT_EQ(reset.flags, rst);
        EXPECT_EQ(reset.sequence, acknowledgment);
    }
}

TEST(TcpReset, AcknowledgesWhatAcknowledgesNothing) {
    const TcpSegment reset = answer(syn, Bytes(20));
    EXPECT_EQ(reset.flags, rst | ack);
    EXPECT_EQ(reset.sequence, 0U);
    EXPECT_EQ(reset.acknowledgment, sequence + 20 + 1);  // SYN counts one
}

Verdict sends(TestGateway& gateway, const Ends& ends, std::uint8_t flags, std::uint16_t port = 0) {
    Bytes packet = tcp(ends, flags, Bytes(4));
    const std::string before = to_hex(packet);
    const Verdict verdict = gateway.pass(packet, port);
    EXPECT_EQ(to_hex(packet), before) << "it is answered as it came";
    EXPECT_EQ(verdict.reason, DropReason::tcp_not_syn);
    return verdict;
}

TEST(TcpReset, IsForInsideHostsAlone) {
    Rule<V4> forward;
    forward.action = Action::forward;
    forward.to = {{ip("198.51.100.0"), 24}};
    TestGateway gateway({forward, node_port(), masquerade()});
    gateway.policy.tcp_unknown = TcpUnknown::reset;
    for (const std::uint8_t flags : {ack, std::uint8_t(fin | ack), std::uint8_t(syn | ack)}) {
        EXPECT_EQ(sends(gateway, client, flags).outcome, Outcome::reset);
        EXPECT_EQ(sends(gateway, {client.source, host("198.51.100.1"), 1, 2}, flags).outcome,
                  Outcome::reset);
        // From outside: to a port nobody has, and to a service [RFC 5382 REQ-4].
        for (const std::uint16_t port : {std::uint16_t{40000}, std::uint16_t{30080}})
            EXPECT_EQ(
                sends(gateway, {client.destination, host("10.2.0.1"), 80, port}, flags, 1).outcome,
                Outcome::drop);
        // And where no rule would let it out.
        EXPECT_EQ(sends(gateway, {client.destination, client.source, 80, 1}, flags, 1).outcome,
                  Outcome::drop);
    }
    EXPECT_EQ(sends(gateway, client, rst).outcome, Outcome::drop);
    EXPECT_EQ(sends(gateway, client, rst | ack).outcome, Outcome::drop);
    EXPECT_EQ(gateway.table.index().occupancy().entries, 0U);
}

TEST(TcpReset, IsNotSentUnlessItIsWanted) {
    TestGateway gateway({masquerade()});
    EXPECT_EQ(sends(gateway, client, ack).outcome, Outcome::drop);
    Rule<V4> reject;
    reject.action = Action::reject;
    TestGateway other({reject, masquerade()});
    other.policy.tcp_unknown = TcpUnknown::reset;
    EXPECT_EQ(sends(other, client, ack).outcome, Outcome::drop) << "the rule says nothing of RST";
}

TEST(TcpReset, NeverMeetsAConnectionThatThereIs) {
    TestGateway gateway({masquerade()});
    gateway.policy.tcp_unknown = TcpUnknown::reset;
    Bytes opening = tcp(client, syn);
    ASSERT_EQ(gateway.pass(opening).outcome, Outcome::transmit);
    Bytes segment = tcp(client, ack);
    EXPECT_EQ(gateway.pass(segment).reason, DropReason::tcp_invalid) << "nobody has answered yet";
}

}  // namespace
}  // namespace noclash::nat::test::tcp_reset_test
