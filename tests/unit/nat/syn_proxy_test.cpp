// SPDX-License-Identifier: Apache-2.0
// The SYN proxy of services: what clients and backends are told, segment by segment.

#include "nat/syn_proxy/syn_proxy.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "nat/conntrack/end_segments.hpp"
#include "tests/unit/nat/pipeline_fixture.hpp"
#include "tests/unit/nat/whole_segment.hpp"

namespace noclash::nat::test::syn_proxy_test {
namespace {

using tcp_flag::ack, tcp_flag::fin, tcp_flag::rst, tcp_flag::syn;
constexpr std::uint8_t syn_ack = syn | ack, fin_ack = fin | ack, rst_ack = rst | ack;
constexpr auto taken = Outcome::taken;
constexpr auto transmit = Outcome::transmit;

constexpr std::uint32_t client_isn = 0xffff'fff0, server_isn = 0x7fff'fffe;
constexpr std::uint32_t client_clock = 5'000, server_clock = 0xffff'ff00;
constexpr std::uint8_t client_scale = 3, server_scale = 9, offered_scale = 7;

/// A segment of the gateway's own.
struct Own {
    Ends ends;
    WholeSegment segment;
    std::uint64_t at_ms = 0;
};

Service<V4> web(SynProxyMode mode = SynProxyMode::on) {
    Service<V4> service;
    service.name = "web";
    service.address = ip("203.0.113.7");
    service.ports = {{80, 80}};
    service.protocol = ip_protocol::tcp;
    service.backends = {{ip("10.2.0.2"), 8080, 1}};
    service.syn_proxy = mode;
    return service;
}
const Ends client_ends{host("10.1.0.7"), host("203.0.113.7"), 40000, 80};

WholeSegment client_syn(bool timestamps = true) {
    WholeSegment segment{.flags = syn, .sequence = client_isn, .window = 64240};
    segment.max_segment_size = 1400;
    segment.window_scale = client_scale;
    segment.sack_permitted = true;
    if (timestamps) segment.stamp = Stamp{client_clock, 0};
    return segment;
}
WholeSegment server_syn_ack() {
    WholeSegment segment{.flags = syn_ack,
                         .sequence = server_isn,
                         .acknowledgment = client_isn + 1,
                         .window = 65160};
    segment.max_segment_size = 1460;
    segment.window_scale = server_scale;
    segment.sack_permitted = true;
    segment.stamp = Stamp{server_clock, client_clock + 1};
    return segment;
}

class SynProxyTest : public testing::Test {
  protected:
    void SetUp() override { start(web()); }

    void start(const Service<V4>& service, unsigned workers = 1, TcpPolicy tcp = {},
               const LimitsConfig<V4>& limits = {}) {
        PolicyConfig<V4> policy{{}, {masquerade()}};
        policy.services = {service};
        policy.tcp = tcp;
        gateway =
            std::make_unique<TestGateway>(policy, workers, 4096, limits, TcpTimestamps::preserve);
        gateway->now_ms = 1'000'000;
    }

    /// What became of it; when it went on, `passed` is what its receiver gets.
    Verdict says(const Ends& ends, const WholeSegment& segment, std::uint16_t port,
                 unsigned worker = 0) {
        packet = bytes_of(ends, segment);
        const Verdict verdict = gateway->pass(packet, port, worker);
        passed = {};
        if (verdict.transmits()) passed = segment_in(packet);
        gather();
        return verdict;
    }
    Verdict client_says(const WholeSegment& segment, unsigned worker = 0) {
        return says(client_ends, segment, 0, worker);
    }
    Verdict server_says(const WholeSegment& segment, unsigned worker = 0) {
        return says(back_to(at_server), segment, 1, worker);
    }
    /// The segments of the gateway's own since the last time that anybody asked.
    std::vector<Own> own() { return std::exchange(own_, {}); }
    /// The only one.
    Own one_own() {
        const std::vector<Own> all = own();
        EXPECT_EQ(all.size(), 1U);
        return all.empty() ? Own{} : all.front();
    }
    void gather() {
        for (const auto& pipeline : gateway->pipelines)
            for (const OwnSegment<V4>& segment : pipeline->outbox().take()) {
                const Bytes bytes(segment.bytes().begin(), segment.bytes().end());
                own_.push_back({ends_of(bytes), segment_in(bytes), gateway->now_ms});
            }
    }
    void pass_time(std::uint64_t ms) {
        for (std::uint64_t passed_ms = 0; passed_ms < ms; passed_ms += 100) {
            gateway->pass_time(100);
            gather();
        }
    }

