// SPDX-License-Identifier: Apache-2.0
#include "nat/mapping/mapping.hpp"

#include <gtest/gtest.h>

#include <set>

#include "tests/unit/nat/pipeline_fixture.hpp"

namespace noclash::nat::test::mapping_test {
namespace {

using tcp_flag::syn;

Rule<V4> mapped(Filtering filtering, PortRange ports = {}) {
    Rule<V4> rule = masquerade(ports);
    rule.behavior = {Mapping::endpoint_independent, filtering};
    return rule;
}
constexpr auto eif = Filtering::endpoint_independent;
constexpr auto adf = Filtering::address_dependent;
constexpr auto apdf = Filtering::address_and_port_dependent;

const Ends elsewhere{client.source, host("198.51.100.9"), client.source_port, 5000};

class MappingTest : public testing::Test {
  protected:
    void make(Filtering filtering, PortRange ports = {}, std::uint32_t flows = 4096) {
        gateway = std::make_unique<TestGateway>(std::vector{mapped(filtering, ports)}, 1, flows);
        gateway->timeouts.port_quarantine_s = quarantine_s;
    }
    /// A datagram from inside; its tuple as it is sent outside.
    Tuple<V4> send(const Ends& ends, std::uint8_t protocol = ip_protocol::udp) {
        Bytes packet = protocol == ip_protocol::udp ? udp(ends, {1}) : tcp(ends, syn);
        verdict = gateway->pass(packet, 0);
        return verdict.outcome == Outcome::transmit ? read(packet).tuple : Tuple<V4>{};
    }
    /// A datagram from outside; its tuple as it gets inside.
    Tuple<V4> receive(const Ends& ends, std::uint8_t protocol = ip_protocol::udp) {
        Bytes packet = protocol == ip_protocol::udp ? udp(ends, {1}) : tcp(ends, syn);
        verdict = gateway->pass(packet, 1);
        return verdict.outcome == Outcome::transmit ? read(packet).tuple : Tuple<V4>{};
    }
    std::size_t records() const {
        return gateway->engines[0]->counters().insert.value() -
               gateway->engines[0]->counters().removed.value();
    }
    const MappingCounters& counters() const {
        return gateway->pipelines[0]->slow_path().mappings().counters();
    }

