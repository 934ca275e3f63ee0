// SPDX-License-Identifier: Apache-2.0
#include "nat/ports/locality.hpp"

#include <gtest/gtest.h>
#include <rte_byteorder.h>
#include <rte_thash.h>

#include <array>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <map>
#include <random>
#include <set>
#include <utility>

#include "tests/unit/nat/pipeline_fixture.hpp"

namespace noclash::nat::test::locality_test {
namespace {

/// Numbers that are the same in each run.
// NOLINTNEXTLINE(cert-msc32-c,cert-msc51-cpp)
std::mt19937 generator(1);

std::uint32_t any_number() {
    return static_cast<std::uint32_t>(generator());
}

/// Toeplitz with a key of its own, by DPDK.
template <class Family>
struct Toeplitz {
    static constexpr std::size_t words = RssModel<Family>::input_bytes / 4;
    std::array<std::uint32_t, words + 1> key{};

    Toeplitz() {
        for (auto& word : key)
            word = any_number();
    }
    std::uint32_t operator()(const typename RssModel<Family>::Input& input) const {
        std::array<std::uint32_t, words> host{};
        std::memcpy(host.data(), input.data(), input.size());
        for (auto& word : host)
            word = rte_be_to_cpu_32(word);
        return rte_softrss(host.data(), words, reinterpret_cast<const std::uint8_t*>(key.data()));
    }
    std::uint32_t operator()(const Tuple<Family>& tuple) const {
        typename RssModel<Family>::Input input;
        std::memcpy(input.data(), &tuple, input.size());
        return (*this)(input);
    }
};

/// A table that names `workers` in turn, as drivers fill it.
std::vector<std::uint16_t> in_turn(std::uint16_t workers, std::size_t places = 128) {
    std::vector<std::uint16_t> queues(places);
    for (std::size_t i = 0; i < places; ++i)
        queues[i] = static_cast<std::uint16_t>(i % workers);
    return queues;
}

RssModel<V4> steering(std::uint16_t workers, RssModel<V4>::Protocols protocols = {true, true}) {
    return {Toeplitz<V4>(), in_turn(workers), protocols};
}

template <class Family>
void expect_the_hash_s_worker() {
    for (int round = 0; round < 4; ++round) {
        const Toeplitz<Family> hash;
        std::vector<std::uint16_t> queues(std::size_t{1} << (3 * round));
        for (auto& queue : queues)
            queue = static_cast<std::uint16_t>(any_number() % 5);
        const RssModel<Family> steering(hash, queues, {true, true});
        for (int i = 0; i < 1000; ++i) {
            Tuple<Family> tuple{};
            for (std::size_t byte = 0; byte < RssModel<Family>::input_bytes; ++byte)
                reinterpret_cast<std::uint8_t*>(&tuple)[byte] =
                    static_cast<std::uint8_t>(any_number());
            ASSERT_EQ(steering.worker(tuple), queues[hash(tuple) % queues.size()]);
        }
    }
}

TEST(RssModel, NamesTheWorkerThatTheHashDoes) {
    expect_the_hash_s_worker<V4>();
    expect_the_hash_s_worker<V6>();
}

TEST(RssModel, KnowsOnlyWhatItWasTold) {
    EXPECT_FALSE(RssModel<V4>().covers(ip_protocol::tcp));
    EXPECT_EQ(RssModel<V4>().tuples_for_one(0), 0U);
    const RssModel<V4> tcp_only = steering(3, {.tcp = true, .udp = false});
    EXPECT_TRUE(tcp_only.covers(ip_protocol::tcp));
    EXPECT_FALSE(tcp_only.covers(ip_protocol::udp));
    EXPECT_FALSE(steering(3).covers(ip_protocol::icmp));
    EXPECT_FALSE(steering(3).covers(ip_protocol::sctp));
    EXPECT_EQ(tcp_only.tuples_for_one(1), 3U);
    EXPECT_EQ(tcp_only.tuples_for_one(3), 0U);
}

/// A gateway that knows how its outside port spreads.
struct SteeredGateway : TestGateway {
    SteeredGateway(const PolicyConfig<V4>& with, const RssModel<V4>& outside, unsigned workers = 2,
                   std::uint32_t flows = 70000)
        : TestGateway(with, workers, flows), ports{RssModel<V4>(), outside} {
        pipelines.clear();
        for (auto& engine : engines)
            pipelines.push_back(std::make_unique<TestPipeline>(
                *engine, TestPipeline::Shared{crowded, limits, identities.rules().most(),
                                              &timestamps, ports}));
    }

