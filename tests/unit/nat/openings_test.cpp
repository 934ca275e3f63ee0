// SPDX-License-Identifier: Apache-2.0
// What is counted of a backend's openings, by the packets that move a flow's state.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <memory>
#include <vector>

#include "nat/limits/openings.hpp"
#include "nat/policy/flow_fate.hpp"
#include "tests/unit/nat/pipeline_fixture.hpp"
#include "tests/unit/nat/spoken.hpp"

namespace noclash::nat::test::openings_test {
namespace {

using tcp_flag::ack, tcp_flag::fin, tcp_flag::rst, tcp_flag::syn;

constexpr const char* vip = "203.0.113.7";
constexpr std::uint16_t backend_side = 1, client_side = 0;

Service<V4> service_of(std::uint8_t protocol, std::vector<Backend<V4>> backends) {
    Service<V4> service;
    service.name = "web";
    service.address = ip(vip);
    service.ports = {{80, 80}};
    service.protocol = protocol;
    service.on_gone = OnGone::keep;
    service.backends = std::move(backends);
    return service;
}

/// One client and one backend, 10.2.0.2, who speak through the gateway.
struct Opening : testing::Test {
    Opening() : gateway({masquerade()}) { serve(ip_protocol::tcp, {{ip("10.2.0.2"), 8080, 1}}); }

    void serve(std::uint8_t protocol, std::vector<Backend<V4>> backends) {
        gateway.keeps_policy = false;
        gateway.policy.services = {service_of(protocol, std::move(backends))};
        static_cast<void>(gateway.round());
        gateway.keep_policy();
    }
    [[nodiscard]] BackendCounters& counters(std::size_t backend = 0) {
        return *gateway.snapshot->service_rules.table(0)->entries()[backend].counters;
    }
    [[nodiscard]] OpeningResults& results() { return *counters().results; }
    [[nodiscard]] std::uint64_t answers() {
        std::uint64_t all = 0;
        for (const std::uint64_t count : results().answers.counts())
            all += count;
        return all;
    }
    /// Takes a segment of the client to the backend.
    Verdict from_client(const Spoken& spoken) {
        Bytes packet = segment(ends, spoken);
        const Verdict verdict = gateway.pass(packet, client_side);
        if (verdict.transmits()) there = read(packet).tuple;
        return verdict;
    }
    Verdict from_backend(const Spoken& spoken, std::uint16_t port = backend_side) {
        Bytes packet = segment(answer_to(there), spoken);
        return gateway.pass(packet, port);
    }
    void open() { ASSERT_TRUE(from_client({syn, 100}).transmits()); }
    void answer() { ASSERT_TRUE(from_backend({std::uint8_t{syn | ack}, 500, 101}).transmits()); }
    void establish() {
        open();
        answer();
        ASSERT_TRUE(from_client({ack, 101, 501}).transmits());
    }
    /// An ICMP error of `reporter` about what the backend has got.
    Verdict report(const char* reporter, std::uint8_t code, const Bytes& quoted,
                   std::uint16_t port = backend_side) {
        Bytes packet = icmp({host(reporter), there.source.value.host(), 0, 0}, 3, code, 0, quoted);
        return gateway.pass(packet, port);
    }
    Bytes syn_as_arrived() {
        return segment({there.source.value.host(), there.destination.value.host(),
                        there.source_port.host(), there.destination_port.host()},
                       {syn, 100});
    }