    /// The client's SYN, and what it is answered.
    WholeSegment begin(const WholeSegment& segment = client_syn()) {
        EXPECT_EQ(client_says(segment).outcome, taken);
        const Own answer = one_own();
        offered = answer.segment;
        return offered;
    }
    /// The client's first ACK after `begin`.
    [[nodiscard]] WholeSegment client_ack() const {
        WholeSegment segment{.flags = ack,
                             .sequence = offered.acknowledgment,
                             .acknowledgment = offered.sequence + 1,
                             .window = 8030};
        if (offered.stamp) segment.stamp = Stamp{client_clock + 1, offered.stamp->value};
        return segment;
    }
    /// The SYN that the backend gets.
    WholeSegment open(const WholeSegment& segment) {
        EXPECT_EQ(client_says(segment).outcome, taken);
        const Own sent = one_own();
        at_server = sent.ends;
        return sent.segment;
    }
    void establish(const WholeSegment& with = client_syn(),
                   const WholeSegment& answer = server_syn_ack()) {
        begin(with);
        open(client_ack());
        EXPECT_EQ(server_says(answer).outcome, taken);
        const std::vector<Own> both = own();
        ASSERT_EQ(both.size(), 2U);
        to_server = both[0].segment;
        to_client = both[1].segment;
        EXPECT_EQ(to_server.flags, ack);
        EXPECT_EQ(to_client.flags, ack);
        EXPECT_EQ(state(), TcpState::established);
    }
    /// The client's segments after `establish`.
    [[nodiscard]] WholeSegment from_client(std::uint32_t sequence, std::uint32_t acknowledged,
                                           std::size_t data = 0, std::uint8_t flags = ack) const {
        WholeSegment segment{.flags = flags,
                             .sequence = client_isn + sequence,
                             .acknowledgment = offered.sequence + acknowledged,
                             .window = 1000,
                             .data = Bytes(data, 0x5a)};
        if (offered.stamp) segment.stamp = Stamp{client_clock + 100, offered.stamp->value + 50};
        return segment;
    }
    [[nodiscard]] static WholeSegment from_server(std::uint32_t sequence,
                                                  std::uint32_t acknowledged, std::size_t data = 0,
                                                  std::uint8_t flags = ack) {
        return {.flags = flags,
                .sequence = server_isn + sequence,
                .acknowledgment = client_isn + acknowledged,
                .window = 100,
                .data = Bytes(data, 0xa5),
                .stamp = Stamp{server_clock + 50, client_clock + 100}};
    }

    FlowTable<V4>::Record& flow() {
        const auto& index = gateway->table.index();
        const Tuple<V4> key = tuple(client_ends, ip_protocol::tcp);
        return gateway->table.pool()[index.find(key, index.hash(key)).flow];
    }
    TcpState state() { return tcp_state(flow()); }
    std::size_t entries() { return gateway->table.index().occupancy().entries; }
    [[nodiscard]] const SynProxyCounters& counters(unsigned worker = 0) const {
        return gateway->pipelines[worker]->slow_path().syn_proxy().counters();
    }

    std::unique_ptr<TestGateway> gateway;
    Bytes packet;
    std::optional<WholeSegment> passed;
    WholeSegment offered;  ///< the SYN-ACK that the client has got
    Ends at_server{};      ///< of the client's segments as its backend sees them
    WholeSegment to_server, to_client;