    /// Opens a flow on worker 0; what its first packet becomes.
    Tuple<V4> open(Bytes packet) {
        const Verdict verdict = pass(packet);
        if (verdict.outcome != Outcome::transmit)
            throw std::runtime_error(std::string(to_string(verdict.reason)));
        return read(packet).tuple;
    }
    /// Whether the answer to what left so comes to worker 0.
    [[nodiscard]] bool is_local(const Tuple<V4>& sent) const {
        return ports[1].worker(sent.inverse()) == 0;
    }

    std::vector<RssModel<V4>> ports;
};

/// Flows to servers of their own, so that no draw meets a taken tuple.
Bytes to_server(std::uint32_t number, std::uint8_t protocol) {
    const Ends ends{host("10.1.0.7"), host("192.0.2.0") + number, 40000, 53};
    return protocol == ip_protocol::udp ? udp(ends) : tcp(ends, tcp_flag::syn);
}

/// The share of flows whose answers come to their worker.
double local_share(SteeredGateway& gateway, std::uint8_t protocol, int flows = 4000) {
    int local = 0;
    for (int i = 0; i < flows; ++i)
        local += gateway.is_local(gateway.open(to_server(static_cast<std::uint32_t>(i), protocol)))
                     ? 1
                     : 0;
    return static_cast<double>(local) / flows;
}

TEST(Locality, RepliesComeToTheWorkerThatOwnsTheFlow) {
    for (const std::uint16_t workers : std::initializer_list<std::uint16_t>{2, 3, 8, 64}) {
        SteeredGateway gateway({{}, {masquerade()}}, steering(workers), workers);
        EXPECT_GE(local_share(gateway, ip_protocol::tcp), 0.99) << workers;
        EXPECT_GE(local_share(gateway, ip_protocol::udp), 0.99) << workers;
    }
}

TEST(Locality, IsNotWishedForWhereNothingIsKnown) {
    // Twelve standard deviations are 0.095.
    SteeredGateway gateway({{}, {masquerade()}}, steering(2, {.tcp = true, .udp = false}));
    EXPECT_NEAR(local_share(gateway, ip_protocol::udp), 0.5, 0.095);
    TestGateway off({masquerade()}, 2, 70000);
    int local = 0;
    for (std::uint32_t i = 0; i < 4000; ++i) {
        Bytes packet = to_server(i, ip_protocol::tcp);
        ASSERT_EQ(off.pass(packet).outcome, Outcome::transmit);
        local += gateway.is_local(read(packet).tuple) ? 1 : 0;
    }
    EXPECT_NEAR(local / 4000.0, 0.5, 0.095);
}

/// The value that chi-square of so many degrees of freedom exceeds once in 10^6 (Wilson, Hilferty).
double chi_square_limit(double degrees) {
    const double third = 2 / (9 * degrees);
    return degrees * std::pow(1 - third + 4.753 * std::sqrt(third), 3);
}

// [RFC 6056]
TEST(Locality, LocalPortsAreDrawnUniformly) {
    // Towards one server, whose local tuples can be listed: each (address, port) that is local is
    // as likely as another, whichever its neighbours are.
    for (const std::uint16_t workers : std::initializer_list<std::uint16_t>{2, 5}) {
        const RssModel<V4> outside = steering(workers);
        const std::vector<V4Address> addresses{ip("203.0.113.1"), ip("198.51.100.3"),
                                               ip("203.0.113.77")};
        const PortSet ports = PortSet::like(1, PortRange{5000, 5999});
        Tuple<V4> reply = tuple({host("192.0.2.80"), 0, 80, 0}, ip_protocol::tcp);
        std::map<std::pair<std::uint32_t, std::uint16_t>, double> times;
        const auto times_of = [&](const Tuple<V4>& t) {
            return std::pair{t.destination.value.host(), t.destination_port.host()};
        };
        for (const V4Address& address : addresses)
            for (std::uint32_t i = 0; i < ports.size(); ++i) {
                reply.destination = address;
                reply.destination_port = Be16::from_host(ports[i]);
                if (outside.worker(reply) == 1) times[times_of(reply)] = 0;
            }

        FlowTable<V4> table(1024, 1, 1);
        OccupancyMaps<V4, Production> crowded(table);
        const ReservedPorts<V4> served{{}};
        PortAllocator<V4, Production> proposals(crowded);
        const std::size_t draws = times.size() * 300;
        std::size_t elsewhere = 0;
        for (std::size_t i = 0; i < draws; ++i) {
            Tuple<V4> proposal;
            proposals.propose(reply,
                              {.addresses = addresses,
                               .ports = ports,
                               .reserved = &served,
                               .locality = Locality<V4>(outside, reply, 1)},
                              proposal);
            const auto drawn = times.find(times_of(proposal));
            if (drawn == times.end())
                ++elsewhere;
            else
                drawn->second += 1;
            if (i % 1024 == 0) proposals.top_up();
        }
        EXPECT_LT(elsewhere, draws / 200);  // drawn in vain until it was enough: e^-8 at most
        const double expected =
            static_cast<double>(draws - elsewhere) / static_cast<double>(times.size());
        double chi_square = 0;
        for (const auto& [tuple, count] : times)
            chi_square += (count - expected) * (count - expected) / expected;
        EXPECT_LT(chi_square, chi_square_limit(static_cast<double>(times.size() - 1)))
            << workers << " workers";
    }
}

Bytes open_from(std::uint32_t number) {
    return tcp({host("10.1.0.0") + 256 + number, client.destination, 40000, 80}, tcp_flag::syn);
}

// [RFC 6888 REQ-13]
TEST(Locality, TheLastFreePortIsFoundWhereverItsRepliesGo) {
    constexpr std::uint32_t ports = 2000;
    SteeredGateway gateway({{}, {masquerade({5000, 5000 + ports - 1})}}, steering(2));
    std::set<std::uint16_t> used;
    std::uint32_t local = 0, early_elsewhere = 0;
    for (std::uint32_t i = 0; i < ports; ++i) {
        const Tuple<V4> sent = gateway.open(open_from(i));
        ASSERT_TRUE(used.insert(sent.source_port.host()).second);
        local += gateway.is_local(sent) ? 1 : 0;
        if (i < ports * 9 / 20 && !gateway.is_local(sent)) ++early_elsewhere;
    }
    EXPECT_EQ(used.size(), ports);
    EXPECT_GT(local, ports / 3);
    EXPECT_LT(local, ports * 2 / 3);
    // The map of a crowded destination is searched for local ports as well: nine tenths of them
    // were taken before it gave others away.
    EXPECT_LT(early_elsewhere, ports / 50);
    Bytes one_more = open_from(ports);
    EXPECT_EQ(gateway.pass(one_more).reason, DropReason::exhausted);
}

TEST(Locality, OneThatCannotBeHadCostsNothing) {
    // The device hands worker 0 nothing.
    const RssModel<V4> elsewhere(Toeplitz<V4>(), {1, 1, 1, 1}, {true, true});
    const Tuple<V4> reply = tuple({host("192.0.2.80"), 0, 80, 0}, ip_protocol::tcp);
    EXPECT_EQ(Locality<V4>(elsewhere, reply, 0).draws(), 0U);
    EXPECT_GT(Locality<V4>(elsewhere, reply, 1).draws(), 0U);
    SteeredGateway gateway({{}, {masquerade()}}, elsewhere);
    EXPECT_EQ(local_share(gateway, ip_protocol::tcp), 0);
}

TEST(Locality, IsWeakerThanPreservation) {
    Rule<V4> rule = masquerade();
    rule.likeness.preservation = true;
    SteeredGateway gateway({{}, {rule}}, steering(2));
    for (std::uint32_t i = 0; i < 100; ++i)
        EXPECT_EQ(gateway.open(to_server(i, ip_protocol::tcp)).source_port.host(), 40000);
}

TEST(Locality, IsWeakerThanParity) {
    Rule<V4> rule = masquerade();
    rule.likeness.parity = true;
    SteeredGateway gateway({{}, {rule}}, steering(4));
    for (std::uint32_t i = 0; i < 1000; ++i)
        EXPECT_EQ(gateway.open(to_server(i, ip_protocol::udp)).source_port.host() % 2, 0);
}

TEST(Locality, IsNotOfMappingsWhichServeManyRemotes) {
    Rule<V4> rule = masquerade();
    rule.behavior.mapping = Mapping::endpoint_independent;
    SteeredGateway gateway({{}, {rule}}, steering(2));
    const std::uint16_t port = gateway.open(to_server(0, ip_protocol::udp)).source_port.host();
    for (std::uint32_t i = 1; i < 100; ++i)
        EXPECT_EQ(gateway.open(to_server(i, ip_protocol::udp)).source_port.host(), port);
}

}  // namespace
}  // namespace noclash::nat::test::locality_test
