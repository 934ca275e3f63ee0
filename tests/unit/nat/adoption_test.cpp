// SPDX-License-Identifier: Apache-2.0
#include "nat/adoption.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "tests/fuzz/adoption_driver.hpp"
#include "tests/unit/nat/pipeline_fixture.hpp"
#include "tests/unit/nat/spoken.hpp"

namespace noclash::nat::test::adoption_test {
namespace {

using tcp_flag::syn, tcp_flag::ack;
constexpr std::uint8_t syn_ack = syn | ack;
constexpr auto transmit = Outcome::transmit;
using Record = FlowTable<V4>::Record;

Rule<V4> mapped(Filtering filtering) {
    Rule<V4> rule = masquerade();
    rule.behavior = {Mapping::endpoint_independent, filtering};
    return rule;
}
Ends numbered(std::uint32_t n) {
    return {client.source + n % 200, client.destination, static_cast<std::uint16_t>(1024 + n), 80};
}

/// Gateways one after the other on the same records. A killed one leaves its records as they are.
class AdoptionTest : public testing::Test {
  protected:
    void SetUp() override { start({masquerade()}); }

    void start(PolicyConfig<V4> with, unsigned workers = 1, std::uint32_t flows = few) {
        policy = std::move(with);
        records = std::make_unique<HugeArray<Record>>(most_records);
        begin(workers, flows);
        adopt(0);
    }
    void start(std::vector<Rule<V4>> rules, unsigned workers = 1, std::uint32_t flows = few) {
        start(PolicyConfig<V4>{{}, std::move(rules)}, workers, flows);
    }
    /// The next gateway has all the time to come.
    AdoptionCounts kill_and_start(std::uint64_t away_ms = 50, unsigned workers = 1,
                                  std::uint32_t flows = few) {
        const std::uint64_t left_ms = gateway->now_ms;
        begin(workers, flows);
        gateway->now_ms = left_ms + away_ms;
        return adopt(left_ms);
    }

    /// Its tuple outside; of no flow when it did not get there.
    Tuple<V4> send(const Ends& ends, std::uint8_t flags = 0) {
        Bytes packet = flags == 0 ? udp(ends, {1}) : tcp(ends, flags);
        verdict = gateway->pass(packet);
        return verdict.outcome == transmit ? read(packet).tuple : Tuple<V4>{};
    }
    /// The port that it reaches inside; 0: none.
    std::uint16_t answer(const Ends& ends, std::uint8_t flags = 0) {
        Bytes packet = flags == 0 ? udp(ends, {1}) : tcp(ends, flags);
        verdict = gateway->pass(packet, 1);
        return verdict.outcome == transmit ? read(packet).tuple.destination_port.host()
                                           : std::uint16_t{0};
    }
    Record& flow_of(const Tuple<V4>& original) {
        const auto& index = gateway->table.index();
        return gateway->table.pool()[index.find(original, index.hash(original)).flow];
    }
    Record& flow_of(const Ends& ends, std::uint8_t protocol = ip_protocol::udp) {
        return flow_of(tuple(ends, protocol));
    }
    std::size_t entries() { return gateway->table.index().occupancy().entries; }
    /// How many more flows find a record.
    std::uint32_t room() {
        std::uint32_t found = 0;
        for (std::uint32_t n = 0; n < most_records; ++n) {
            send({host("10.1.3.3"), host("198.51.100.1") + n % 200,
                  static_cast<std::uint16_t>(1024 + n), 7});
            if (verdict.outcome != transmit) break;
            ++found;
        }
        EXPECT_EQ(verdict.reason, DropReason::table_full);
        return found;
    }

    static constexpr std::uint32_t few = 1024;
    static constexpr std::size_t most_records = 8192;
    PolicyConfig<V4> policy;
    LimitsConfig<V4> limits;
    std::unique_ptr<HugeArray<Record>> records;
    std::unique_ptr<TestGateway> gateway;
    Verdict verdict;