  private:
    std::vector<Own> own_;
};

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
        EXPECT_EQ(word32(error, 16), host("10.2.0.2"));
        EXPECT_EQ(word32(inner, 12), host("10.2.0.2"));
        EXPECT_EQ(word32(inner, 24), said.sequence);
        if (quoted_bytes == 1500) {
            EXPECT_EQ(word32(inner, 28), said.acknowledgment);
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
        EXPECT_EQ(word32(of_client, 16), host("203.0.113.7"));
        EXPECT_EQ(word32(of_client, 24), request.sequence);
        if (quoted_bytes >= 32) {
            EXPECT_EQ(word32(of_client, 28), request.acknowledgment);
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
    EXPECT_EQ(word32(error, 28 + 24), client_isn);
    EXPECT_EQ(state(), TcpState::syn_sent);
}

class Automatic : public SynProxyTest {
  protected:
    void SetUp() override {
        Service<V4> service = web(SynProxyMode::automatic);
        service.syn_proxy_above = 100;
        start(service);
        gateway->policy.half_open_percent = 0;
    }
    /// SYNs of clients that never answer; how many of them made a flow.
    std::size_t flood(std::uint16_t count) {
        std::size_t made = 0;
        for (std::uint16_t i = 0; i < count; ++i) {
            Ends ends = client_ends;
            ends.source_port = next_port_++;
            made += says(ends, client_syn(), 0).outcome == transmit ? 1U : 0U;
        }
        return made;
    }
    bool is_guarded() { return flood(1) == 0; }

  private:
    std::uint16_t next_port_ = 1000;
};

TEST_F(Automatic, GuardsWhenMoreConnectionsAreHalfOpen) {
    EXPECT_EQ(flood(1000), 101U);
    EXPECT_EQ(entries(), 202U);
    EXPECT_TRUE(is_guarded());
}

TEST_F(Automatic, StaysGuardedForTenSecondsWhenTheyAreGone) {
    gateway->timeouts.tcp_syn_sent_s = 5;
    flood(101);
    pass_time(9'800);
    EXPECT_TRUE(is_guarded());
    pass_time(300);
    EXPECT_FALSE(is_guarded());
}

TEST_F(Automatic, StaysGuardedWhileHalfAsManyAreLeft) {
    flood(101);
    for (int times = 0; times < 5; ++times) {
        pass_time(9'800);
        EXPECT_TRUE(is_guarded());
    }
}

TEST_F(Automatic, NobodyLooksWhileNoSynComes) {
    flood(101);
    pass_time(10'100);
    EXPECT_FALSE(is_guarded()) << "but the next one sees that they are still there";
    EXPECT_TRUE(is_guarded());
}

TEST_F(Automatic, CookiesHoldWhenTheFloodIsOver) {
    flood(101);
    begin();
    pass_time(10'100);
    EXPECT_EQ(open(client_ack()).sequence, client_isn);
    EXPECT_EQ(state(), TcpState::syn_sent);
}

TEST_F(Automatic, WithoutGuardAWrongCookieIsWhatItAlwaysWas) {
    const Verdict verdict = client_says({.flags = ack, .sequence = 1, .acknowledgment = 2});
    EXPECT_EQ(verdict.outcome, Outcome::reset);
    EXPECT_EQ(verdict.reason, DropReason::tcp_not_syn);
}

TEST_F(Automatic, ConnectionsOfBeforeGoOn) {
    EXPECT_EQ(client_says(client_syn()).outcome, transmit);
    at_server = ends_of(packet);
    EXPECT_EQ(server_says(server_syn_ack()).outcome, transmit);
    flood(200);
    WholeSegment answer{
        .flags = ack, .sequence = client_isn + 1, .acknowledgment = server_isn + 1, .window = 1000};
    EXPECT_EQ(client_says(answer).outcome, transmit);
    EXPECT_EQ(state(), TcpState::established);
    EXPECT_FALSE(tcp_progress(flow()).is_proxied());
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
