// SPDX-License-Identifier: Apache-2.0

// TCP timestamps through the pipeline.

#include "nat/conntrack/timestamps.hpp"

#include <gtest/gtest.h>

#include "tests/unit/nat/pipeline_fixture.hpp"
#include "tests/unit/nat/stamped.hpp"

namespace noclash::nat::test::timestamps_test {
namespace {

constexpr std::uint8_t syn = tcp_flag::syn, ack = tcp_flag::ack, fin = tcp_flag::fin;

std::int32_t after(std::uint32_t earlier, std::uint32_t later) {
    return static_cast<std::int32_t>(later - earlier);
}

class TimestampsTest : public ::testing::Test {
  protected:
    /// The timestamps that came out at the server. Expects that the segment did.
    Stamp out(const Ends& from, std::uint8_t flags, Stamp stamp) {
        Bytes packet = stamped(from, flags, stamp);
        EXPECT_EQ(gateway->pass(packet).outcome, Outcome::transmit);
        outside = answer_to(read(packet).tuple);
        return stamp_of(packet).value();
    }
    /// The timestamps that came back from the server to the sender of the latest `out`.
    Stamp back(std::uint8_t flags, Stamp stamp) {
        Bytes packet = stamped(outside, flags, stamp);
        EXPECT_EQ(gateway->pass(packet, 1).outcome, Outcome::transmit);
        return stamp_of(packet).value();
    }
    void start(TcpTimestamps mode, std::vector<Rule<V4>> rules = {masquerade()}) {
        gateway = std::make_unique<TestGateway>(std::move(rules), 1, 4096, mode);
    }
    static Ends client_at(std::uint16_t port) {
        Ends ends = client;
        ends.source_port = port;
        return ends;
    }

    std::unique_ptr<TestGateway> gateway;
    Ends outside{};
};

TEST_F(TimestampsTest, PassWhenPreserved) {
    start(TcpTimestamps::preserve);
    EXPECT_EQ(out(client, syn, {77, 0}), (Stamp{77, 0}));
    EXPECT_EQ(back(syn | ack, {5000, 77}), (Stamp{5000, 77}));
}

// The client's clock goes on, from another start; what it gets back is what it said.
TEST_F(TimestampsTest, AreShiftedOutAndBack) {
    start(TcpTimestamps::normalize);
    const Stamp first = out(client, syn, {0xfffffff0, 0});
    EXPECT_EQ(back(syn | ack, {5000, first.value}), (Stamp{5000, 0xfffffff0}));
    const Stamp second = out(client, ack, {0x20, 5000});  // it has wrapped meanwhile
    EXPECT_EQ(after(first.value, second.value), 0x30);
    EXPECT_EQ(second.echo, 5000U);
    EXPECT_EQ(back(ack, {5007, second.value}), (Stamp{5007, 0x20}));
}

// However far apart clients' clocks are and however they tick, no connection begins behind what
// another one has said [field c].
TEST_F(TimestampsTest, OfAllClientsAreOneClock) {
    start(TcpTimestamps::normalize);
    std::uint32_t latest = out(client_at(1), syn, {9, 0}).value;
    std::uint32_t clock = 0x12345678;
    for (std::uint16_t port = 2; port < 200; ++port) {
        clock = clock * 1664525 + 1013904223;
        const std::uint32_t rate = port % 3 == 0 ? 0 : port % 3 == 1 ? 1 : 50;  // ticks a ms
        const std::uint32_t begin = out(client_at(port), syn, {clock, 0}).value;
        EXPECT_GE(after(latest, begin), 0) << port;
        latest = begin;
        EXPECT_EQ(back(syn | ack, {1, begin}), (Stamp{1, clock}));
        for (std::uint32_t passed = 10; passed <= 30; passed += 10) {
            gateway->now_ms += 10;
            const Stamp said = out(client_at(port), ack, {clock + passed * rate, 1});
            EXPECT_EQ(after(begin, said.value), static_cast<std::int32_t>(passed * rate));
            if (after(latest, said.value) > 0) latest = said.value;
        }
    }
}

TEST_F(TimestampsTest, WithoutAcknowledgmentAreNoEcho) {
    start(TcpTimestamps::normalize);
    out(client, syn, {77, 0});
    EXPECT_EQ(back(syn, {5000, 123}), (Stamp{5000, 123}));  // simultaneous open
    EXPECT_EQ(back(syn | ack, {5000, 0}), (Stamp{5000, 0}));
}

// A connection that does not use them says nothing later either; if it does, it is left alone.
TEST_F(TimestampsTest, ThatWereNotOfferedAreLeftAlone) {
    start(TcpTimestamps::normalize);
    Bytes packet = tcp(client, syn);
    ASSERT_EQ(gateway->pass(packet).outcome, Outcome::transmit);
    EXPECT_FALSE(stamp_of(packet).has_value());
    outside = answer_to(read(packet).tuple);
    EXPECT_EQ(back(syn | ack, {5000, 77}), (Stamp{5000, 77}));
    EXPECT_EQ(out(client, ack, {78, 5000}), (Stamp{78, 5000}));
}

TEST_F(TimestampsTest, StayWhereTheSourceStays) {
    for (const TcpTimestamps mode : {TcpTimestamps::normalize, TcpTimestamps::strip}) {
        Rule<V4> forward;
        forward.action = Action::forward;
        start(mode, {forward});
        EXPECT_EQ(out(client, syn, {77, 0}), (Stamp{77, 0}));
        EXPECT_EQ(back(syn | ack, {5000, 77}), (Stamp{5000, 77}));
    }
}

// A connection that is opened anew by the same client begins anew: its clock may have jumped.
TEST_F(TimestampsTest, BeginAnewWithTheConnection) {
    start(TcpTimestamps::normalize);
    out(client, syn, {1000, 0});
    back(syn | ack, {5000, 1});
    out(client, ack, {1001, 5000});
    back(fin | ack, {5001, 1});
    const std::uint32_t last = out(client, fin | ack, {1500, 5001}).value;
    back(ack, {5002, 1});
    gateway->now_ms += 10;
    const Stamp anew = out(client, syn, {20, 0});
    EXPECT_GE(after(last, anew.value), 0);
    EXPECT_EQ(back(syn | ack, {6000, anew.value}), (Stamp{6000, 20}));
    // Sent again, it is the same connection.
    gateway->now_ms += 1000;
    EXPECT_EQ(after(anew.value, out(client, syn, {1020, 0}).value), 1000);
}

TEST_F(TimestampsTest, AreStrippedFromSynAndSynAck) {
    start(TcpTimestamps::strip);
    Bytes packet = stamped(client, syn, {77, 0});
    ASSERT_EQ(gateway->pass(packet).outcome, Outcome::transmit);
    EXPECT_FALSE(stamp_of(packet).has_value());
    Bytes again = stamped(client, syn, {78, 0});
    ASSERT_EQ(gateway->pass(again).outcome, Outcome::transmit);
    EXPECT_FALSE(stamp_of(again).has_value());
    Bytes answer = stamped(answer_to(read(packet).tuple), syn | ack, {5000, 77});
    ASSERT_EQ(gateway->pass(answer, 1).outcome, Outcome::transmit);
    EXPECT_FALSE(stamp_of(answer).has_value());
    EXPECT_EQ(answer.size(), packet.size());
}

}  // namespace
}  // namespace noclash::nat::test::timestamps_test
