// SPDX-License-Identifier: Apache-2.0
// Which ICMP errors about flows are believed.

#include "nat/conntrack/icmp_doubt.hpp"

#include <gtest/gtest.h>

#include "tests/unit/nat/pipeline_fixture.hpp"

namespace noclash::nat::test::icmp_doubt_test {
namespace {

using tcp_flag::ack, tcp_flag::syn;

constexpr std::uint32_t needs_fragmenting = 3 << 8 | 4, ttl_exceeded = 11 << 8;

Bytes segment(const Ends& ends, std::uint8_t flags, std::uint32_t sequence,
              std::uint32_t acknowledgment, const Bytes& payload = {}) {
    Bytes packet = tcp(ends, flags, payload);
    put32(packet, 24, sequence);
    put32(packet, 28, acknowledgment);
    fix_l4_checksum(packet);
    return packet;
}

/// A connection of the client whose server has acknowledged everything but its last segment.
struct Connection {
    explicit Connection(TcpWindow mode = TcpWindow::liberal) : gateway({masquerade()}) {
        gateway.policy.tcp.window = mode;
        const Bytes opening = passes(segment(client, syn, 999, 0), 0);
        outside = read_tuple(opening);
        passes(segment(answer_to(outside), syn | ack, 4999, 1000), 1);
        passes(segment(client, ack, 1000, 5000, Bytes(600)), 0);
        passes(segment(answer_to(outside), ack, 5000, 1600), 1);
        in_flight = passes(segment(client, ack, 1600, 5000, Bytes(1400)), 0);
    }
    Bytes passes(Bytes packet, std::uint16_t port) {
        EXPECT_EQ(gateway.pass(packet, port).outcome, Outcome::transmit);
        return packet;
    }
    static Tuple<V4> read_tuple(Bytes packet) { return read(packet).tuple; }

    /// The fate of an error that quotes a segment of the client with this sequence number.
    std::string_view about(std::uint32_t sequence, std::uint32_t kind = ttl_exceeded,
                           std::uint32_t rest = 0, std::size_t quoted = 28) {
        Bytes quote = in_flight;
        put32(quote, 24, sequence);
        quote.resize(quoted);
        Bytes error =
            icmp({host("198.51.100.9"), host("10.2.0.1")}, static_cast<std::uint8_t>(kind >> 8),
                 static_cast<std::uint8_t>(kind & 255), rest, quote);
        return to_string(gateway.pass(error, 1).reason);
    }

    TestGateway gateway;
    Tuple<V4> outside{};
    Bytes in_flight;
};

// [RFC 5927]
TEST(IcmpDoubt, ASegmentInFlightIsBelieved) {
    Connection connection;
    for (const std::size_t quoted : {28U, 40U, 500U}) {
        EXPECT_EQ(connection.about(1600, ttl_exceeded, 0, quoted), "none");
        EXPECT_EQ(connection.about(2000, needs_fragmenting, 1400, quoted), "none");
    }
    EXPECT_EQ(connection.about(3000), "none") << "a segment without data";
    EXPECT_EQ(connection.about(1000), "none") << "its acknowledgment was faster";
}

TEST(IcmpDoubt, AnyOtherIsAGuess) {
    Connection connection;
    for (const std::uint32_t sequence :
         {3001U, 1600U - late_error_bytes - 1, 0x7fff'ffffU, 0x8000'0000U, 1600U + (1U << 31)}) {
        EXPECT_EQ(connection.about(sequence), "icmp_sequence") << sequence;
        EXPECT_EQ(connection.about(sequence, needs_fragmenting, 1400), "icmp_sequence") << sequence;
    }
    EXPECT_EQ(connection.about(1600U - late_error_bytes), "none");
}

TEST(IcmpDoubt, NothingIsKnownOfWindowsThatNobodyLooksAt) {
    Connection connection(TcpWindow::off);
    EXPECT_EQ(connection.about(0x8000'0000), "none");
    EXPECT_EQ(connection.about(1600, needs_fragmenting, 551), "icmp_mtu");
}

TEST(IcmpDoubt, TheFirstSynIsInFlight) {
    TestGateway gateway({masquerade()});
    Bytes opening = segment(client, syn, 0xffff'ffff, 0);
    ASSERT_EQ(gateway.pass(opening).outcome, Outcome::transmit);
    Bytes error = icmp({host("198.51.100.9"), host("10.2.0.1")}, 11, 0, 0, opening);
    EXPECT_EQ(gateway.pass(error, 1).outcome, Outcome::transmit);
    put32(opening, 24, 5);
    Bytes guess = icmp({host("198.51.100.9"), host("10.2.0.1")}, 11, 0, 0, opening);
    EXPECT_EQ(gateway.pass(guess, 1).reason, DropReason::icmp_sequence);
}

TEST(IcmpDoubt, WhatTheServerSentIsJudgedByTheServersNumbers) {
    Connection connection;
    Bytes answer =
        connection.passes(segment(answer_to(connection.outside), ack, 5000, 1600, Bytes(10)), 1);
    const auto from_inside = [&](std::uint32_t sequence) {
        put32(answer, 24, sequence);
        Bytes error = icmp({host("10.1.0.99"), client.destination}, 3, 1, 0, answer);
        return to_string(connection.gateway.pass(error, 0).reason);
    };
    EXPECT_EQ(from_inside(5000), "none");
    EXPECT_EQ(from_inside(5011), "icmp_sequence");
    EXPECT_EQ(from_inside(1600 + 100'000), "icmp_sequence");
}

// [RFC 5927]
TEST(IcmpDoubt, NoPathIsSoNarrow) {
    Connection connection;
    TestGateway& gateway = connection.gateway;
    Bytes out = udp(client);
    ASSERT_EQ(gateway.pass(out).outcome, Outcome::transmit);
    for (const auto& [mtu, reason] : {std::pair{0, "none"},
                                      {1, "icmp_mtu"},
                                      {68, "icmp_mtu"},
                                      {551, "icmp_mtu"},
                                      {552, "none"},
                                      {65535, "none"}}) {
        const auto rest = static_cast<std::uint32_t>(mtu);
        EXPECT_EQ(connection.about(1600, needs_fragmenting, rest), reason) << mtu;
        Bytes error = icmp({host("198.51.100.9"), host("10.2.0.1")}, 3, 4, rest, out);
        EXPECT_EQ(to_string(gateway.pass(error, 1).reason), reason) << mtu;
        Bytes other = icmp({host("198.51.100.9"), host("10.2.0.1")}, 3, 3, rest, out);
        EXPECT_EQ(gateway.pass(other, 1).outcome, Outcome::transmit) << "it names no MTU";
    }
}

// RFC 1812, section 5.3.7.
TEST(IcmpDoubt, NobodyReportsHisOwnPacketToHimself) {
    TestGateway gateway({masquerade()});
    Bytes packet = udp({client.source, host("10.1.0.58"), 1000, 53});
    ASSERT_EQ(gateway.pass(packet).outcome, Outcome::transmit);
    const auto error_of = [&](std::uint32_t reporter) {
        Bytes error = icmp({reporter, host("10.1.0.1")}, 3, 1, 0, packet);
        return gateway.pass(error, 0).reason;
    };
    EXPECT_EQ(error_of(client.source), DropReason::bad_address);
    EXPECT_EQ(error_of(host("10.1.0.59")), DropReason::none);
}

}  // namespace
}  // namespace noclash::nat::test::icmp_doubt_test