    std::unique_ptr<TestGateway> gateway;
    std::uint32_t quarantine_s = 0;
    Verdict verdict;
};

Ends from(const char* address, std::uint16_t port, const Tuple<V4>& sent) {
    return {host(address), sent.source.value.host(), port, sent.source_port.host()};
}

TEST_F(MappingTest, OneInsideEndpointHasOneOutsideEndpoint) {  // [RFC 4787 REQ-1] [RFC 5382 REQ-1]
    for (const std::uint8_t protocol : {ip_protocol::udp, ip_protocol::tcp}) {
        make(apdf);
        const Tuple<V4> first = send(client, protocol);
        const Tuple<V4> second = send(elsewhere, protocol);
        EXPECT_EQ(first.source, ip("10.2.0.1"));
        EXPECT_EQ(second.source_port, first.source_port);
        EXPECT_EQ(counters().mappings_opened.value(), 1U);
        EXPECT_EQ(receive(answer_to(second), protocol).destination_port.host(), client.source_port);
    }
}

/// [RFC 6888 REQ-8]
TEST_F(MappingTest, TheEndpointOfAMappingThatLetAnybodyInStaysItsOwnersForAWhile) {
    quarantine_s = 120;
    make(eif, {5000, 5000});
    const std::uint32_t flow_ms = 1000 * gateway->timeouts.udp_s;
    const std::uint32_t quarantine_ms = 1000 * quarantine_s;
    const Ends other{host("10.1.0.3"), elsewhere.destination, 4000, 5000};
    const Tuple<V4> sent = send(client);
    ASSERT_EQ(sent.source_port.host(), 5000);
    gateway->pass_time(flow_ms + 20'000);
    EXPECT_EQ(records(), 1U);  // the mapping
    // Nobody gets in, nobody else gets the port, and its owner has it again.
    receive(from("198.51.100.77", 7777, sent));
    EXPECT_EQ(verdict.reason, DropReason::filtered);
    send(other);
    EXPECT_EQ(verdict.reason, DropReason::exhausted);
    EXPECT_EQ(send(elsewhere).source_port.host(), 5000);
    EXPECT_EQ(receive(from("198.51.100.77", 7777, sent)).destination_port.host(),
              client.source_port);
    gateway->pass_time(flow_ms + quarantine_ms + 40'000);
    EXPECT_EQ(records(), 0U);
    EXPECT_EQ(send(other).source_port.host(), 5000);
    EXPECT_EQ(counters().mappings_ended.value(), 1U);
}

/// [RFC 6888 REQ-8]
TEST_F(MappingTest, OtherEndpointsAreFreeAtOnce) {
    for (const auto& [filtering, protocol] :
         {std::pair{apdf, ip_protocol::udp}, std::pair{adf, ip_protocol::udp},
          std::pair{eif, ip_protocol::tcp}}) {
        quarantine_s = 120;
        make(filtering, {5000, 5000});
        ASSERT_EQ(send(client, protocol).source_port.host(), 5000);
        gateway->pass_time(320'000);
        EXPECT_EQ(records(), 0U);
    }
}

TEST_F(MappingTest, QueriesHaveMappingsToo) {  // [RFC 5508 REQ-1]
    make(eif);
    std::set<std::uint16_t> identifiers;
    for (const char* address : {"192.0.2.80", "198.51.100.9"}) {
        Bytes ping = icmp({client.source, host(address)}, 8, 0, 0x12340001, {9});
        ASSERT_EQ(gateway->pass(ping).outcome, Outcome::transmit);
        identifiers.insert(read(ping).tuple.source_port.host());
    }
    EXPECT_EQ(identifiers.size(), 1U);
    // A request from outside is answered, or not, by whom it asks; a reply opens nothing.
    Bytes stray = icmp({host("192.0.2.99"), host("10.2.0.1")}, 0, 0,
                       std::uint32_t{*identifiers.begin()} << 16U | 1, {9});
    EXPECT_EQ(gateway->pass(stray, 1).reason, DropReason::unsolicited);
}

TEST_F(MappingTest, NoTwoInsideEndpointsShareOne) {  // [RFC 4787 REQ-3] [RFC 5382 REQ-7]
    make(apdf, {2000, 2002});
    std::set<std::uint16_t> ports;
    for (std::uint16_t port = 1; port <= 3; ++port)
        ports.insert(send({client.source, client.destination, port, 80}).source_port.host());
    EXPECT_EQ(ports.size(), 3U);
    // Not even towards somebody else.
    send({client.source, elsewhere.destination, 4, 5000});
    EXPECT_EQ(verdict.outcome, Outcome::reject);
    EXPECT_EQ(verdict.reason, DropReason::exhausted);
    // And the others go where they like.
    send({client.source, elsewhere.destination, 1, 5000});
    EXPECT_EQ(verdict.outcome, Outcome::transmit);
}

TEST_F(MappingTest, EndpointIndependentFilteringAdmitsAnybody) {  // [RFC 4787 REQ-8]
    for (const std::uint8_t protocol : {ip_protocol::udp, ip_protocol::tcp}) {
        make(eif);
        const Tuple<V4> sent = send(client, protocol);
        const Tuple<V4> got = receive(from("198.51.100.9", 5000, sent), protocol);
        EXPECT_EQ(got.destination, ip("10.1.0.7"));
        EXPECT_EQ(got.destination_port.host(), client.source_port);
        EXPECT_EQ(got.source, ip("198.51.100.9"));
        EXPECT_EQ(got.source_port.host(), 5000);
        // The answer goes back as the stranger expects it.
        EXPECT_EQ(send(answer_to(got), protocol).source_port, sent.source_port);
        // Another port of the same address is somebody else's affair.
        receive({host("198.51.100.9"), host("10.2.0.1"), 5000,
                 static_cast<std::uint16_t>(sent.source_port.host() ^ 1U)},
                protocol);
        EXPECT_EQ(verdict.reason, DropReason::unsolicited);
    }
}

TEST_F(MappingTest, AddressDependentFilteringAsksForTheAddress) {  // [RFC 4787 REQ-8]
    make(adf);
    const Tuple<V4> sent = send(client);
    EXPECT_EQ(receive(from("192.0.2.80", 999, sent)).destination, ip("10.1.0.7"));
    receive(from("198.51.100.9", 80, sent));
    EXPECT_EQ(verdict.reason, DropReason::filtered);
    send(elsewhere);
    receive(from("198.51.100.9", 80, sent));
    EXPECT_EQ(verdict.outcome, Outcome::transmit);
    EXPECT_EQ(counters().permissions_opened.value(), 2U);
}

TEST_F(MappingTest, AddressAndPortDependentFilteringAdmitsPeersOnly) {  // [RFC 4787 REQ-8]
    make(apdf);
    const Tuple<V4> sent = send(client);
    receive(from("192.0.2.80", 999, sent));
    EXPECT_EQ(verdict.reason, DropReason::filtered);
    EXPECT_EQ(receive(answer_to(sent)).destination, ip("10.1.0.7"));
}

TEST_F(MappingTest, EndsWithItsLastFlow) {
    for (const Filtering filtering : {eif, adf, apdf}) {
        make(filtering);
        const Tuple<V4> sent = send(client);
        send(elsewhere);
        if (filtering == eif) receive(from("203.0.113.1", 1, sent));
        gateway->pass_time(200'000);
        EXPECT_EQ(send(client).source_port, sent.source_port);
        gateway->pass_time(200'000);  // the other flows are gone by now
        EXPECT_EQ(counters().mappings_ended.value(), 0U);
        EXPECT_EQ(send(elsewhere).source_port, sent.source_port);
        gateway->pass_time(400'000);
        EXPECT_EQ(counters().mappings_ended.value(), 1U);
        EXPECT_EQ(counters().permissions_ended.value(), counters().permissions_opened.value());
        EXPECT_EQ(records(), 0U);
        EXPECT_EQ(gateway->table.index().occupancy().entries, 0U);
    }
}

TEST_F(MappingTest, StrangersCanBeKeptFromRefreshing) {  // [RFC 7857 section 6] [RFC 4787 REQ-6]
    make(eif);
    gateway->timeouts.inbound_refresh = false;
    const Tuple<V4> sent = send(client);
    for (int minute = 0; minute < 4; ++minute) {  // by flows that are there, and by new ones
        gateway->pass_time(60'000);
        receive(answer_to(sent));
        EXPECT_EQ(verdict.outcome, Outcome::transmit);
        receive(from("198.51.100.9", static_cast<std::uint16_t>(5000 + minute), sent));
        EXPECT_EQ(verdict.outcome, Outcome::transmit);
    }
    gateway->pass_time(60'500);
    receive(from("198.51.100.9", 6000, sent));
    EXPECT_NE(verdict.outcome, Outcome::transmit);
    gateway->pass_time(10'500);
    EXPECT_EQ(records(), 0U);

    // A packet that leaves does refresh, by whichever flow.
    const Tuple<V4> again = send(client);
    const Tuple<V4> got = receive(from("198.51.100.9", 5000, again));
    for (int i = 0; i < 5; ++i) {
        gateway->pass_time(200'000);
        EXPECT_EQ(send(answer_to(got)).source_port, again.source_port);
        receive(from("203.0.113.1", static_cast<std::uint16_t>(5000 + i), again));
        EXPECT_EQ(verdict.outcome, Outcome::transmit);
    }
}

/// A flow, mapping or permission that finds no record leaves nothing behind.
TEST_F(MappingTest, AllOrNothing) {
    make(adf, {}, 1024);
    for (std::uint16_t port = 1; verdict.reason != DropReason::table_full; ++port) {
        send({client.source, client.destination, port, 80});
        ASSERT_LT(port, 4096);
    }
    gateway->pass_time(400'000);
    EXPECT_EQ(records(), 0U);
    EXPECT_EQ(gateway->table.index().occupancy().entries, 0U);
    EXPECT_EQ(counters().mappings_ended.value(), counters().mappings_opened.value());
    send(client);
    EXPECT_EQ(verdict.outcome, Outcome::transmit);
}

TEST_F(MappingTest, APortComesBackWhenItsMappingEnds) {
    make(eif, {2000, 2000});
    send(client);
    gateway->pass_time(10'000);
    send({client.source, client.destination, 1, 80});
    EXPECT_EQ(verdict.reason, DropReason::exhausted);
    gateway->pass_time(400'000);
    EXPECT_EQ(send({client.source, client.destination, 1, 80}).source_port.host(), 2000);
}

TEST_F(MappingTest, UnsolicitedPacketsMakeNothing) {
    make(apdf);
    const Tuple<V4> sent = send(client);
    const std::uint64_t claims = gateway->engines[0]->counters().rolled_back.value();
    for (std::uint16_t port = 1; port < 100; ++port)
        receive(from("198.51.100.9", port, sent));
    EXPECT_EQ(records(), 2U);  // the flow and its mapping
    EXPECT_EQ(gateway->engines[0]->counters().rolled_back.value(), claims);
}

TEST_F(MappingTest, AFlowThatIsBeingSetUpParksWhoWantsItsMapping) {
    gateway = std::make_unique<TestGateway>(std::vector{mapped(apdf)}, 2);
    gateway->engines[1]->online();
    const Tuple<V4> mapping =
        mapping_of_source(test::tuple(client, ip_protocol::udp), ip("10.2.0.1"), 1024);
    {
        Reservation<V4> other(*gateway->engines[1], mapping);
        ASSERT_EQ(other.error(), SetupError::none);
        send(client);
        EXPECT_EQ(verdict.outcome, Outcome::park);
    }
    send(client);  // the other one gave up
    EXPECT_EQ(verdict.outcome, Outcome::transmit);
    EXPECT_EQ(records(), 2U);
}

TEST(MappingReferences, NoneIsFinal) {
    Flow<V4, Production> record;
    references(record).store(1);
    EXPECT_TRUE(join(record));
    EXPECT_FALSE(leave(record));
    EXPECT_TRUE(leave(record));
    EXPECT_FALSE(join(record));
    EXPECT_EQ(references(record).load(), 0U);
}

}  // namespace
}  // namespace noclash::nat::test::mapping_test