  private:
    void begin(unsigned workers, std::uint32_t flows) {
        gateway = std::make_unique<TestGateway>(policy, workers, flows, limits,
                                                TcpTimestamps::preserve, &(*records)[0]);
    }
    AdoptionCounts adopt(std::uint64_t left_ms) { return gateway->adopt(left_ms); }
};

TEST_F(AdoptionTest, FlowsGoOnAsTheyWere) {
    std::vector<Tuple<V4>> sent;
    for (std::uint32_t n = 0; n < 100; ++n)
        sent.push_back(send(numbered(n), n % 2 == 0 ? 0 : syn));
    const AdoptionCounts counts = kill_and_start();
    EXPECT_EQ(counts.adopted, 100U);
    EXPECT_EQ(counts.over + counts.rolled_back + counts.conflicting + counts.implausible, 0U);
    for (std::uint32_t n = 0; n < 100; ++n) {
        const std::uint8_t flags = n % 2 == 0 ? 0 : syn;
        EXPECT_EQ(answer(answer_to(sent[n]), flags == 0 ? 0 : syn_ack), 1024 + n);
        EXPECT_EQ(send(numbered(n), flags), sent[n]);
    }
    EXPECT_EQ(entries(), 200U) << "no flow was made anew";
}

TEST_F(AdoptionTest, EveryRecordIsAFlowOrFree) {
    const std::uint32_t all = room();
    ASSERT_GT(all, few);
    for (const std::uint32_t live : {1U, 120U, 121U, 122U, 700U}) {
        start({masquerade()});
        for (std::uint32_t n = 0; n < live; ++n)
            ASSERT_NE(send(numbered(n)), Tuple<V4>{});
        EXPECT_EQ(kill_and_start().adopted, live);
        EXPECT_EQ(room(), all - live);
    }
}

TEST_F(AdoptionTest, FlowsStillEnd) {
    for (std::uint32_t n = 0; n < 500; ++n)
        send(numbered(n));
    kill_and_start(50, 2);
    EXPECT_EQ(entries(), 1000U);
    gateway->pass_time(1000 * gateway->timeouts.udp_s + 20'000);
    EXPECT_NE(entries(), 0U) << "each worker has its part";
    for (int tick = 0; tick < 2000; ++tick)
        gateway->maintain(most_records, 1);
    EXPECT_EQ(entries(), 0U);
}

TEST_F(AdoptionTest, TimeGoesOnWhileNobodyIsThere) {
    const Tuple<V4> sent = send(client);
    EXPECT_EQ(kill_and_start(1000 * gateway->timeouts.udp_s - 1).adopted, 1U);
    EXPECT_EQ(answer(answer_to(sent)), client.source_port);
    // Moments wrap around after 2^32 ms: what is long over is not to come again.
    for (const std::uint64_t away_ms :
         {std::uint64_t{1000} * gateway->timeouts.udp_stream_s, std::uint64_t{1} << 31U,
          (std::uint64_t{1} << 32U) - 10, (std::uint64_t{1} << 32U) + 10}) {
        start({masquerade()});
        send(client);
        const AdoptionCounts counts = kill_and_start(away_ms);
        EXPECT_EQ(counts.adopted, 0U) << away_ms;
        EXPECT_EQ(counts.over, 1U);
        EXPECT_EQ(entries(), 0U);
    }
}

TEST_F(AdoptionTest, WhatWasBeingSetUpIsRolledBack) {
    send(client);
    flow_of(client).status = FlowStatus::setup;
    EXPECT_EQ(kill_and_start().rolled_back, 1U);
    EXPECT_EQ(entries(), 0U);
}

TEST_F(AdoptionTest, WhatHadEndedIsFree) {
    for (const FlowStatus status : {FlowStatus::dead, FlowStatus::succeeded}) {
        send(client);
        flow_of(client).status = status;
        EXPECT_EQ(kill_and_start().over, 1U);
        EXPECT_EQ(entries(), 0U);
    }
}

TEST_F(AdoptionTest, WhatWasEndingLivesUnlessAnotherHasItsTuple) {
    const Tuple<V4> sent = send(client);
    Record& before = flow_of(client);
    before.status = FlowStatus::ending;
    EXPECT_EQ(kill_and_start().adopted, 1U);
    EXPECT_EQ(answer(answer_to(sent)), client.source_port);

    // It was on its way out, and another flow has got its reply tuple.
    Record& old = flow_of(client);
    send(numbered(7));
    Record& next = flow_of(numbered(7));
    next.tuple(Direction::reply) = old.tuple(Direction::reply);
    Tuple<V4> to;
    Tuple<V4>::invert(next.tuple(Direction::reply), to);
    keep(next, translation(next.tuple(Direction::original), to));
    old.status = FlowStatus::ending;
    const AdoptionCounts counts = kill_and_start();
    EXPECT_EQ(counts.adopted, 1U);
    EXPECT_EQ(counts.over, 1U);
    EXPECT_EQ(answer(answer_to(sent)), 1024 + 7);
    EXPECT_EQ(entries(), 2U);
}

TEST_F(AdoptionTest, WhatWasEndingAndIsProvenOverStaysAway) {
    send(client, syn);
    Record& flow = flow_of(client, ip_protocol::tcp);
    flow.protocol_state = static_cast<std::uint8_t>(TcpState::time_wait);
    flow.status = FlowStatus::ending;
    EXPECT_EQ(kill_and_start().over, 1U);
    EXPECT_EQ(entries(), 0U);
}

TEST_F(AdoptionTest, OfTwoLiveRecordsWithOneTupleOneIsRefused) {
    for (const Direction shared : {Direction::original, Direction::reply}) {
        start({masquerade()});
        send(client);
        send(numbered(7));
        Record& one = flow_of(client);
        Record& other = flow_of(numbered(7));
        other.tuple(shared) = one.tuple(shared);
        Tuple<V4> to;
        Tuple<V4>::invert(other.tuple(Direction::reply), to);
        keep(other, translation(other.tuple(Direction::original), to));
        const AdoptionCounts counts = kill_and_start();
        EXPECT_EQ(counts.adopted, 1U);
        EXPECT_EQ(counts.conflicting, 1U);
        EXPECT_EQ(entries(), 2U);
    }
}

TEST_F(AdoptionTest, WhatCannotBeIsSkipped) {
    const auto spoil = [&](auto&& change, const char* what) {
        start({masquerade()});
        send(client, syn);
        send(numbered(1));
        change(flow_of(client, ip_protocol::tcp));
        const AdoptionCounts counts = kill_and_start();
        EXPECT_EQ(counts.implausible, 1U) << what;
        EXPECT_EQ(counts.adopted, 1U) << what;
    };
    spoil([](Record& flow) { flow.tuples[1].destination_port = Be16::from_host(1); }, "port");
    spoil([](Record& flow) { flow.tuples[0].protocol = 17; }, "protocol");
    spoil([](Record& flow) { flow.tuples[0].zone = 9; }, "zone");
    spoil([](Record& flow) { flow.tuples[1].reserved = 7; }, "kind of one tuple");
    spoil([](Record& flow) { flow.tuples[0].reserved = flow.tuples[1].reserved = 7; }, "kind");
    spoil(
        [](Record& flow) {
            for (auto& tuple : flow.tuples) {
                tuple.protocol = 17;
                tuple.reserved = wildcard::incarnation;
            }
        },
        "new incarnation, not of TCP");
    spoil([](Record& flow) { flow.sum_changes[0] ^= 1; }, "checksum");
    spoil([](Record& flow) { flow.protocol_state = 15; }, "state of TCP");
    spoil([](Record& flow) { flow.status = static_cast<FlowStatus>(77); }, "status");
}

TEST_F(AdoptionTest, NoiseIsNoFlow) {
    std::minstd_rand random(11);
    for (int round = 0; round < 20; ++round) {
        start({mapped(Filtering::address_dependent)});
        auto* bytes = reinterpret_cast<std::uint8_t*>(&(*records)[1]);
        std::generate_n(bytes, few * sizeof(Record),
                        [&] { return static_cast<std::uint8_t>(random() >> 8U); });
        for (std::uint32_t n = 1; n < few; ++n)
            (*records)[n].status = n % 2 == 0 ? FlowStatus::live : FlowStatus::ending;
        const AdoptionCounts counts = kill_and_start();
        EXPECT_GT(counts.implausible, few / 2);
        gateway->pass_time(100'000);
        EXPECT_NE(send(client), Tuple<V4>{});
    }
}

/// As tests/fuzz/fuzz_adoption.cpp.
TEST(AnyAdoption, EveryRecordIsAFlowWithItsTuplesOrFree) {
    std::minstd_rand random(12);
    std::uint32_t adopted = 0, refused = 0;
    for (int round = 0; round < 200; ++round) {
        std::vector<std::uint8_t> input(300 + random() % 900);
        std::ranges::generate(input, [&] { return static_cast<std::uint8_t>(random() >> 8U); });
        AdoptionDriver driver;
        driver.drive(input);
        adopted += driver.counts().adopted;
        refused += driver.counts().conflicting;
    }
    EXPECT_GT(adopted, 200U);
    EXPECT_GT(refused, 20U);
}

TEST_F(AdoptionTest, MappingsAreHeldByTheirFlowsAgain) {  // [RFC 4787 REQ-1]
    for (const Filtering filtering : {Filtering::endpoint_independent, Filtering::address_dependent,
                                      Filtering::address_and_port_dependent}) {
        start({mapped(filtering)});
        const Tuple<V4> sent = send(client);
        kill_and_start();
        Ends elsewhere = client;
        elsewhere.destination = host("198.51.100.9");
        EXPECT_EQ(send(elsewhere).source_port, sent.source_port);
        const Ends stranger{host("198.51.100.77"), sent.source.value.host(), 7777,
                            sent.source_port.host()};
        EXPECT_EQ(answer(stranger) != 0, filtering == Filtering::endpoint_independent);
        Ends same_host = answer_to(sent);
        same_host.source_port = 4711;
        EXPECT_EQ(answer(same_host) != 0, filtering != Filtering::address_and_port_dependent);
        gateway->pass_time(1000 * gateway->timeouts.udp_s +
                           1000 * gateway->timeouts.port_quarantine_s + 100'000);
        EXPECT_EQ(entries(), 0U) << "no reference is too many";
    }
}

TEST_F(AdoptionTest, AMappingWithoutFlowsEndsAndAFlowWithoutItsMappingToo) {
    start({mapped(Filtering::address_and_port_dependent)});
    send(client);
    flow_of(client).status = FlowStatus::setup;
    AdoptionCounts counts = kill_and_start();
    EXPECT_EQ(counts.adopted, 0U);
    EXPECT_EQ(counts.over, 1U);
    EXPECT_EQ(entries(), 0U);

    const Tuple<V4> sent = send(client);
    flow_of(mapping_of_destination(sent.inverse())).status = FlowStatus::dead;
    counts = kill_and_start();
    EXPECT_EQ(counts.orphaned, 1U);
    EXPECT_EQ(entries(), 0U);
}

TEST_F(AdoptionTest, AFlowThatWasEndingDoesNotJoinAnothersMapping) {
    start({mapped(Filtering::address_and_port_dependent)});
    // Its mapping had ended, and the outside endpoint was another's.
    const Tuple<V4> outside = mapping_of_destination(send(client).inverse());
    const Ends next{client.source + 1, client.destination + 1, 5000, 80};
    Record& mapping = flow_of(mapping_of_destination(send(next).inverse()));
    flow_of(outside).status = FlowStatus::dead;
    flow_of(client).status = FlowStatus::ending;
    Record& flow = flow_of(next);
    mapping.tuple(Direction::reply) = outside;
    flow.tuple(Direction::reply).destination_port = outside.destination_port;
    Tuple<V4> to;
    Tuple<V4>::invert(flow.tuple(Direction::reply), to);
    keep(flow, translation(flow.tuple(Direction::original), to));
    const AdoptionCounts counts = kill_and_start();
    EXPECT_EQ(counts.orphaned, 1U);
    EXPECT_EQ(counts.adopted, 2U);
    EXPECT_EQ(references(flow_of(outside)), 1U);
    EXPECT_EQ(send(next).source_port, outside.destination_port);
}

TEST_F(AdoptionTest, LimitsCountWhatLives) {
    limits.most[static_cast<std::size_t>(Quota::flows)] = 10;
    start({masquerade()});
    for (std::uint32_t n = 0; n < 10; ++n)
        send({client.source, client.destination, static_cast<std::uint16_t>(2000 + n), 80});
    send({client.source, client.destination, 3000, 80});
    ASSERT_EQ(verdict.reason, DropReason::subscriber_flows);
    kill_and_start();
    send({client.source, client.destination, 3000, 80});
    EXPECT_EQ(verdict.reason, DropReason::subscriber_flows);
    gateway->pass_time(1000 * gateway->timeouts.udp_s + 20'000);
    for (std::uint32_t n = 0; n < 10; ++n)
        EXPECT_NE(
            send({client.source, client.destination, static_cast<std::uint16_t>(3000 + n), 80}),
            Tuple<V4>{});
    // Without limits nothing is counted, and what was is forgotten.
    limits = {};
    kill_and_start();
    gateway->limits_config.most[static_cast<std::size_t>(Quota::flows)] = 5;
    gateway->pass_time(1000 * gateway->timeouts.udp_s + 20'000);
    for (std::uint32_t n = 0; n < 5; ++n)
        EXPECT_NE(
            send({client.source, client.destination, static_cast<std::uint16_t>(4000 + n), 80}),
            Tuple<V4>{});
    send({client.source, client.destination, 5000, 80});
    EXPECT_EQ(verdict.reason, DropReason::subscriber_flows);
}

TEST_F(AdoptionTest, HalfOpenConnectionsStillGiveWay) {
    PolicyConfig<V4> with{{}, {node_port()}};
    with.half_open_percent = 10;
    start(with);
    const auto knock = [&](std::uint32_t n) {
        Bytes packet = tcp({host("198.51.100.1") + n / 100, host("10.2.0.1"),
                            static_cast<std::uint16_t>(1024 + n), 30080},
                           syn);
        verdict = gateway->pass(packet, 1);
    };
    gateway->router.inside = {ip("10.2.0.2")};
    for (std::uint32_t n = 0; n < 90; ++n)
        knock(n);
    EXPECT_EQ(kill_and_start().adopted, 90U);
    EXPECT_EQ(gateway->pipelines[0]->slow_path().half_open().length(), 90U);
}

TEST_F(AdoptionTest, AnotherNumberOfWorkersAndOfFlowsIsFine) {
    std::vector<Tuple<V4>> sent;
    for (std::uint32_t n = 0; n < 900; ++n)
        sent.push_back(send(numbered(n)));
    for (const auto& [workers, flows] :
         {std::pair{3U, 2048U}, std::pair{2U, 4096U}, std::pair{1U, 1024U}}) {
        const std::size_t size = FlowTable<V4>::records_for(flows, workers);
        ASSERT_LE(size, most_records);
        ASSERT_TRUE((FlowAdoption<V4>::fit({&(*records)[0], most_records}, size)));
        EXPECT_EQ(kill_and_start(10, workers, flows).adopted, 900U);
        for (std::uint32_t n = 0; n < 900; n += 7)
            EXPECT_EQ(answer(answer_to(sent[n])), 1024 + n);
    }
}

TEST_F(AdoptionTest, WhatDoesNotFitIsNotLost) {
    for (std::uint32_t n = 0; n < 900; ++n)
        send(numbered(n));
    EXPECT_FALSE((FlowAdoption<V4>::fit({&(*records)[0], most_records}, 600)));
    EXPECT_EQ(kill_and_start().adopted, 900U);
}

TEST_F(AdoptionTest, NewConnectionsOfOldPortsGoOn) {
    const auto say = [&](const Spoken& spoken, std::uint16_t port, const Ends& ends) {
        Bytes packet = segment(ends, spoken);
        verdict = gateway->pass(packet, port);
        return read(packet).tuple;
    };
    const auto connect = [&] {
        const Ends outside = answer_to(say({syn, 1000}, 0, client));
        say({syn_ack, 9000, 1001}, 1, outside);
        say({ack, 1001, 9001}, 0, client);
        say({syn, 0x5000'0000}, 0, client);
        say({syn_ack, 0xa000'0000, 0x5000'0001}, 1, outside);
        return outside;
    };
    const auto goes_on = [&](const Ends& outside) {
        EXPECT_EQ(entries(), 2U);
        say({ack, 0x5000'0001, 0xa000'0001, 500}, 0, client);
        EXPECT_EQ(verdict.outcome, transmit);
        EXPECT_EQ(tcp_state(flow_of(client, ip_protocol::tcp)), TcpState::established);
        say({ack, 0xa000'0001, 0x5000'01f5, 500}, 1, outside);
        EXPECT_EQ(verdict.outcome, transmit);
    };
    // Killed before the client's third segment: the record beside the flow goes on.
    Ends outside = connect();
    EXPECT_EQ(kill_and_start().adopted, 2U);
    say({ack, 0x5000'0001, 0xa000'0001}, 0, client);
    goes_on(outside);
    // Killed in the middle of the flow's taking over, which is done again.
    start({masquerade()});
    outside = connect();
    Record& beside = flow_of(incarnation_of(tuple(client, ip_protocol::tcp)));
    beside.protocol_state = static_cast<std::uint8_t>(TcpState::established);
    kill_and_start();
    goes_on(outside);
    // Without its flow it is nothing.
    start({masquerade()});
    connect();
    flow_of(client, ip_protocol::tcp).status = FlowStatus::dead;
    kill_and_start();
    EXPECT_EQ(entries(), 0U);
}

}  // namespace
}  // namespace noclash::nat::test::adoption_test
