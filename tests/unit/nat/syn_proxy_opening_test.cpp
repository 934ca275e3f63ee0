// SPDX-License-Identifier: Apache-2.0
// The SYN proxy of services, until both handshakes are joined or one has failed: what clients and
// backends are told, segment by segment.

#include <gtest/gtest.h>

#include "tests/unit/nat/syn_proxy_fixture.hpp"

namespace noclash::nat::test::syn_proxy_test {
namespace {

TEST_F(SynProxyTest, ASynIsAnsweredByACookieBehindAClosedWindow) {
    EXPECT_EQ(client_says(client_syn()).outcome, taken);
    const Own answer = one_own();
    EXPECT_EQ(tuple(answer.ends, 6), tuple(back_to(client_ends), 6));
    const WholeSegment& segment = answer.segment;
    EXPECT_EQ(segment.flags, syn_ack);
    EXPECT_EQ(segment.acknowledgment, client_isn + 1);
    EXPECT_EQ(segment.window, 0);
    EXPECT_EQ(segment.max_segment_size, 1460);
    EXPECT_EQ(segment.window_scale, offered_scale);
    EXPECT_TRUE(segment.sack_permitted);
    ASSERT_TRUE(segment.stamp);
    EXPECT_EQ(segment.stamp->echo, client_clock);
    EXPECT_EQ(counters().cookies_sent.value(), 1U);
}

TEST_F(SynProxyTest, NothingIsKeptOfASyn) {
    LimitsConfig<V4> limits;
    limits.most[static_cast<std::size_t>(Quota::flows)] = 1;
    start(web(), 1, {}, limits);
    for (std::uint16_t port = 1; port < 1000; ++port) {
        Ends ends = client_ends;
        ends.source_port = port;
        EXPECT_EQ(says(ends, client_syn(), 0).outcome, taken);
    }
    EXPECT_EQ(own().size(), 999U);
    EXPECT_EQ(entries(), 0U);
    begin();
    open(client_ack());
    EXPECT_EQ(entries(), 2U) << "and the limit has room for the one that is real";
}

TEST_F(SynProxyTest, TheOfferIsTheServices) {
    Service<V4> service = web();
    SynOffer offer{.max_segment_size = 1200, .window_scale = 2, .sack = false};
    service.syn_offer = offer;
    start(service);
    begin();
    EXPECT_EQ(offered.max_segment_size, 1200);
    EXPECT_EQ(offered.window_scale, 2);
    EXPECT_FALSE(offered.sack_permitted);
    EXPECT_TRUE(offered.stamp);
    offer.timestamps = false;
    service.syn_offer = offer;
    start(service);
    begin();
    EXPECT_FALSE(offered.stamp);
    EXPECT_FALSE(offered.window_scale);
    offer.max_segment_size = 9000;
    service.syn_offer = offer;
    start(service);
    begin();
    EXPECT_EQ(offered.max_segment_size, 1460) << "no more than the way to the client carries";
}

TEST_F(SynProxyTest, AClientIsOfferedOnlyWhatItHas) {
    WholeSegment bare{.flags = syn, .sequence = client_isn, .window = 1000};
    begin(bare);
    EXPECT_FALSE(offered.window_scale || offered.sack_permitted || offered.stamp);
    bare.stamp = Stamp{client_clock, 0};
    begin(bare);
    EXPECT_TRUE(offered.stamp);
    EXPECT_FALSE(offered.window_scale || offered.sack_permitted);
}

TEST_F(SynProxyTest, TheAckOpensTheFlowAndTheBackendGetsTheClientsSyn) {
    begin();
    const WholeSegment sent = open(client_ack());
    EXPECT_EQ(at_server.source, client_ends.source);
    EXPECT_EQ(at_server.destination, host("10.2.0.2"));
    EXPECT_EQ(at_server.destination_port, 8080);
    EXPECT_EQ(sent.flags, syn);
    EXPECT_EQ(sent.sequence, client_isn);
    EXPECT_EQ(sent.window, 8030U << client_scale) << "as large as the ACK shows, not scaled";
    EXPECT_EQ(sent.max_segment_size, 1400);
    EXPECT_EQ(sent.window_scale, client_scale);
    EXPECT_TRUE(sent.sack_permitted);
    EXPECT_EQ(sent.stamp, (Stamp{client_clock + 1, 0}));
    EXPECT_EQ(entries(), 2U);
    EXPECT_EQ(state(), TcpState::syn_sent);
    EXPECT_EQ(counters().opened.value(), 1U);
}

TEST_F(SynProxyTest, WithoutTimestampsNeitherScaleNorSackGoesOn) {
    begin(client_syn(false));
    const WholeSegment sent = open(client_ack());
    EXPECT_FALSE(sent.window_scale || sent.sack_permitted || sent.stamp);
    EXPECT_EQ(sent.max_segment_size, 1400);
    EXPECT_EQ(sent.window, 8030);
}

TEST_F(SynProxyTest, AProbeOfTheClosedWindowOpensToo) {
    begin();
    WholeSegment probe = client_ack();
    --probe.sequence;
    EXPECT_EQ(open(probe).sequence, client_isn);
    start(web());
    begin();
    probe = client_ack();
    probe.data = {1};
    EXPECT_EQ(open(probe).sequence, client_isn);
    start(web());
    begin();
    probe.flags = fin_ack;
    EXPECT_EQ(open(probe).sequence, client_isn);
}

TEST_F(SynProxyTest, AWrongCookieIsAnsweredByAReset) {
    begin();
    const auto refused = [&](const WholeSegment& segment, const Ends& ends = client_ends) {
        const Verdict verdict = says(ends, segment, 0);
        EXPECT_EQ(verdict.outcome, Outcome::reset);
        EXPECT_EQ(verdict.reason, DropReason::syn_cookie);
        EXPECT_TRUE(own().empty());
        EXPECT_EQ(entries(), 0U);
    };
    WholeSegment guess = client_ack();
    for (int bit = 0; bit < 32; ++bit) {
        guess.acknowledgment = client_ack().acknowledgment ^ 1U << bit;
        refused(guess);
    }
    guess = client_ack();
    guess.sequence += 1;
    refused(guess);
    guess = client_ack();
    guess.stamp->echo ^= 1;
    refused(guess);
    guess = client_ack();
    guess.stamp = {};
    refused(guess);
    Ends other = client_ends;
    ++other.source_port;
    refused(client_ack(), other);
    guess = client_ack();
    guess.flags = rst_ack;
    const Verdict verdict = client_says(guess);
    EXPECT_EQ(verdict.outcome, Outcome::drop) << "no RST answers a RST";
    EXPECT_EQ(verdict.reason, DropReason::syn_cookie);
    open(client_ack());
}

TEST_F(SynProxyTest, ACookieHoldsForAMinuteAndAtMostTwoOf65Seconds) {
    begin();
    gateway->now_ms += 65'000;
    open(client_ack());
    start(web());
    begin();
    gateway->now_ms += 131'072;
    EXPECT_EQ(client_says(client_ack()).reason, DropReason::syn_cookie);
}

TEST_F(SynProxyTest, TheBackendsAnswerIsTakenAndBothEndsGetAnAck) {
    establish();
    EXPECT_EQ(to_server, (WholeSegment{.flags = ack,
                                       .sequence = client_isn + 1,
                                       .acknowledgment = server_isn + 1,
                                       .window = 8030,
                                       .stamp = Stamp{client_clock + 1, server_clock}}));
    EXPECT_EQ(to_client, (WholeSegment{.flags = ack,
                                       .sequence = offered.sequence + 1,
                                       .acknowledgment = client_isn + 1,
                                       .window = 65160 >> offered_scale,
                                       .stamp = Stamp{offered.stamp->value, client_clock + 1}}));
}

TEST_F(SynProxyTest, UntilTheBackendAnswersTheClientsSegmentsWait) {
    begin();
    open(client_ack());
    EXPECT_EQ(client_says(client_ack()).outcome, taken);
    EXPECT_EQ(client_says(from_client(1, 1, 1)).outcome, taken);
    EXPECT_TRUE(own().empty());
    EXPECT_EQ(state(), TcpState::syn_sent);
    EXPECT_EQ(counters().waiting.value(), 2U);
}

TEST_F(SynProxyTest, ARefusalIsAnExactResetForTheClient) {
    begin();
    open(client_ack());
    WholeSegment refusal{.flags = rst_ack, .acknowledgment = client_isn + 2};
    EXPECT_EQ(server_says(refusal).reason, DropReason::tcp_reset) << "not of this SYN";
    EXPECT_EQ(state(), TcpState::syn_sent);
    EXPECT_TRUE(own().empty());
    refusal.acknowledgment = client_isn + 1;
    EXPECT_EQ(server_says(refusal).outcome, taken);
    const Own told = one_own();
    EXPECT_EQ(tuple(told.ends, 6), tuple(back_to(client_ends), 6));
    EXPECT_TRUE(told.segment.has(rst));
    EXPECT_EQ(told.segment.sequence, offered.sequence + 1);
    EXPECT_EQ(state(), TcpState::close);
}

TEST_F(SynProxyTest, AClientThatMissedTheRefusalIsToldAgain) {
    for (const TcpWindow mode : {TcpWindow::liberal, TcpWindow::strict, TcpWindow::off}) {
        start(web(), 1, {.window = mode});
        begin();
        open(client_ack());
        server_says({.flags = rst_ack, .acknowledgment = client_isn + 1});
        own();
        const Verdict verdict = client_says(from_client(1, 1, 1));
        if (verdict.outcome == Outcome::reset) continue;  // at once
        ASSERT_EQ(verdict.outcome, transmit) << static_cast<int>(mode);
        // The backend answers what belongs to nothing.
        EXPECT_EQ(server_says({.flags = rst, .sequence = passed->acknowledgment}).outcome,
                  transmit);
        EXPECT_EQ(passed->sequence, offered.sequence + 1);
    }
}

TEST_F(SynProxyTest, ASilentBackendGetsTheSynThreeTimesMore) {
    begin();
    const WholeSegment first = open(client_ack());
    const std::uint64_t begun_ms = gateway->now_ms;
    pass_time(20'000);
    const std::vector<Own> sent = own();
    ASSERT_GE(sent.size(), 4U);
    std::uint64_t due_ms = begun_ms;
    for (std::size_t retry = 0; retry < 3; ++retry) {
        EXPECT_EQ(tuple(sent[retry].ends, 6), tuple(at_server, 6));
        WholeSegment again = sent[retry].segment;
        EXPECT_NEAR(again.window, first.window, 8);
        again.window = first.window;
        EXPECT_EQ(again, first) << retry;
        due_ms += 1000U << retry;
        EXPECT_GE(sent[retry].at_ms, due_ms);
        EXPECT_LE(sent[retry].at_ms, due_ms + 1500);
    }
    // Then both are told.
    const auto& to_client_told = sent.back();
    EXPECT_GE(to_client_told.at_ms, begun_ms + 15'000);
    ASSERT_EQ(sent.size(), 5U) << "as the theory of operation says";
    bool client_told = false, server_told = false;
    for (const Own& told : {sent[3], sent[4]}) {
        EXPECT_TRUE(told.segment.has(rst));
        if (told.ends.destination == client_ends.source) {
            client_told = told.segment.sequence == offered.sequence + 1;
        } else {
            EXPECT_EQ(tuple(told.ends, 6), tuple(at_server, 6));
            server_told = told.segment.sequence == client_isn + 1;
        }
    }
    EXPECT_TRUE(client_told && server_told);
    EXPECT_EQ(entries(), 0U);
    EXPECT_EQ(counters().retries.value(), 3U);
    EXPECT_EQ(counters().unanswered.value(), 1U);
}

TEST_F(SynProxyTest, AnAnswerToALaterSynCounts) {
    begin();
    open(client_ack());
    pass_time(4'000);
    EXPECT_EQ(own().size(), 2U);
    EXPECT_EQ(server_says(server_syn_ack()).outcome, taken);
    EXPECT_EQ(own().size(), 2U);
    pass_time(60'000);
    EXPECT_TRUE(own().empty());
    EXPECT_EQ(state(), TcpState::established);
}

TEST_F(SynProxyTest, TheBackendsOldConnectionIsEnded) {
    begin();
    const WholeSegment first = open(client_ack());
    // It challenges the SYN (RFC 5961, section 4).
    EXPECT_EQ(server_says({.flags = ack, .sequence = 77, .acknowledgment = 4711}).outcome, taken);
    const std::vector<Own> both = own();
    ASSERT_EQ(both.size(), 2U);
    EXPECT_EQ(tuple(both[0].ends, 6), tuple(at_server, 6));
    EXPECT_EQ(both[0].segment.flags, rst);
    EXPECT_EQ(both[0].segment.sequence, 4711U);
    EXPECT_EQ(both[1].segment.flags, syn);
    EXPECT_EQ(both[1].segment.sequence, client_isn);
    EXPECT_EQ(both[1].segment.stamp, first.stamp);
    EXPECT_EQ(state(), TcpState::syn_sent);
    // One that answers another SYN is told the same.
    WholeSegment old = server_syn_ack();
    old.acknowledgment -= 1000;
    EXPECT_EQ(server_says(old).outcome, taken);
    EXPECT_EQ(own().front().segment.sequence, old.acknowledgment);
    EXPECT_EQ(server_says(server_syn_ack()).outcome, taken);
    EXPECT_EQ(state(), TcpState::established);
}

TEST_F(SynProxyTest, ABackendThatNeverYieldsIsNotToldForever) {
    begin();
    open(client_ack());
    std::size_t sent = 0;
    for (int answer = 0; answer < 1000; ++answer) {
        server_says({.flags = ack, .sequence = 77, .acknowledgment = 4711});
        sent += own().size();
    }
    EXPECT_LE(sent, 1000U + 100U) << "no more than one each, as a host would";
}

TEST_F(SynProxyTest, TheClientsResetWhileItWaitsEndsBoth) {
    begin();
    open(client_ack());
    WholeSegment reset{.flags = rst, .sequence = client_isn + 2};
    EXPECT_EQ(client_says(reset).reason, DropReason::tcp_reset) << "a guess";
    EXPECT_EQ(state(), TcpState::syn_sent);
    reset.sequence = client_isn + 1;
    EXPECT_EQ(client_says(reset).outcome, taken);
    const Own told = one_own();  // its backend may just have answered, and knows no cookie
    EXPECT_EQ(told.segment.flags, rst);
    EXPECT_EQ(told.segment.sequence, client_isn + 1);
    EXPECT_EQ(state(), TcpState::close);
    // The answer that was on its way gets the client's RST.
    EXPECT_EQ(server_says(server_syn_ack()).outcome, transmit);
    const std::uint32_t refuses = passed->acknowledgment;
    EXPECT_EQ(client_says({.flags = rst, .sequence = refuses}).outcome, transmit);
    EXPECT_EQ(passed->sequence, client_isn + 1);
    EXPECT_TRUE(own().empty());
    pass_time(300'000);
    EXPECT_EQ(entries(), 0U);
}

TEST_F(SynProxyTest, AWaitingClientThatBeginsAnewIsChallengedToo) {
    begin();
    open(client_ack());
    EXPECT_EQ(client_says(client_syn()).outcome, taken);
    EXPECT_TRUE(own().empty()) << "a copy of the SYN that opened it";
    WholeSegment anew = client_syn();
    anew.sequence = 0x1234'5678;
    client_says(anew);
    const Own challenge = one_own();
    EXPECT_EQ(challenge.segment.flags, ack);
    EXPECT_EQ(challenge.segment.sequence, offered.sequence + 1);
    EXPECT_EQ(challenge.segment.acknowledgment, client_isn + 1);
    EXPECT_EQ(client_says({.flags = rst, .sequence = client_isn + 1}).outcome, taken);
    EXPECT_EQ(one_own().segment.flags, rst);
    EXPECT_EQ(state(), TcpState::close);
    begin(anew);
    EXPECT_EQ(open(client_ack()).sequence, 0x1234'5678U);
}

TEST_F(SynProxyTest, CopiesAtTwoWorkersOpenOneFlow) {
    start(web(), 2);
    begin();
    open(client_ack());
    EXPECT_EQ(client_says(client_ack(), 1).outcome, taken);
    EXPECT_TRUE(own().empty());
    EXPECT_EQ(entries(), 2U);
    EXPECT_EQ(server_says(server_syn_ack(), 1).outcome, taken);
    EXPECT_EQ(own().size(), 2U);
    EXPECT_EQ(server_says(server_syn_ack(), 0).outcome, transmit);
    EXPECT_TRUE(own().empty());
    EXPECT_EQ(state(), TcpState::established);
}

TEST_F(SynProxyTest, WhileOneWorkerChangesTheFlowOthersPark) {
    start(web(), 2);
    begin();
    open(client_ack());
    const std::uint8_t waits = flow().protocol_state.load();
    flow().protocol_state = TcpProgress(TcpState::syn_recv).with_proxied().bits();
    EXPECT_EQ(client_says(client_ack(), 1).outcome, Outcome::park);
    EXPECT_EQ(server_says(server_syn_ack(), 1).outcome, Outcome::park);
    EXPECT_EQ(client_says({.flags = rst, .sequence = client_isn + 1}, 1).outcome, Outcome::park);
    pass_time(20'000);
    EXPECT_TRUE(own().empty()) << "its time has come, but another worker has it";
    flow().protocol_state = waits;
    EXPECT_EQ(server_says(server_syn_ack(), 1).outcome, taken);
    EXPECT_EQ(state(), TcpState::established);
}

TEST_F(SynProxyTest, WithoutRoomForWhatItWouldSendASegmentIsDropped) {
    begin();
    open(client_ack());
    auto& outbox = gateway->pipelines[0]->outbox();
    const auto fill = [&](std::size_t left) {
        while (outbox.has_room(left + 1))
            outbox.add({});
    };
    const auto decide = [&](const Ends& ends, const WholeSegment& segment, std::uint16_t port) {
        packet = bytes_of(ends, segment);
        return gateway->pass(packet, port);
    };
    fill(1);
    EXPECT_EQ(decide(back_to(at_server), server_syn_ack(), 1).reason, DropReason::no_buffer);
    EXPECT_EQ(state(), TcpState::syn_sent);
    fill(0);
    WholeSegment anew = client_syn();
    anew.sequence = 4;
    EXPECT_EQ(decide(client_ends, anew, 0).reason, DropReason::no_buffer);
    Ends other = client_ends;
    ++other.source_port;
    EXPECT_EQ(decide(other, client_syn(), 0).reason, DropReason::no_buffer);
    static_cast<void>(outbox.take());
    EXPECT_EQ(decide(other, client_syn(), 0).outcome, taken);
    const OwnSegment<V4> answer = outbox.take().front();
    offered = segment_in(Bytes(answer.bytes().begin(), answer.bytes().end()));
    fill(0);
    EXPECT_EQ(decide(other, client_ack(), 0).reason, DropReason::no_buffer);
    EXPECT_EQ(entries(), 2U) << "no flow without its SYN";
    static_cast<void>(outbox.take());
    EXPECT_EQ(decide(other, client_ack(), 0).outcome, taken);
    fill(0);
    gateway->pass_time(2'000);
    EXPECT_EQ(counters().retries.value(), 0U);
    static_cast<void>(outbox.take());
    gateway->pass_time(1'000);
    EXPECT_GE(counters().retries.value(), 2U) << "later, then";
    gather();
}

TEST_F(SynProxyTest, ARefusedFlowIsAResetForTheClient) {
    const Service<V4> service = web();
    begin();
    gateway->policy.services[0].backends.clear();
    const Verdict verdict = client_says(client_ack());
    EXPECT_EQ(verdict.outcome, Outcome::reset);
    EXPECT_EQ(verdict.reason, DropReason::no_backend);
    gateway->policy.services[0].backends = service.backends;
    open(client_ack());
}

}  // namespace
}  // namespace noclash::nat::test::syn_proxy_test