    TestGateway gateway;
    Ends ends{host("10.1.0.7"), host(vip), 40000, 80};
    Tuple<V4> there{};
};

TEST_F(Opening, WaitsUntilItIsAnswered) {
    open();
    EXPECT_EQ(counters().openings, 1U);
    EXPECT_EQ(counters().half_open, 1);
    gateway.now_ms += 5;
    answer();
    EXPECT_EQ(counters().half_open, 0);
    EXPECT_EQ(results().answers.counts()[WaitHistogram::bucket_of(5)], 1U);
    EXPECT_EQ(answers(), 1U);
    EXPECT_EQ(results().late, 0U);
    ASSERT_TRUE(from_client({ack, 101, 501}).transmits());
    ASSERT_TRUE(from_client({ack, 101, 501, 1}).transmits());
    ASSERT_TRUE(from_backend({ack, 501, 102, 9}).transmits());
    EXPECT_EQ(answers(), 1U);
    gateway.pass_time(8 * 24 * 3600 * std::uint64_t{1000});
    EXPECT_EQ(counters().unanswered, 0U);
    EXPECT_EQ(counters().half_open, 0);
}

TEST_F(Opening, AnsweredLate) {
    open();
    gateway.now_ms += 1000;
    open();
    EXPECT_EQ(counters().openings, 1U);
    EXPECT_EQ(counters().half_open, 1);
    gateway.now_ms += 30;
    answer();
    EXPECT_EQ(results().late, 1U);
    EXPECT_EQ(results().late_ms, 1030U);
    EXPECT_EQ(results().failures, 0U);
    EXPECT_EQ(results().answers.counts()[WaitHistogram::bucket_of(1030)], 1U);
}

TEST_F(Opening, IsAFailureOnceWhenTheClientHasAskedLongEnough) {
    for (int i = 0; i < 2; ++i) {
        open();
        gateway.now_ms += 1000;
    }
    EXPECT_EQ(results().failures, 0U) << "a second is not long";
    gateway.now_ms += 2000;
    open();
    EXPECT_EQ(results().failures, 1U);
    gateway.now_ms += 4000;
    open();
    EXPECT_EQ(results().failures, 1U);
    gateway.pass_time(400'000);
    EXPECT_EQ(counters().unanswered, 1U);
    EXPECT_EQ(results().failures, 1U) << "counted already";
    EXPECT_EQ(counters().half_open, 0);
}

TEST_F(Opening, ThatEndsWithoutAWordIsUnanswered) {
    open();
    gateway.pass_time(400'000);
    EXPECT_EQ(counters().unanswered, 1U);
    EXPECT_EQ(counters().half_open, 0);
    EXPECT_EQ(results().failures, 1U);
}

TEST_F(Opening, ThatGoesElsewhereSoonIsUnansweredButNoFailure) {
    serve(ip_protocol::tcp, {{ip("10.2.0.2"), 8080, 1}, {ip("10.2.0.3"), 8080, 1}});
    open();
    const std::size_t first = there.destination == ip("10.2.0.2") ? 0 : 1;
    const ServiceRules<V4>& rules = gateway.snapshot->service_rules;
    const auto now = rules.table(0)->entries();
    auto entries = std::vector(now.begin(), now.end());
    entries[first].health = Health::down;
    const auto former = rules.replace(0, std::make_shared<const BackendTable<V4>>(
                                             std::move(entries), gateway.identities.service_key()));
    gateway.now_ms += 100;
    open();
    EXPECT_EQ(counters(first).unanswered, 1U);
    EXPECT_EQ(counters(first).half_open, 0);
    EXPECT_EQ(counters(first).results->failures, 0U);
    EXPECT_EQ(counters(1 - first).openings, 1U);
    EXPECT_EQ(counters(1 - first).half_open, 1);
}

TEST_F(Opening, IsRefusedByAReset) {
    open();
    ASSERT_TRUE(from_backend({std::uint8_t{rst | ack}, 0, 101}).transmits());
    EXPECT_EQ(results().refused, 1U);
    EXPECT_EQ(counters().half_open, 0);
    EXPECT_EQ(results().failures, 1U);
    EXPECT_EQ(results().reset, 0U);
    ASSERT_TRUE(from_backend({std::uint8_t{rst | ack}, 0, 101}).transmits());
    EXPECT_EQ(results().refused, 1U) << "a copy";
    gateway.pass_time(400'000);
    EXPECT_EQ(counters().unanswered, 0U);
    EXPECT_EQ(counters().half_open, 0);
}

TEST_F(Opening, ARefusalFromElsewhereSaysNothingOfTheBackend) {
    open();
    ASSERT_TRUE(from_backend({std::uint8_t{rst | ack}, 0, 101}, client_side).transmits());
    EXPECT_EQ(results().refused, 1U);
    EXPECT_EQ(results().failures, 0U);
}

TEST_F(Opening, ASpuriousResetRefusesNothing) {
    open();
    EXPECT_FALSE(from_backend({std::uint8_t{rst | ack}, 0, 999}).transmits());
    EXPECT_EQ(results().refused, 0U);
    EXPECT_EQ(counters().half_open, 1);
}

TEST_F(Opening, ThatItsClientTakesBackIsNotCounted) {
    open();
    ASSERT_TRUE(from_client({rst, 101}).transmits());
    EXPECT_EQ(counters().half_open, 0);
    gateway.pass_time(400'000);
    EXPECT_EQ(counters().unanswered, 0U);
    EXPECT_EQ(results().refused, 0U);
    EXPECT_EQ(results().failures, 0U);
}

TEST_F(Opening, IsRefusedByAnIcmpError) {
    for (const std::uint8_t code : std::initializer_list<std::uint8_t>{0, 1, 2, 3, 13}) {
        ++ends.source_port;
        open();
        ASSERT_TRUE(report("10.2.0.2", code, syn_as_arrived()).transmits());
        ASSERT_TRUE(report("10.2.0.2", code, syn_as_arrived()).transmits());
    }
    EXPECT_EQ(results().refused, 5U);
    EXPECT_EQ(counters().half_open, 0);
    EXPECT_EQ(results().failures, 5U);
    ++ends.source_port;
    open();
    ASSERT_TRUE(report("10.2.0.2", 4, syn_as_arrived()).transmits());
    EXPECT_EQ(results().refused, 5U) << "fragmentation needed";
    EXPECT_EQ(counters().half_open, 1);
    ASSERT_TRUE(report("10.2.0.9", 1, syn_as_arrived(), no_port).transmits());
    EXPECT_EQ(results().failures, 6U) << "our own: no ARP reply";
    gateway.pass_time(400'000);
    EXPECT_EQ(counters().unanswered, 0U);
    EXPECT_EQ(counters().half_open, 0);
}

TEST_F(Opening, AnIcmpErrorAboutAnEstablishedConnectionMovesNothing) {
    establish();
    ASSERT_TRUE(from_client({std::uint8_t{fin | ack}, 101, 501}).transmits());
    Bytes quoted = syn_as_arrived();
    put32(quoted, l4_offset(quoted) + 4, 101);
    ASSERT_TRUE(report("10.2.0.2", 3, quoted).transmits());
    EXPECT_EQ(results().refused, 0U);
    EXPECT_EQ(counters().half_open, 0);
    ASSERT_TRUE(from_backend({std::uint8_t{fin | ack}, 501, 102}).transmits());
    ASSERT_TRUE(from_client({ack, 102, 502}).transmits());
    EXPECT_EQ(
        tcp_state(gateway.table
                      .pool()[gateway.table.index()
                                  .find(tuple(ends, ip_protocol::tcp),
                                        gateway.table.index().hash(tuple(ends, ip_protocol::tcp)))
                                  .flow]),
        TcpState::time_wait)
        << "where FINs end is as it was";
}

TEST_F(Opening, AConnectionIsReset) {
    establish();
    ASSERT_TRUE(from_backend({rst, 501}).transmits());
    EXPECT_EQ(results().reset, 1U);
    EXPECT_EQ(results().refused, 0U);
    ASSERT_TRUE(from_backend({rst, 501}).transmits());
    EXPECT_EQ(results().reset, 1U);
    ++ends.source_port;
    establish();
    ASSERT_TRUE(from_client({rst, 101}).transmits());
    EXPECT_EQ(results().reset, 1U) << "by its client";
}

TEST_F(Opening, AnAnswerThatComesAgainIsCountedOnce) {
    open();
    answer();
    answer();
    EXPECT_EQ(results().repeated_answers, 0U) << "its client has not heard it yet";
    ASSERT_TRUE(from_client({ack, 101, 501}).transmits());
    answer();
    answer();
    EXPECT_EQ(results().repeated_answers, 1U);
    EXPECT_EQ(answers(), 1U);
}

TEST_F(Opening, AFinishedConnectionIsOpenedAnew) {
    establish();
    ASSERT_TRUE(from_backend({rst, 501}).transmits());
    ASSERT_TRUE(from_client({syn, 90'000}).transmits());
    EXPECT_EQ(counters().openings, 2U);
    EXPECT_EQ(counters().half_open, 1);
    ASSERT_TRUE(from_backend({std::uint8_t{syn | ack}, 7000, 90'001}).transmits());
    EXPECT_EQ(counters().half_open, 0);
    EXPECT_EQ(answers(), 2U);
    EXPECT_EQ(results().late, 0U) << "it is no copy";
}

TEST_F(Opening, OfACopyThatComesAfterItsTimeIsOneMore) {
    open();
    gateway.now_ms += 1000 * std::uint64_t{gateway.timeouts.tcp_syn_sent_s} + 1;
    open();
    EXPECT_EQ(counters().openings, 2U);
    EXPECT_EQ(counters().unanswered, 1U);
    EXPECT_EQ(counters().half_open, 1);
}

TEST_F(Opening, AnAnswerEndsARowOfFailures) {
    for (int i = 0; i < 4; ++i) {
        ++ends.source_port;
        open();
        ASSERT_TRUE(from_backend({std::uint8_t{rst | ack}, 0, 101}).transmits());
    }
    EXPECT_EQ(results().failures, 4U);
    ++ends.source_port;
    establish();
    EXPECT_EQ(results().failures, 0U);
}

TEST_F(Opening, FromBeforeALiftIsNoFailure) {
    open();
    gateway.now_ms += 10;
    results().judged_since_ms = gateway.now_ms;
    ASSERT_TRUE(from_backend({std::uint8_t{rst | ack}, 0, 101}).transmits());
    EXPECT_EQ(results().refused, 1U);
    EXPECT_EQ(results().failures, 0U);
}

/// The service loses the backend, and has it again, while a flow of `on_gone = "keep"` lives on.
TEST_F(Opening, IsNotCountedWithCountersItWasNotBegunUnder) {
    open();
    serve(ip_protocol::tcp, {{ip("10.2.0.3"), 8080, 1}});
    serve(ip_protocol::tcp, {{ip("10.2.0.2"), 8080, 1}});
    answer();
    EXPECT_EQ(counters().openings, 0U);
    EXPECT_EQ(counters().half_open, 0);
    EXPECT_EQ(answers(), 0U);
}

TEST_F(Opening, BackendsWithAPortOfTheirOwnAndWithout) {
    serve(ip_protocol::tcp, {{ip("10.2.0.2"), 0, 1}, {ip("10.2.0.2"), 80, 1}});
    for (int i = 0; i < 200; ++i) {
        ++ends.source_port;
        open();
        open();
    }
    EXPECT_EQ(counters(0).openings + counters(1).openings, 200U) << "a copy is nothing new";
    EXPECT_EQ(counters(0).half_open, static_cast<std::int64_t>(counters(0).openings));
    EXPECT_EQ(counters(1).half_open, static_cast<std::int64_t>(counters(1).openings));
    EXPECT_GT(counters(0).openings, 50U);
    EXPECT_GT(counters(1).openings, 50U);
    gateway.pass_time(400'000);
    EXPECT_EQ(counters(0).unanswered, counters(0).openings);
    EXPECT_EQ(counters(1).unanswered, counters(1).openings);
    EXPECT_EQ(counters(0).half_open, 0);
    EXPECT_EQ(counters(1).half_open, 0);
}

TEST_F(Opening, OfDatagrams) {
    serve(ip_protocol::udp, {{ip("10.2.0.2"), 8080, 1}});
    const auto send = [&] {
        Bytes packet = udp(ends, Bytes(4));
        ASSERT_TRUE(gateway.pass(packet, client_side).transmits());
        there = read(packet).tuple;
    };
    const auto reply = [&] {
        Bytes packet = udp(answer_to(there), Bytes(4));
        ASSERT_TRUE(gateway.pass(packet, backend_side).transmits());
    };
    const auto as_arrived = [&] {
        return udp({there.source.value.host(), there.destination.value.host(),
                    there.source_port.host(), there.destination_port.host()},
                   Bytes(4));
    };
    send();
    EXPECT_EQ(counters().half_open, 0) << "TCP's word";
    gateway.now_ms += 5000;
    send();
    reply();
    reply();
    EXPECT_EQ(answers(), 1U);
    EXPECT_EQ(results().answers.counts()[WaitHistogram::bucket_of(5000)], 1U);
    EXPECT_EQ(results().late, 0U);

    ++ends.source_port;
    send();
    ASSERT_TRUE(report("10.2.0.2", 3, as_arrived()).transmits());
    ASSERT_TRUE(report("10.2.0.2", 3, as_arrived()).transmits());
    EXPECT_EQ(results().refused, 1U);
    EXPECT_EQ(results().failures, 1U);

    ++ends.source_port;
    send();
    gateway.pass_time(400'000);
    EXPECT_EQ(counters().openings, 3U);
    EXPECT_EQ(counters().unanswered, 1U);
    EXPECT_EQ(results().failures, 1U) << "many expect no answer";
}

struct Association : Opening {
    static constexpr std::uint8_t init = 1, init_ack = 2, abort = 6, cookie_echo = 10,
                                  cookie_ack = 11;

    Association() { serve(ip_protocol::sctp, {{ip("10.2.0.2"), 8080, 1}}); }
    static Bytes chunk(std::uint8_t type) {
        return sctp_chunk(type, type <= init_ack ? Bytes(16) : Bytes(4));
    }
    Verdict client_says(std::uint8_t type) {
        Bytes packet = sctp(ends, type == init ? 0 : 7, chunk(type));
        const Verdict verdict = gateway.pass(packet, client_side);
        if (verdict.transmits()) there = read(packet).tuple;
        return verdict;
    }
    Verdict backend_says(std::uint8_t type) {
        Bytes packet = sctp(answer_to(there), 7, chunk(type));
        return gateway.pass(packet, backend_side);
    }
};

TEST_F(Association, IsAnsweredByAnInitAck) {
    ASSERT_TRUE(client_says(init).transmits());
    EXPECT_EQ(counters().half_open, 1);
    gateway.now_ms += 3000;
    ASSERT_TRUE(client_says(init).transmits());
    EXPECT_EQ(results().failures, 1U);
    ASSERT_TRUE(backend_says(init_ack).transmits());
    EXPECT_EQ(counters().half_open, 0);
    EXPECT_EQ(answers(), 1U);
    EXPECT_EQ(results().late, 1U);
    EXPECT_EQ(results().failures, 0U);
    ASSERT_TRUE(client_says(cookie_echo).transmits());
    ASSERT_TRUE(backend_says(cookie_ack).transmits());
    EXPECT_EQ(answers(), 1U);
    ASSERT_TRUE(backend_says(abort).transmits());
    EXPECT_EQ(results().reset, 1U);
    EXPECT_EQ(results().refused, 0U);
    ASSERT_TRUE(client_says(init).transmits());
    EXPECT_EQ(counters().openings, 2U);
    EXPECT_EQ(counters().half_open, 1);
}

TEST_F(Association, IsRefusedByAnAbort) {
    ASSERT_TRUE(client_says(init).transmits());
    ASSERT_TRUE(backend_says(abort).transmits());
    EXPECT_EQ(results().refused, 1U);
    EXPECT_EQ(results().failures, 1U);
    EXPECT_EQ(counters().half_open, 0);
}

TEST_F(Association, ThatNobodyAnswers) {
    ASSERT_TRUE(client_says(init).transmits());
    gateway.pass_time(400'000);
    EXPECT_EQ(counters().unanswered, 1U);
    EXPECT_EQ(counters().half_open, 0);
    EXPECT_EQ(results().failures, 1U);
}

// The parts.

TEST(WaitHistogram, BucketsArePowersOfTwo) {
    EXPECT_EQ(WaitHistogram::bucket_of(0), 0U);
    EXPECT_EQ(WaitHistogram::bucket_of(1), 1U);
    EXPECT_EQ(WaitHistogram::bucket_of(2), 2U);
    EXPECT_EQ(WaitHistogram::bucket_of(3), 2U);
    EXPECT_EQ(WaitHistogram::bucket_of(4), 3U);
    EXPECT_EQ(WaitHistogram::bucket_of(65'535), 16U);
    EXPECT_EQ(WaitHistogram::bucket_of(65'536), 17U);
    EXPECT_EQ(WaitHistogram::bucket_of(0xffff'ffff), WaitHistogram::buckets - 1);
    for (std::uint32_t ms = 0; ms < 65'536; ++ms)
        ASSERT_LT(ms, WaitHistogram::bound_ms(WaitHistogram::bucket_of(ms)));
}

TEST(WaitHistogram, PercentilesAreBounds) {
    WaitHistogram histogram;
    EXPECT_FALSE(percentile_ms(histogram.counts(), 50));
    for (int i = 0; i < 99; ++i)
        histogram.add(0);
    histogram.add(1000);
    EXPECT_EQ(percentile_ms(histogram.counts(), 50), 1U);
    EXPECT_EQ(percentile_ms(histogram.counts(), 99), 1U);
    EXPECT_EQ(percentile_ms(histogram.counts(), 100), 1024U);
    histogram.add(1000);
    EXPECT_EQ(percentile_ms(histogram.counts(), 99), 1024U) << "99 of 101 are too few";
}

TEST(OpeningWord, KnowsItsAge) {
    const std::uint64_t begun_ms = 0x1'2345'6789;
    const OpeningWord word(0xa5, begun_ms);
    EXPECT_TRUE(word.has(OpeningWord::waits));
    EXPECT_FALSE(
        word.has(OpeningWord::repeated | OpeningWord::failed | OpeningWord::answer_repeated));
    EXPECT_EQ(word.tag(), 0xa5);
    EXPECT_EQ(word.age_ms(begun_ms), 0U);
    EXPECT_EQ(word.age_ms(begun_ms + 240'000), 240'000U);
    EXPECT_EQ(OpeningWord(word.bits() | 14U).age_ms(begun_ms + 7), 7U);
}

TEST(QueueOverflow, TakesACountAndAShare) {
    EXPECT_FALSE(queue_overflow_likely(9, 9));
    EXPECT_TRUE(queue_overflow_likely(10, 10));
    EXPECT_TRUE(queue_overflow_likely(40'000, 812));
    EXPECT_FALSE(queue_overflow_likely(40'000, 399));
}

/// By an oracle that looks at all of them.
TEST(BackendIndex, FindsEachBackendAndNoOther) {
    std::vector<Backend<V4>> backends;
    for (std::uint32_t i = 0; i < 1024; ++i)
        backends.push_back({V4Address::from_host(host("10.2.0.0") + i / 4),
                            static_cast<std::uint16_t>(i % 4 == 0 ? 0 : 8000 + i % 4), 1});
    const BackendIndex<V4> index(backends, std::identity());
    for (std::uint32_t address = 0; address < 300; ++address) {
        for (const std::uint16_t port :
             std::initializer_list<std::uint16_t>{0, 8000, 8001, 8002, 8003, 8004}) {
            const auto at = V4Address::from_host(host("10.2.0.0") + address);
            const auto oracle = std::ranges::find_if(backends, [&](const Backend<V4>& backend) {
                return backend.address == at && backend.port == port;
            });
            const auto found = index.find(
                at, port, [&](std::size_t place) -> const Backend<V4>& { return backends[place]; });
            ASSERT_EQ(found.has_value(), oracle != backends.end());
            if (!found) continue;
            ASSERT_EQ(*found, static_cast<std::size_t>(oracle - backends.begin()));
        }
    }
}

}  // namespace
}  // namespace noclash::nat::test::openings_test
