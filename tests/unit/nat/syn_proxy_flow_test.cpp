// SPDX-License-Identifier: Apache-2.0
// Flows of the SYN proxy when both handshakes are joined: how segments and errors are shifted, how
// connections end and begin anew, and who goes on after a restart.

#include <gtest/gtest.h>

#include "nat/conntrack/end_segments.hpp"
#include "tests/unit/nat/syn_proxy_fixture.hpp"

namespace noclash::nat::test::syn_proxy_test {
namespace {

TEST_F(SynProxyTest, SegmentsAreShiftedBothWays) {
    establish();
    WholeSegment said = from_client(1, 1, 100);
    EXPECT_EQ(client_says(said).outcome, transmit);
    WholeSegment expected = said;
    expected.acknowledgment = server_isn + 1;
    expected.stamp = Stamp{client_clock + 100, server_clock + 50};
    EXPECT_EQ(*passed, expected);

    said = from_server(1, 101, 500);
    EXPECT_EQ(server_says(said).outcome, transmit);
    expected = said;
    expected.sequence = offered.sequence + 1;
    expected.window = (100U << server_scale) >> offered_scale;
    expected.stamp = Stamp{offered.stamp->value + 50, client_clock + 100};
    EXPECT_EQ(*passed, expected);

    said = from_client(101, 501);
    EXPECT_EQ(client_says(said).outcome, transmit);
    EXPECT_EQ(passed->acknowledgment, server_isn + 501);
}

TEST_F(SynProxyTest, SackBlocksAreShiftedToTheBackendOnly) {
    establish();
    server_says(from_server(1, 1, 500));
    WholeSegment said = from_client(1, 1);
    said.sacks = {{offered.sequence + 301, offered.sequence + 501},
                  {offered.sequence + 101, offered.sequence + 201}};
    EXPECT_EQ(client_says(said).outcome, transmit);
    EXPECT_EQ(passed->sacks, (decltype(said.sacks){{server_isn + 301, server_isn + 501},
                                                   {server_isn + 101, server_isn + 201}}));
    client_says(from_client(1, 1, 1000));
    said = from_server(501, 1);
    said.sacks = {{client_isn + 201, client_isn + 401}};
    EXPECT_EQ(server_says(said).outcome, transmit);
    EXPECT_EQ(passed->sacks, said.sacks);
}

TEST_F(SynProxyTest, ABackendWithoutAnyOption) {
    WholeSegment bare{.flags = syn_ack,
                      .sequence = server_isn,
                      .acknowledgment = client_isn + 1,
                      .window = 60000};
    establish(client_syn(), bare);
    EXPECT_EQ(to_server.stamp, std::nullopt);
    EXPECT_EQ(to_server.window, 8030U << client_scale) << "it does not scale";
    EXPECT_EQ(to_client.window, 60000U >> offered_scale);
    EXPECT_EQ(to_client.stamp, (Stamp{offered.stamp->value, client_clock + 1}));
    WholeSegment said = from_client(1, 1, 100);
    said.window = 0x1fff;
    EXPECT_EQ(client_says(said).outcome, transmit);
    EXPECT_EQ(passed->window, 0x1fffU << client_scale);
    EXPECT_EQ(passed->acknowledgment, server_isn + 1);
    said = from_client(101, 1, 100);
    said.window = 0x2000;
    EXPECT_EQ(client_says(said).outcome, transmit);
    EXPECT_EQ(passed->window, 0xffff) << "no header says more";
    said = from_server(1, 201, 100);
    said.stamp = {};
    said.window = 0x7fff;
    EXPECT_EQ(server_says(said).outcome, transmit);
    EXPECT_EQ(passed->window, 0x7fff >> offered_scale);
}

TEST_F(SynProxyTest, ABackendThatOffersWhatItsClientHasNot) {
    WholeSegment answer = server_syn_ack();
    answer.stamp = {};
    establish(client_syn(false), answer);
    EXPECT_EQ(to_server.stamp, std::nullopt);
    EXPECT_EQ(to_client.stamp, std::nullopt);
    EXPECT_EQ(to_client.window, 65160);
    WholeSegment said = from_client(1, 1, 100);
    said.stamp = {};
    EXPECT_EQ(client_says(said).outcome, transmit);
    EXPECT_EQ(passed->window, said.window) << "neither has scales";
    said = from_server(1, 101, 100);
    said.stamp = {};
    EXPECT_EQ(server_says(said).outcome, transmit);
    EXPECT_EQ(passed->window, said.window);
}

TEST_F(SynProxyTest, AServerMaySpeakFirst) {
    establish();
    EXPECT_EQ(server_says(from_server(1, 1, 700)).outcome, transmit);
    EXPECT_EQ(passed->sequence, offered.sequence + 1);
    EXPECT_EQ(client_says(from_client(1, 701)).outcome, transmit);
    EXPECT_EQ(passed->acknowledgment, server_isn + 701);
}

TEST_F(SynProxyTest, AClientThatBeginsAnewIsChallengedFirst) {
    for (const TcpWindow mode : {TcpWindow::liberal, TcpWindow::strict}) {
        start(web(), 1, {.window = mode});
        establish();
        client_says(from_client(1, 1, 300));
        server_says(from_server(1, 301, 200));
        client_says(from_client(301, 201));
        own();
        WholeSegment anew = client_syn();
        anew.sequence = 0x1234'5678;
        EXPECT_EQ(client_says(anew).outcome, taken);
        const Own challenge = one_own();
        EXPECT_EQ(tuple(challenge.ends, 6), tuple(back_to(client_ends), 6));
        EXPECT_EQ(challenge.segment.flags, ack);
        EXPECT_EQ(challenge.segment.acknowledgment, client_isn + 301);
        EXPECT_EQ(state(), TcpState::established);
        // The client of today knows nothing of it.
        EXPECT_EQ(client_says({.flags = rst, .sequence = challenge.segment.acknowledgment}).outcome,
                  transmit);
        EXPECT_EQ(passed->sequence, client_isn + 301) << "what the backend expects";
        EXPECT_EQ(state(), TcpState::close);
        begin(anew);
        EXPECT_EQ(entries(), 0U) << "the old flow has gone";
        EXPECT_EQ(open(client_ack()).sequence, 0x1234'5678U);
    }
}

// A forged SYN must not close the window of a connection that lives.
TEST_F(SynProxyTest, AChallengeChangesNothingForAClientThatLives) {
    establish();
    client_says(from_client(1, 1, 300));
    server_says(from_server(1, 301, 200));
    client_says(from_client(301, 201));
    WholeSegment forged = client_syn();
    forged.sequence = 0x1234'5678;
    client_says(forged);
    const WholeSegment challenge = one_own().segment;
    const std::uint32_t expects = offered.sequence + 201;
    EXPECT_TRUE(before(challenge.sequence, expects)) << "out of its window: its numbers count not";
    EXPECT_EQ(challenge.acknowledgment, client_isn + 301);
}

TEST_F(SynProxyTest, FinsOfBothEndsLeadToTimeWaitAndASynToACookie) {
    establish();
    EXPECT_EQ(client_says(from_client(1, 1, 10, fin_ack)).outcome, transmit);
    EXPECT_EQ(state(), TcpState::fin_wait);
    EXPECT_EQ(server_says(from_server(1, 12)).outcome, transmit);
    EXPECT_EQ(state(), TcpState::close_wait);
    EXPECT_EQ(server_says(from_server(1, 12, 0, fin_ack)).outcome, transmit);
    EXPECT_EQ(passed->sequence, offered.sequence + 1);
    EXPECT_EQ(client_says(from_client(12, 2)).outcome, transmit);
    EXPECT_EQ(passed->acknowledgment, server_isn + 2);
    EXPECT_EQ(state(), TcpState::time_wait);
    EXPECT_TRUE(tcp_progress(flow()).is_proxied());
    own();
    WholeSegment anew = client_syn();
    anew.sequence = client_isn + 100'000;
    begin(anew);
    EXPECT_EQ(offered.flags, syn_ack);
    EXPECT_EQ(entries(), 0U);
    EXPECT_EQ(open(client_ack()).sequence, client_isn + 100'000);
}

TEST_F(SynProxyTest, AResetEndsIt) {
    establish();
    EXPECT_EQ(server_says(from_server(1, 1, 0, rst_ack)).outcome, transmit);
    EXPECT_EQ(passed->sequence, offered.sequence + 1);
    EXPECT_EQ(state(), TcpState::close);
    start(web());
    establish();
    WholeSegment reset = from_client(1, 1, 0, rst_ack);
    EXPECT_EQ(client_says(reset).outcome, transmit);
    EXPECT_EQ(passed->acknowledgment, server_isn + 1);
    EXPECT_EQ(state(), TcpState::close);
    begin();
}

// The client's RST may have been lost on its way.
TEST_F(SynProxyTest, ABackendThatMissedTheEndHearsOfItLater) {
    establish();
    client_says(from_client(1, 1, 0, rst));
    begin();
    EXPECT_EQ(entries(), 0U);
    const Verdict verdict = server_says(from_server(1, 1, 100));
    EXPECT_EQ(verdict.outcome, Outcome::reset);
    EXPECT_EQ(verdict.reason, DropReason::tcp_ended);
    // What follows is not touched.
    open(client_ack());
    EXPECT_EQ(server_says(server_syn_ack()).outcome, taken);
    EXPECT_EQ(own().size(), 2U);
}

TEST_F(SynProxyTest, WithoutWindowsAClientMayConnectAgainAfterAReset) {
    start(web(), 1, {.window = TcpWindow::off});
    establish();
    EXPECT_EQ(server_says(from_server(1, 1, 0, rst_ack)).outcome, transmit);
    begin();
    EXPECT_EQ(offered.flags, syn_ack);
    open(client_ack());
}

TEST_F(SynProxyTest, ALateCopyOfTheBackendsAnswerReachesTheClient) {
    establish();
    EXPECT_EQ(server_says(server_syn_ack()).outcome, transmit);
    EXPECT_EQ(passed->sequence, offered.sequence);
    EXPECT_EQ(passed->acknowledgment, client_isn + 1);
    EXPECT_EQ(state(), TcpState::established);
    EXPECT_TRUE(own().empty());
    // The client answers it, and so acknowledges it once more.
    EXPECT_EQ(client_says(from_client(1, 1)).outcome, transmit);
    EXPECT_EQ(passed->acknowledgment, server_isn + 1);
}

// A client whose connection the gateway has reset may connect again from the same port.
TEST_F(SynProxyTest, AResetOfBeforeDoesNotTouchANewConnection) {
    const Tuple<V4> key = tuple(client_ends, ip_protocol::tcp);
    gateway->reset_ends.note(gateway->table.index().hash(key), gateway->now_ms);
    establish();
}

TEST_F(SynProxyTest, WhatAResetConnectionStillSaysIsAnsweredAsItWas) {
    const Tuple<V4> key = tuple(client_ends, ip_protocol::tcp);
    gateway->reset_ends.note(gateway->table.index().hash(key), gateway->now_ms);
    const Verdict verdict = client_says({.flags = ack, .sequence = 1, .acknowledgment = 2});
    EXPECT_EQ(verdict.outcome, Outcome::reset);
    EXPECT_EQ(verdict.reason, DropReason::tcp_ended);
}

TEST_F(SynProxyTest, TheOperatorsEndIsExactForBothWhileItWaits) {
    begin();
    open(client_ack());
    for (const TcpWindow mode : {TcpWindow::liberal, TcpWindow::strict, TcpWindow::off}) {
        const EndSegments told = end_segments(flow(), mode);
        ASSERT_EQ(told.end() - told.begin(), 2);
        const auto [client_told, server_told] = std::pair{told.begin()[0], told.begin()[1]};
        EXPECT_EQ(client_told.to, Direction::original);
        EXPECT_TRUE(client_told.numbers.has(rst));
        EXPECT_EQ(client_told.numbers.sequence, offered.sequence + 1);
        EXPECT_TRUE(server_told.numbers.has(rst));
        EXPECT_EQ(server_told.numbers.sequence, client_isn + 1);
    }
}

TEST_F(SynProxyTest, TheOperatorsEndIsExactForBothLater) {
    establish();
    const auto expect_told = [&](std::vector<std::pair<Direction, std::uint32_t>> expected) {
        std::vector<std::pair<Direction, std::uint32_t>> words;
        for (const EndSegment& told : end_segments(flow(), TcpWindow::liberal))
            words.emplace_back(told.to, told.numbers.sequence);
        EXPECT_EQ(words, expected);
    };
    expect_told({{Direction::original, offered.sequence + 1}, {Direction::reply, client_isn + 1}});
    client_says(from_client(1, 1, 100));
    server_says(from_server(1, 101, 500));
    expect_told({{Direction::original, offered.sequence + 501},
                 {Direction::original, offered.sequence + 1},
                 {Direction::reply, client_isn + 101}});
}

/// An error by a router at `from`, about a packet that it got.
Bytes too_big(const char* from, const Bytes& quoted, std::size_t quoted_bytes) {
    const Bytes part(quoted.begin(), quoted.begin() + static_cast<std::ptrdiff_t>(
                                                          std::min(quoted_bytes, quoted.size())));
    return icmp({host(from), ends_of(quoted).source}, 3, 4, 1300, part);
}

// [RFC 5508 REQ-4]
TEST_F(SynProxyTest, ErrorsQuoteWhatTheirReceiverHasSent) {
    for (const std::size_t quoted_bytes : {28U, 38U, 40U, 1500U}) {
        start(web());
        establish();
        const WholeSegment said = from_server(1, 1, 900);
        const Bytes sent = bytes_of(back_to(at_server), said);
        EXPECT_EQ(server_says(said).outcome, transmit);
        Bytes error = too_big("10.1.0.254", packet, quoted_bytes);
        ASSERT_EQ(gateway->pass(error, 0).outcome, transmit);
        expect_right_sums(error);
        const Bytes inner(error.begin() + 28, error.end());
        EXPECT_EQ(get32(error, 16), host("10.2.0.2"));
        EXPECT_EQ(get32(inner, 12), host("10.2.0.2"));
        EXPECT_EQ(get32(inner, 24), said.sequence);
        if (quoted_bytes == 1500) {
            EXPECT_EQ(get32(inner, 28), said.acknowledgment);
            Bytes right = inner;
            fix_l4_checksum(right);
            EXPECT_EQ(inner, right) << "even the quoted segment's";
        }

        const WholeSegment request = from_client(1, 1, 900);
        EXPECT_EQ(client_says(request).outcome, transmit);
        error = too_big("10.2.0.254", packet, quoted_bytes);
        ASSERT_EQ(gateway->pass(error, 1).outcome, transmit);
        expect_right_sums(error);
        const Bytes of_client(error.begin() + 28, error.end());
        EXPECT_EQ(get32(of_client, 16), host("203.0.113.7"));
        EXPECT_EQ(get32(of_client, 24), request.sequence);
        if (quoted_bytes >= 32) {
            EXPECT_EQ(get32(of_client, 28), request.acknowledgment);
        }
        if (quoted_bytes == 1500) {
            Bytes right = of_client;
            fix_l4_checksum(right);
            EXPECT_EQ(of_client, right);
        }
    }
}

TEST_F(SynProxyTest, ErrorsAboutTheSynReachAClientThatWaits) {
    begin();
    const WholeSegment sent = open(client_ack());
    Bytes error = icmp({host("10.2.0.254"), at_server.source}, 3, 1, 0, bytes_of(at_server, sent));
    ASSERT_EQ(gateway->pass(error, 1).outcome, transmit);
    expect_right_sums(error);
    EXPECT_EQ(get32(error, 28 + 24), client_isn);
    EXPECT_EQ(state(), TcpState::syn_sent);
}

/// Gateways one after the other on the same records, as after a kill.
class Adopted : public SynProxyTest {
  protected:
    void SetUp() override { restart(0); }

    AdoptionCounts restart(std::uint64_t away_ms) {
        PolicyConfig<V4> policy{{}, {masquerade()}};
        policy.services = {web()};
        const std::uint64_t left_ms = gateway == nullptr ? 1'000'000 : gateway->now_ms;
        gateway = std::make_unique<TestGateway>(policy, 1, 64, LimitsConfig<V4>{},
                                                TcpTimestamps::preserve, &records_[0]);
        gateway->now_ms = left_ms + away_ms;
        return gateway->adopt(left_ms);
    }

  private:
    HugeArray<FlowTable<V4>::Record> records_{FlowTable<V4>::records_for(64, 1)};
};

TEST_F(Adopted, AFlowThatWaitsGoesOn) {
    begin();
    open(client_ack());
    EXPECT_EQ(restart(50).adopted, 1U);
    pass_time(2'000);
    EXPECT_EQ(one_own().segment.sequence, client_isn) << "the SYN again";
    EXPECT_EQ(server_says(server_syn_ack()).outcome, taken);
    EXPECT_EQ(own().size(), 2U);
    EXPECT_EQ(client_says(from_client(1, 1, 100)).outcome, transmit);
    EXPECT_EQ(passed->acknowledgment, server_isn + 1);
}

// Its client believes in a connection, and may be silent: so somebody has to look after it.
TEST_F(Adopted, AFlowThatWaitsGoesOnAfterItsSynWasDue) {
    begin();
    open(client_ack());
    EXPECT_EQ(restart(5'000).adopted, 1U);
    pass_time(1'000);
    EXPECT_EQ(one_own().segment.sequence, client_isn);
    pass_time(20'000);
    EXPECT_EQ(own().size(), 4U);
    EXPECT_EQ(entries(), 0U);
}

TEST_F(Adopted, AnEstablishedFlowGoesOn) {
    establish();
    EXPECT_EQ(restart(5'000).adopted, 1U);
    EXPECT_EQ(client_says(from_client(1, 1, 100)).outcome, transmit);
    EXPECT_EQ(passed->acknowledgment, server_isn + 1);
    EXPECT_EQ(passed->stamp, (Stamp{client_clock + 100, server_clock + 50}));
    EXPECT_EQ(server_says(from_server(1, 101, 100)).outcome, transmit);
    EXPECT_EQ(passed->sequence, offered.sequence + 1);
    EXPECT_EQ(passed->window, (100U << server_scale) >> offered_scale);
}

TEST_F(Adopted, AFlowThatWasJustBeingChangedEnds) {
    begin();
    open(client_ack());
    flow().protocol_state = TcpProgress(TcpState::syn_recv).with_proxied().bits();
    EXPECT_EQ(restart(50).over, 1U);
    EXPECT_EQ(entries(), 0U);
    open(client_ack());
}

TEST_F(Adopted, CookiesOfBeforeHold) {
    begin();
    restart(5'000);
    EXPECT_EQ(open(client_ack()).sequence, client_isn);
}

}  // namespace
}  // namespace noclash::nat::test::syn_proxy_test
