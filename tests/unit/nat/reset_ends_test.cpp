// SPDX-License-Identifier: Apache-2.0
// The ends of connections that the gateway has reset, and what it answers them.

#include "nat/conntrack/reset_ends.hpp"

#include <gtest/gtest.h>

#include <memory>

#include "tests/unit/nat/pipeline_fixture.hpp"

namespace noclash::nat::test::reset_ends_test {
namespace {

using tcp_flag::ack, tcp_flag::fin, tcp_flag::rst, tcp_flag::syn;

constexpr std::uint64_t hash = 0x0123'4567'89ab'cdef;

TEST(ResetEnds, AreRememberedForAMinute) {
    for (const std::uint64_t begin_ms : {1ULL, 5'000ULL, 65'530'000ULL, 1'000'000'000'000ULL}) {
        const auto ends = std::make_unique<ResetEnds>();
        EXPECT_FALSE(ends->has(hash, begin_ms));
        ends->note(hash, begin_ms);
        EXPECT_TRUE(ends->has(hash, begin_ms));
        EXPECT_TRUE(ends->has(hash, begin_ms + 60'000));
        EXPECT_FALSE(ends->has(hash, begin_ms + 62'000));
        EXPECT_TRUE(ends->has(hash, begin_ms - 1)) << "a worker's round began before";
    }
}

TEST(ResetEnds, AreToldFromOthersByAllBits) {
    const auto ends = std::make_unique<ResetEnds>();
    ends->note(hash, 1000);
    for (unsigned bit = 0; bit < 64; ++bit)
        EXPECT_FALSE(ends->has(hash ^ 1ULL << bit, 1000)) << bit;
    ends->note(hash ^ 1ULL << 63U, 1000);  // takes the same place
    EXPECT_FALSE(ends->has(hash, 1000));
    EXPECT_TRUE(ends->has(hash ^ 1ULL << 63U, 1000));
}

/// A gateway that has reset a connection of `client`.
struct AfterReset : TestGateway {
    AfterReset() : TestGateway({masquerade()}) {
        reset_ends.note(table.index().hash(tuple(client, ip_protocol::tcp)), now_ms);
        reset_ends.note(table.index().hash(tuple(server, ip_protocol::tcp)), now_ms);
    }
    Verdict sends(const Ends& ends, std::uint8_t flags) {
        Bytes packet = tcp(ends, flags, Bytes(4));
        return pass(packet, ends.source == client.source ? 0 : 1);
    }
    /// To a port of the gateway that no flow has.
    const Ends server{host("192.0.2.80"), host("10.2.0.1"), 80, 5000};
};

TEST(ResetEnds, AreAnsweredByAReset) {
    AfterReset gateway;
    for (const bool picks_up : {false, true}) {
        gateway.policy.tcp.pickup = picks_up;
        for (const Ends& end : {client, gateway.server}) {
            for (const std::uint8_t flags :
                 {ack, std::uint8_t(fin | ack), std::uint8_t(syn | ack)}) {
                const Verdict verdict = gateway.sends(end, flags);
                EXPECT_EQ(verdict.outcome, Outcome::reset);
                EXPECT_EQ(verdict.reason, DropReason::tcp_ended);
            }
            for (const std::uint8_t flags : {rst, std::uint8_t(rst | ack)})
                EXPECT_EQ(gateway.sends(end, flags).outcome, Outcome::drop);
        }
    }
    EXPECT_EQ(gateway.table.index().occupancy().entries, 0U);
}

TEST(ResetEnds, MayConnectAgainAtOnce) {
    AfterReset gateway;
    EXPECT_EQ(gateway.sends(client, syn).outcome, Outcome::transmit);
    // What belongs to the connection of today is not answered for the one before.
    EXPECT_EQ(gateway.sends(client, ack).reason, DropReason::tcp_invalid);
}

TEST(ResetEnds, OthersHearNothing) {
    AfterReset gateway;
    Ends other = client;
    ++other.source_port;
    EXPECT_EQ(gateway.sends(other, ack).outcome, Outcome::drop);
    EXPECT_EQ(gateway.sends(other, ack).reason, DropReason::tcp_not_syn);
    gateway.now_ms += 62'000;
    EXPECT_EQ(gateway.sends(client, ack).reason, DropReason::tcp_not_syn);
}

}  // namespace
}  // namespace noclash::nat::test::reset_ends_test
