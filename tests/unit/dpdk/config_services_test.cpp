// SPDX-License-Identifier: Apache-2.0

// Services: how they are read, what is wrong with them, and how they change.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dpdk/config/config_changes.hpp"
#include "dpdk/config/service_conflicts.hpp"
#include "dpdk/config/services.hpp"
#include "tests/unit/dpdk/config_text.hpp"
#include "tests/unit/dpdk/faults_of.hpp"

namespace noclash::dpdk::config_services_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;
using Service = nat::Service<V4>;
using Backend = nat::Backend<V4>;

/// Lines 1 to 21; what follows begins with line 22.
constexpr std::string_view head = R"(
[[port]]
name = "in"
device = "tap:in0"
address = "10.1.0.1/24"
[[port]]
name = "out"
device = "tap:out0"
address = "192.0.2.2/24"
[[route]]
to = "0.0.0.0/0"
via = "192.0.2.1"
[[pool]]
name = "p"
addresses = "192.0.2.50"
[[rule]]
name = "r"
action = "snat"
pool = "p"
in = "in"

)";

/// A sound service; 6 lines.
constexpr std::string_view web = R"([[service]]
name = "web"
address = "192.0.2.7"
ports = 80
protocol = "tcp"
backends = ["10.1.0.2:8080"]
)";

std::string with(std::string_view more) {
    return std::string(head) + std::string(more);
}
Config read(std::string_view more) {
    return parse_config(with(more), "f");
}
std::vector<std::string> faults(std::string_view more) {
    return faults_of(with(more));
}
std::vector<std::string> warnings(std::string_view more) {
    return texts_of(read(more).warnings, Severity::warning);
}

/// A service with these keys in place of those of `web`.
std::string service(std::string_view name, std::string_view address, std::string_view ports,
                    std::string_view more = "backends = '10.1.0.2'") {
    return fmt::format(
        "[[service]]\nname = '{}'\naddress = '{}'\nports = {}\nprotocol = 'tcp'\n{}\n", name,
        address, ports, more);
}

TEST(Services, AreReadWithAllTheirKeys) {
    const Config config = read(R"(
[[service]]
name = "web"
address = "192.0.2.7"
ports = [443, "8000-8010", "80"]
protocol = "tcp"
in = "out"
source = "pool:p"
affinity = "client"
no_backend = "drop"
on_gone = "keep"
drain_s = 86400
syn_proxy = "auto"
syn_proxy_above = 1
syn_offer = { mss = 1200, window_scale = 14, sack = false, timestamps = true }
inhibit = { failures = 5, first_s = 20, most_s = 40 }
backends = ["10.1.0.2:8080", { address = "10.1.0.3", weight = 256 },
            { address = "10.1.0.4:80", weight = 0 }, { address = "10.1.0.5:80" }]
)");
    Service expected;
    expected.name = "web";
    expected.address = v4("192.0.2.7");
    expected.ports = {{443, 443}, {8000, 8010}, {80, 80}};
    expected.protocol = 6;
    expected.ingress_port = 1;
    expected.source_nat = nat::SourceNat::pool;
    expected.pool = 0;
    expected.affinity = nat::Affinity::client;
    expected.no_backend = nat::NoBackend::drop;
    expected.on_gone = nat::OnGone::keep;
    expected.drain_s = 86400;
    expected.syn_proxy = nat::SynProxyMode::automatic;
    expected.syn_proxy_above = 1;
    expected.syn_offer = nat::SynOffer{1200, 14, false, true};
    expected.inhibit = {5, 20, 40};
    expected.backends = {{v4("10.1.0.2"), 8080, 1},
                         {v4("10.1.0.3"), 0, 256},
                         {v4("10.1.0.4"), 80, 0},
                         {v4("10.1.0.5"), 80, 1}};
    ASSERT_THAT(config.policy.services, SizeIs(1));
    EXPECT_EQ(config.policy.services[0], expected);
    EXPECT_THAT(config.warnings, IsEmpty());
}

TEST(Services, HaveDefaults) {
    const Config config = read(web);
    Service expected;
    expected.name = "web";
    expected.address = v4("192.0.2.7");
    expected.ports = {{80, 80}};
    expected.protocol = 6;
    expected.backends = {{v4("10.1.0.2"), 8080, 1}};
    ASSERT_THAT(config.policy.services, SizeIs(1));
    EXPECT_EQ(config.policy.services[0], expected);
    EXPECT_THAT(config.warnings, IsEmpty());
    EXPECT_EQ(expected.source_nat, nat::SourceNat::keep);
    EXPECT_EQ(expected.affinity, nat::Affinity::none);
    EXPECT_EQ(expected.no_backend, nat::NoBackend::reject);
    EXPECT_EQ(expected.on_gone, nat::OnGone::reset);
    EXPECT_EQ(expected.drain_s, 0U);
    EXPECT_EQ(expected.syn_proxy, nat::SynProxyMode::off);
    EXPECT_EQ(expected.syn_proxy_above, 4096U);
    EXPECT_EQ(expected.syn_offer, std::nullopt);
    EXPECT_EQ(expected.inhibit.failures, 0U);
}

TEST(Services, AreReadInEveryForm) {
    const auto only = [](std::string_view more) { return read(more).policy.services.at(0); };
    const auto inhibit = [&](std::string_view form) {
        return only(service("s", "192.0.2.7", "80", fmt::format("inhibit = {}", form))).inhibit;
    };
    EXPECT_EQ(inhibit("true"), (nat::Inhibit{3, 10, 300}));
    EXPECT_EQ(inhibit("false"), (nat::Inhibit{0, 10, 300}));
    EXPECT_EQ(inhibit("{}"), (nat::Inhibit{3, 10, 300}));
    EXPECT_EQ(inhibit("{ first_s = 400 }"), (nat::Inhibit{3, 400, 400}));
    EXPECT_EQ(only(service("s", "192.0.2.7", "'80'", "source = 'masquerade'")).source_nat,
              nat::SourceNat::masquerade);
    EXPECT_EQ(only(service("s", "192.0.2.7", "80", "source = 'keep'")).source_nat,
              nat::SourceNat::keep);
    EXPECT_THAT(only(service("s", "192.0.2.7", "80", "backends = '10.1.0.2:81'")).backends,
                ElementsAre(Backend{v4("10.1.0.2"), 81, 1}));
    EXPECT_THAT(only(service("s", "192.0.2.7", "80",
                             "[[service.backends]]\naddress = '10.1.0.2'\nweight = 3"))
                    .backends,
                ElementsAre(Backend{v4("10.1.0.2"), 0, 3}));
    EXPECT_EQ(only(service("s", "192.0.2.7", "80", "backends = []")).backends.size(), 0U);
    for (const auto& [name, number] : {std::pair("tcp", 6), {"udp", 17}, {"sctp", 132}}) {
        std::string text(web);
        text.replace(text.find("tcp"), 3, name);
        EXPECT_EQ(read(text).policy.services.at(0).protocol, number);
    }
}

struct Fault {
    const char* name;
    std::string more;    ///< from line 22 on
    const char* expect;  ///< how the only fault begins
};
void PrintTo(const Fault& fault, std::ostream* out) {
    *out << fault.more;
}

class ServiceFaults : public testing::TestWithParam<Fault> {};

TEST_P(ServiceFaults, NamePlaceValueAndRemedy) {
    EXPECT_THAT(faults(GetParam().more), ElementsAre(StartsWith(GetParam().expect)));
}

/// A service at 192.0.2.7:80 with these lines more.
std::string plus(std::string_view more) {
    return service("s", "192.0.2.7", "80", more);
}
std::string with_rule(std::string_view rule, std::string_view more) {
    return fmt::format("[[rule]]\nname = 'b'\n{}\n{}", rule, more);
}

const Fault of_keys[] = {
    {"UnknownKey", plus("colour = 1"), "f:27:1: [service \"s\"] colour: unknown key"},
    {"MeantKey", plus("backend = '10.1.0.2'"),
     "f:27:1: [service \"s\"] backend: unknown key; did you mean `backends`?"},
    {"NoName", "[[service]]\naddress = '192.0.2.7'\nports = 80\nprotocol = 'tcp'",
     "f:22:1: [service #1] name: is missing; expected 1 to 160 letters"},
    {"UnfitName", service("a b", "192.0.2.7", "80"),
     "f:23:8: [service \"a b\"] name: \"a b\" is no name"},
    {"NoAddress", "[[service]]\nname = 's'\nports = 80\nprotocol = 'tcp'",
     "f:22:1: [service \"s\"] address: is missing; expected the address that clients use"},
    {"AddressOfNoHost", service("s", "224.0.0.1", "80"),
     "f:24:11: [service \"s\"] address: \"224.0.0.1\" is no address of a host; expected the "
     "address "
     "that clients use, as \"192.0.2.7\""},
    {"AddressWithPort", service("s", "192.0.2.7:80", "80"),
     "f:24:11: [service \"s\"] address: \"192.0.2.7:80\" is no address of a host"},
    {"AddressOfTheSubnet", service("s", "192.0.2.255", "80"),
     "f:24:11: [service \"s\"] address: 192.0.2.255 is the broadcast address of the subnet of port "
     "\"out\"; expected an address of the gateway, or one that nobody has"},
    {"AddressOfTheRouter", service("s", "192.0.2.1", "80"),
     "f:24:11: [service \"s\"] address: 192.0.2.1 is the router of the route to 0.0.0.0/0"},
    {"AddressOfANeighbor",
     service("s", "192.0.2.7", "80") +
         "[[neighbor]]\naddress = '192.0.2.7'\nmac = '02:00:00:00:00:01'",
     "f:29:11: [neighbor #1] address: 192.0.2.7 is the address of service \"s\""},
    {"NoPorts", "[[service]]\nname = 's'\naddress = '192.0.2.7'\nprotocol = 'tcp'",
     "f:22:1: [service \"s\"] ports: is missing; expected a port, as 80, a range"},
    {"EmptyPorts", service("s", "192.0.2.7", "[]"),
     "f:25:9: [service \"s\"] ports: is an empty array"},
    {"PortZero", service("s", "192.0.2.7", "[80, 0]"),
     "f:25:14: [service \"s\"] ports: 0 is out of range; expected a port from 1 to 65535"},
    {"PortTooHigh", service("s", "192.0.2.7", "65536"),
     "f:25:9: [service \"s\"] ports: 65536 is out of range"},
    {"FallingPorts", service("s", "192.0.2.7", "'90-80'"),
     "f:25:9: [service \"s\"] ports: \"90-80\" is no range of ports from 1 to 65535"},
    {"PortsOfAnotherType", service("s", "192.0.2.7", "[true]"),
     "f:25:10: [service \"s\"] ports: is a boolean; expected a port"},
    {"PortsTwice", service("s", "192.0.2.7", "['80-90', 85]"),
     "f:25:19: [service \"s\"] ports: 80-90 and 85 overlap; expected each port once"},
    {"NoProtocol", "[[service]]\nname = 's'\naddress = '192.0.2.7'\nports = 80",
     "f:22:1: [service \"s\"] protocol: is missing; expected \"tcp\", \"udp\" or \"sctp\""},
    {"ProtocolWithoutPorts",
     "[[service]]\nname = 's'\naddress = '192.0.2.7'\nports = 80\nprotocol = 'icmp'",
     "f:26:12: [service \"s\"] protocol: \"icmp\" has no ports; expected \"tcp\""},
    {"ProtocolOfNoService",
     "[[service]]\nname = 's'\naddress = '192.0.2.7'\nports = 80\nprotocol = 'udplite'",
     "f:26:12: [service \"s\"] protocol: \"udplite\" is no protocol of services"},
    {"UnknownPort", plus("in = 'lan'"),
     "f:27:6: [service \"s\"] in: no port is called \"lan\"; expected a port: \"in\", \"out\""},
    {"UnknownSource", plus("source = 'snat'"),
     "f:27:10: [service \"s\"] source: \"snat\" is not known; expected \"keep\", \"masquerade\" or "
     "\"pool:NAME\""},
    {"UnknownPool", plus("source = 'pool:q'"),
     "f:27:10: [service \"s\"] source: no pool is called \"q\"; expected a pool: \"p\""},
    {"UnknownAffinity", plus("affinity = 'source'"),
     "f:27:12: [service \"s\"] affinity: \"source\" is not known; expected \"none\" or \"client\""},
    {"UnknownNoBackend", plus("no_backend = 'reset'"),
     "f:27:14: [service \"s\"] no_backend: \"reset\" is not known; expected \"reject\" or "
     "\"drop\""},
    {"UnknownOnGone", plus("on_gone = 'end'"),
     "f:27:11: [service \"s\"] on_gone: \"end\" is not known; expected \"reset\" or \"keep\""},
    {"UnknownSynProxy", plus("syn_proxy = 'yes'"),
     "f:27:13: [service \"s\"] syn_proxy: \"yes\" is not known; expected \"off\" or \"auto\" or "
     "\"on\""},
    {"SynProxyAboveNothing", plus("syn_proxy_above = 0"),
     "f:27:19: [service \"s\"] syn_proxy_above: 0 is out of range; expected an integer from 1 to "
     "10000000"},
    {"NoOffer", plus("syn_offer = 1460"),
     "f:27:13: [service \"s\"] syn_offer: is an integer; expected a table, as { mss = 1460, "
     "window_scale = 7 }"},
    {"OfferTooSmall", plus("syn_offer = { mss = 535 }"),
     "f:27:21: [service \"s\"] syn_offer mss: 535 is out of range; expected an integer from 536 to "
     "9216"},
    {"OfferOfUnknown", plus("syn_offer = { ecn = true }"),
     "f:27:15: [service \"s\"] syn_offer ecn: unknown key; expected one of mss, window_scale, "
     "sack, timestamps"},
    {"InhibitOfAnotherType", plus("inhibit = 3"),
     "f:27:11: [service \"s\"] inhibit: is an integer; expected true, false or a table, as { "
     "failures = 3, first_s = 10, most_s = 300 }"},
    {"InhibitManyTimes", plus("inhibit = [true, true]"),
     "f:27:11: [service \"s\"] inhibit: is an array; expected true, false or a table, as { "
     "failures = 3, first_s = 10, most_s = 300 }"},
    {"InhibitAfterNothing", plus("inhibit = { failures = 0 }"),
     "f:27:24: [service \"s\"] inhibit failures: 0 is out of range; expected an integer from 1 to "
     "1000"},
    {"InhibitShorterAtMost", plus("inhibit = { first_s = 20, most_s = 10 }"),
     "f:27:36: [service \"s\"] inhibit most_s: 10 is less than `first_s`, 20; expected as many "
     "seconds at least"},
    {"DrainTooLong", plus("drain_s = 86401"),
     "f:27:11: [service \"s\"] drain_s: 86401 is out of range; expected an integer from 0 to "
     "86400"},
};

const Fault of_backends[] = {
    {"NoHost", plus("backends = ['10.1.0.2', '0.0.0.0:80']"),
     "f:27:25: [service \"s\"] backends: \"0.0.0.0:80\" is no address of a host; expected the "
     "address of a host, with a port or without, as \"10.2.0.2:80\""},
    {"PortZeroOfABackend", plus("backends = '10.1.0.2:0'"),
     "f:27:12: [service \"s\"] backends: \"10.1.0.2:0\" is no address of a host"},
    {"BackendOfAnotherType", plus("backends = [80]"),
     "f:27:13: [service \"s\"] backends: is an integer; expected an array of backends"},
    {"NoArray", plus("backends = 80"), "f:27:12: [service \"s\"] backends: is an integer"},
    {"WithoutAddress", plus("backends = [{ weight = 5 }]"),
     "f:27:13: [service \"s\"] backends address: is missing; expected the address of a host"},
    {"NoHostInTable", plus("backends = [{ address = 'web.example' }]"),
     "f:27:25: [service \"s\"] backends address: \"web.example\" is no address of a host"},
    {"WeightTooHigh", plus("backends = [{ address = '10.1.0.2', weight = 257 }]"),
     "f:27:46: [service \"s\"] backends weight: 257 is out of range; expected an integer from 0 to "
     "256"},
    {"UnknownKeyInTable", plus("backends = [{ address = '10.1.0.2', port = 80 }]"),
     "f:27:37: [service \"s\"] backends port: unknown key; expected one of address, weight"},
    {"Twice", plus("backends = ['10.1.0.2:80', { address = '10.1.0.2:80', weight = 2 }]"),
     "f:27:28: [service \"s\"] backends: 10.1.0.2:80 is named twice; expected each backend once"},
    {"IsThePort", plus("backends = ['10.1.0.2', '10.1.0.1']"),
     "f:27:25: [service \"s\"] backends: 10.1.0.1 is the gateway's own address on port \"in\", and "
     "nothing listens there; expected the address of a host"},
    {"IsOfAPool", plus("backends = '192.0.2.50'"),
     "f:27:12: [service \"s\"] backends: 192.0.2.50 is an address of pool \"p\""},
    {"IsTheBroadcastAddress", plus("backends = '10.1.0.255'"),
     "f:27:12: [service \"s\"] backends: 10.1.0.255 is the broadcast address of the subnet of port "
     "\"in\""},
    {"IsTheService", plus("backends = '192.0.2.7:80'"),
     "f:27:12: [service \"s\"] backends: 192.0.2.7 is the `address` of the service itself"},
    {"IsAnEarlierService",
     std::string(web) + service("s", "192.0.2.8", "80", "backends = '192.0.2.7:80'"),
     "f:33:12: [service \"s\"] backends: 192.0.2.7 is the address of another service, and nothing "
     "listens there"},
    {"IsALaterService", std::string(web) + service("s", "10.1.0.2", "80", "backends = '10.1.0.3'"),
     "f:30:11: [service \"s\"] address: 10.1.0.2 is a backend of another service"},
};

const Fault of_others[] = {
    {"NameOfAService", std::string(web) + service("web", "192.0.2.8", "80"),
     "f:29:8: [service \"web\"] name: another service is called \"web\"; expected a name of its "
     "own "
     "among services and rules"},
    {"NameOfARule", service("r", "192.0.2.8", "80"),
     "f:23:8: [service \"r\"] name: a rule is called \"r\"; expected a name of its own"},
    {"SamePort", std::string(web) + service("s", "192.0.2.7", "[443, '70-90']"),
     "f:31:9: [service \"s\"] ports: service \"web\" has ports of 70-90 of 192.0.2.7, too; "
     "expected "
     "other ports, another `address`, or another `in` in both"},
    {"SamePortOfAnyPort",
     service("a", "192.0.2.7", "80", "in = 'out'") + service("b", "192.0.2.7", "80", ""),
     "f:31:9: [service \"b\"] ports: service \"a\" has ports of 80 of 192.0.2.7, too"},
    {"SamePortOfOnePort",
     service("a", "192.0.2.7", "80", "") + service("b", "192.0.2.7", "80", "in = 'out'"),
     "f:31:9: [service \"b\"] ports: service \"a\" has ports of 80 of 192.0.2.7, too"},
    {"SamePortOfTheSamePort",
     service("a", "192.0.2.7", "80", "in = 'out'") + service("b", "192.0.2.7", "80", "in = 'out'"),
     "f:31:9: [service \"b\"] ports: service \"a\" has ports of 80 of 192.0.2.7, too"},
    {"StaticMapping",
     with_rule("action = 'static'\nprotocol = 'tcp'\ninside = '10.1.0.9:8080'\noutside = "
               "'192.0.2.7:80'",
               service("s", "192.0.2.7", "'79-81'")),
     "f:31:9: [service \"s\"] ports: rule \"b\" binds port 80 of 192.0.2.7; expected ports that no "
     "rule binds"},
    {"StaticMappingOfAll",
     with_rule("action = 'static'\ninside = '10.1.0.9'\noutside = '192.0.2.7'",
               service("s", "192.0.2.7", "80")),
     "f:29:11: [service \"s\"] address: rule \"b\" binds all of 192.0.2.7; expected an address "
     "that "
     "no rule binds"},
    {"InsideIsAService",
     with_rule("action = 'static'\ninside = '10.1.0.9'\noutside = '192.0.2.8'",
               service("s", "10.1.0.9", "80", "")),
     "f:25:10: [rule \"b\"] inside: 10.1.0.9 is the address of service \"s\""},
    {"TargetIsAService",
     with_rule("action = 'dnat'\nin = 'out'\ntarget = '10.1.0.9'",
               service("s", "10.1.0.9", "80", "")),
     "f:26:10: [rule \"b\"] target: 10.1.0.9 is the address of service \"s\", and nothing listens"},
    {"PoolOfMappings",
     "[[pool]]\nname = 'q'\naddresses = '192.0.2.51'\nmapping = 'endpoint-independent'\n" +
         with_rule("action = 'snat'\nin = 'in'\npool = 'q'",
                   service("s", "192.0.2.7", "80", "source = 'pool:q'")),
     "f:36:10: [service \"s\"] source: pool \"q\" has endpoint-independent mappings; expected a "
     "pool with `mapping = \"endpoint-dependent\"`"},
    {"SourceOfMappings",
     with_rule("action = 'masquerade'\nin = 'in'\nmapping = 'endpoint-independent'",
               service("s", "192.0.2.7", "80", "source = 'masquerade'")),
     "f:32:10: [service \"s\"] source: gives out the same ports as rule \"b\", whose mappings are "
     "endpoint-independent and cannot share them; expected `source = \"pool:NAME\"`"},
};

std::string fault_name(const testing::TestParamInfo<Fault>& info) {
    return info.param.name;
}
INSTANTIATE_TEST_SUITE_P(OfKeys, ServiceFaults, testing::ValuesIn(of_keys), fault_name);
INSTANTIATE_TEST_SUITE_P(OfBackends, ServiceFaults, testing::ValuesIn(of_backends), fault_name);
INSTANTIATE_TEST_SUITE_P(OfOthers, ServiceFaults, testing::ValuesIn(of_others), fault_name);

TEST(Services, MayShareWhatLeavesNoDoubt) {
    const std::string mapper =
        with_rule("action = 'masquerade'\nin = 'in'\nmapping = 'endpoint-independent'", "");
    for (const std::string& more : {
             // ports, protocols, sides
             std::string(web) + service("s", "192.0.2.7", "[79, '81-90']"),
             std::string(web) +
                 "[[service]]\nname = 's'\naddress = '192.0.2.7'\nports = 80\nprotocol = 'udp'",
             service("a", "192.0.2.7", "80", "in = 'out'") +
                 service("b", "192.0.2.7", "80", "in = 'in'"),
             // a port's address, a pool's, one in no subnet
             service("s", "192.0.2.2", "80"),
             service("s", "192.0.2.50", "80"),
             service("s", "198.51.100.9", "80"),
             // other ends of a static mapping's outside address
             with_rule("action = 'static'\nprotocol = 'tcp'\ninside = '10.1.0.9:80'\noutside = "
                       "'192.0.2.7:81'",
                       service("s", "192.0.2.7", "80")),
             with_rule("action = 'static'\nprotocol = 'udp'\ninside = '10.1.0.9:80'\noutside = "
                       "'192.0.2.7:80'",
                       service("s", "192.0.2.7", "80")),
             // sources, beside endpoint-independent mappings
             mapper + service("s", "192.0.2.7", "80", "source = 'pool:p'"),
             mapper + "ports = '1-1023'\n" +
                 service("s", "192.0.2.7", "80", "source = 'masquerade'"),
             // one host with several ports, and behind several services
             service("a", "192.0.2.7", "80",
                     "backends = ['10.1.0.2:80', '10.1.0.2:81', '10.1.0.2']") +
                 service("b", "192.0.2.7", "81", "backends = ['10.1.0.2:80']"),
         })
        EXPECT_THAT(faults(more), IsEmpty()) << more;
}

TEST(Services, AreBounded) {
    std::string ports = "[";
    for (std::size_t port = 1; port <= most_service_ports; ++port)
        ports += fmt::format("{}, ", port);
    EXPECT_THAT(faults(service("s", "192.0.2.7", ports + "]")), IsEmpty());
    EXPECT_THAT(faults(service("s", "192.0.2.7", ports + "100]")),
                ElementsAre(StartsWith("f:25:9: [service \"s\"] ports: 65 ports and ranges are too "
                                       "many; expected at most 64")));

    const auto backends = [](std::size_t count) {
        std::string text = "backends = [";
        for (std::size_t i = 0; i < count; ++i)
            text += fmt::format("'10.1.0.2:{}', ", i + 1);
        return text + "]";
    };
    EXPECT_THAT(faults(plus(backends(most_backends))), IsEmpty());
    EXPECT_THAT(faults(plus(backends(most_backends + 1))),
                ElementsAre(StartsWith("f:27:12: [service \"s\"] backends: 1025 backends are too "
                                       "many; expected at most 1024")));

    std::string many;
    for (std::size_t i = 0; i < most_backends_in_all / most_backends; ++i)
        many += service(fmt::format("s{}", i), "192.0.2.7", fmt::format("{}", i + 1),
                        backends(most_backends));
    EXPECT_THAT(faults(many), IsEmpty());
    EXPECT_THAT(faults(many + service("one-more", "192.0.2.7", "999")),
                ElementsAre(HasSubstr("[service \"one-more\"] backends: up to this service, there "
                                      "are too many backends; expected at most 262144 in all")));

    std::string services;
    for (std::size_t i = 0; i < most_services; ++i)
        services += service(fmt::format("s{}", i), "192.0.2.7", fmt::format("{}", i + 1), "");
    EXPECT_THAT(faults(services), IsEmpty());
    EXPECT_THAT(faults(services + std::string(web)),
                ElementsAre(HasSubstr("service: 16385 services are too many; expected at most "
                                      "16384")));
}

TEST(Services, ThatServeNobodyAreWarnedOf) {
    EXPECT_THAT(
        warnings(plus("backends = []")),
        ElementsAre(StartsWith("f:27:12: warning: [service \"s\"] backends: the service has "
                               "none: its clients are refused; name one")));
    EXPECT_THAT(warnings(plus("no_backend = 'drop'")),
                ElementsAre(StartsWith("f:22:1: warning: [service \"s\"] backends: the service has "
                                       "none: its clients get no answer")));
    EXPECT_THAT(warnings(plus("backends = [{ address = '10.1.0.2', weight = 0 }]")),
                ElementsAre(StartsWith(
                    "f:27:12: warning: [service \"s\"] backends: all of them have weight "
                    "0: its clients are refused; give one of them")));
    EXPECT_THAT(warnings(plus("backends = ['10.1.0.3', { address = '10.1.0.2', weight = 0 }]")),
                IsEmpty());
}

TEST(Services, OfOtherProtocolsHaveNoConnectionsToEnd) {
    const std::string udp =
        "[[service]]\nname = 's'\naddress = '192.0.2.7'\nports = 53\nprotocol = 'udp'\n"
        "backends = '10.1.0.2'\n";
    EXPECT_THAT(
        warnings(udp + "on_gone = 'keep'\ndrain_s = 60\n"),
        ElementsAre(StartsWith("f:28:11: warning: [service \"s\"] on_gone: has no effect: it "
                               "is about TCP connections, and `protocol` is \"udp\""),
                    StartsWith("f:29:11: warning: [service \"s\"] drain_s: has no effect")));
    EXPECT_THAT(warnings(plus("on_gone = 'keep'\ndrain_s = 60\nbackends = '10.1.0.2'")), IsEmpty());
    EXPECT_THAT(
        warnings(udp + "syn_proxy = 'auto'\n"),
        ElementsAre(StartsWith("f:28:13: warning: [service \"s\"] syn_proxy: has no effect")));
}

TEST(Services, KeysOfTheSynProxyBelongTogether) {
    const auto with_backend = [](std::string_view more) {
        return warnings(plus(fmt::format("backends = '10.1.0.2'\n{}", more)));
    };
    EXPECT_THAT(with_backend("syn_proxy = 'on'\nsyn_proxy_above = 9"),
                ElementsAre(StartsWith("f:29:19: warning: [service \"s\"] syn_proxy_above: has no "
                                       "effect: `syn_proxy` is not \"auto\"")));
    EXPECT_THAT(
        with_backend("syn_offer = { mss = 1400 }"),
        ElementsAre(StartsWith("f:28:13: warning: [service \"s\"] syn_offer: has no effect: "
                               "`syn_proxy` is \"off\"")));
    EXPECT_THAT(with_backend("syn_proxy = 'auto'\nsyn_proxy_above = 9\nsyn_offer = { mss = 1400 }"),
                IsEmpty());
}

/// Without a router.
std::vector<std::string> warnings_on_link(std::string_view more) {
    std::string text = with(more);
    const std::string route = "[[route]]\nto = \"0.0.0.0/0\"\nvia = \"192.0.2.1\"\n";
    text.replace(text.find(route), route.size(), "\n\n\n");
    return texts_of(parse_config(text, "f").warnings, Severity::warning);
}

TEST(Services, ThatNobodyReachesAreWarnedOf) {
    EXPECT_THAT(warnings_on_link(service("s", "198.51.100.9", "80")),
                ElementsAre(StartsWith("f:24:11: warning: [service \"s\"] address: 198.51.100.9 is "
                                       "in no port's subnet, and there is no [[route]]")));
    EXPECT_THAT(warnings_on_link(plus("backends = ['10.1.0.2', '10.2.0.2:80', '10.3.0.2']")),
                ElementsAre(StartsWith(
                    "f:27:25: warning: [service \"s\"] backends: no route leads to "
                    "10.2.0.2, nor to 1 more of the backends; a host in a port's subnet, "
                    "or a [[route]] that leads to it")));
    EXPECT_THAT(warnings_on_link(plus("backends = '10.2.0.2'")),
                ElementsAre(HasSubstr("backends: no route leads to 10.2.0.2; a host")));
    EXPECT_THAT(warnings_on_link(web), IsEmpty());
}

TEST(Services, AreAsWellAsRulesReasonsForOtherSettings) {
    // A gateway without rules, a pool without rules, a limit of services.
    const std::string text(head.substr(0, head.find("[[rule]]")));
    const auto warnings_of = [&](const std::string& more) {
        return texts_of(parse_config(text + more, "f").warnings, Severity::warning);
    };
    const std::string limit = "[limits]\nhalf_open_per_service = 9\n";
    EXPECT_THAT(warnings_of(limit),
                ElementsAre(HasSubstr("there is no [[rule]]"),
                            HasSubstr("no rule and no service uses this pool"),
                            HasSubstr("there is no [[service]], and no rule is a `dnat` one")));
    EXPECT_THAT(warnings_of(limit + std::string(web) + "source = 'pool:p'\n"), IsEmpty());
    EXPECT_THAT(
        warnings_of("[neighbors]\ncapacity = 16\n" + std::string(web) + "source = 'pool:p'\n"),
        IsEmpty());
    std::string backends;
    for (int host = 2; host < 19; ++host)
        backends += fmt::format("'10.1.0.{}', ", host);
    EXPECT_THAT(warnings_of("[neighbors]\ncapacity = 16\n" +
                            plus(fmt::format("source = 'pool:p'\nbackends = [{}]", backends))),
                ElementsAre(HasSubstr("16 neighbours are kept, and routes, rules and services name "
                                      "18")));
}

TEST(Services, HaveThePacketsOfRulesThatAreNeverReached) {
    const auto about = [](std::string_view rule) {
        return warnings(with_rule(rule, service("s", "192.0.2.7", "['80-89', 443]")));
    };
    EXPECT_THAT(about("action = 'drop'\nprotocol = 'tcp'\nto = '192.0.2.7'\nto_port = '81-83'"),
                ElementsAre(StartsWith("f:24:10: warning: [rule \"b\"] action: the rule is never "
                                       "reached: service \"s\" (line 28) matches all that it "
                                       "matches; leave the rule out: services are asked before "
                                       "rules")));
    EXPECT_THAT(about("action = 'drop'\nprotocol = 'tcp'\nto = '192.0.2.7'\nto_port = '81-90'"),
                IsEmpty());
    EXPECT_THAT(about("action = 'drop'\nprotocol = 'udp'\nto = '192.0.2.7'\nto_port = 80"),
                IsEmpty());
    EXPECT_THAT(about("action = 'drop'\nto = '192.0.2.6/31'\nprotocol = 'tcp'\nto_port = 80"),
                IsEmpty());
    // What a service and an earlier rule leave nothing of together.
    EXPECT_THAT(
        about("action = 'drop'\nin = 'in'\nto = '192.0.2.7'\nprotocol = 'tcp'\nto_port = '80-90'"),
        ElementsAre(HasSubstr("rule \"r\" (line 16) before it matches all")));
    EXPECT_THAT(about("action = 'drop'\nin = 'out'\nto = '192.0.2.7'\nprotocol = 'tcp'\nto_port = "
                      "90\n[[rule]]\nname = 'c'\naction = 'forward'\nin = 'out'\nto = "
                      "'192.0.2.7'\nprotocol = 'tcp'\nto_port = '80-90'"),
                ElementsAre(HasSubstr("rule \"b\" (line 22) before it and service \"s\" (line 36) "
                                      "match all that it matches; move the rule up")));
}

TEST(Services, OfOnePortLeaveRulesTheOtherOnes) {
    const std::string in_out = service("s", "192.0.2.7", "80", "in = 'out'\nbackends = '10.1.0.2'");
    const auto about = [&](std::string_view in) {
        return warnings(with_rule(
            fmt::format("action = 'drop'\nprotocol = 'tcp'\nto = '192.0.2.7'\nto_port = 80\n{}",
                        in),
            in_out));
    };
    EXPECT_THAT(about("in = 'out'"), ElementsAre(HasSubstr("service \"s\" (line 29) matches all")));
    // Rule "r" has all that comes in by the other port.
    EXPECT_THAT(about(""), ElementsAre(HasSubstr("rule \"r\" (line 16) before it and service \"s\" "
                                                 "(line 29) match all that it matches; move the "
                                                 "rule up, or leave it out")));
}

std::vector<ConfigChange> changes(std::string_view before, std::string_view after) {
    return config_changes(read(before), read(after));
}
using Kind = ConfigChange::Kind;

TEST(Services, ComeAndGo) {
    const ConfigChange added{Kind::added, "service", "web", "tcp 192.0.2.7 port 80, backends: 1",
                             false};
    EXPECT_THAT(changes("", web), ElementsAre(added));
    EXPECT_EQ(title_of(added), "service \"web\"");
    const std::string other = service("s", "192.0.2.8", "[80, '90-99']", "in = 'out'");
    EXPECT_THAT(
        changes(other, ""),
        ElementsAre(ConfigChange{Kind::removed, "service", "s",
                                 "tcp 192.0.2.8 port 80, 90-99 in out, backends: 0", false}));
    EXPECT_THAT(changes(other + std::string(web), std::string(web) + other), IsEmpty())
        << "their order means nothing";
}

TEST(Services, ChangeByName) {
    const auto words = [](std::string_view before, std::string_view after) {
        const auto found = changes(plus(before), plus(after));
        if (found.size() != 1) return fmt::format("{} changes", found.size());
        EXPECT_EQ(found[0].kind, Kind::changed);
        EXPECT_EQ(found[0].section, "service");
        EXPECT_EQ(found[0].name, "s");
        EXPECT_FALSE(found[0].needs_restart);
        return found[0].words;
    };
    EXPECT_EQ(words("in = 'in'\nbackends = '10.1.0.2'", "drain_s = 5\nbackends = '10.1.0.2'"),
              "in: in -> any; drain_s: 0 -> 5");
    EXPECT_EQ(words("inhibit = false", "inhibit = true"),
              "inhibit: off -> 3 failures, 10 to 300 s");
    EXPECT_EQ(words("backends = '10.1.0.2:80'", "backends = '10.1.0.3:80'"),
              "backends: 10.1.0.2:80 -> 10.1.0.3:80");
    EXPECT_EQ(words("backends = []", "backends = ['10.1.0.3:80']"),
              "backends: none -> 10.1.0.3:80");
    EXPECT_EQ(words("backends = ['10.1.0.2:80', '10.1.0.4:80']",
                    "backends = ['10.1.0.3:80', { address = '10.1.0.2:80', weight = 5 }]"),
              "backends: added 10.1.0.3:80, removed 10.1.0.4:80, changed 10.1.0.2:80 -> "
              "10.1.0.2:80 weight 5");
    EXPECT_EQ(words("backends = ['10.1.0.4', { address = '10.1.0.2', weight = 5 }]",
                    "backends = ['10.1.0.4', { address = '10.1.0.2', weight = 6 }]"),
              "backends: changed 10.1.0.2 weight 5 -> 10.1.0.2 weight 6");
    EXPECT_EQ(words("backends = ['10.1.0.2:80', '10.1.0.2:9', '10.1.0.2']",
                    "backends = ['10.1.0.2', '10.1.0.2:9', '10.1.0.2:80']"),
              "0 changes");
}

/// As the control command does: a service that stands in no file.
std::vector<std::string> faults_of_table(const toml::table& table, const Config& config,
                                         const ServiceConflicts& conflicts) {
    Findings findings("changes[3]", Places::none);
    const Section section(table, "service:", findings);
    const Service one = read_service(section, config);
    if (!section.is_faulty())
        for (const ServiceConflict& conflict : conflicts.find(one))
            note(section, conflict);
    try {
        static_cast<void>(findings.take());
        return {};
    } catch (const ConfigError& error) {
        return error.faults();
    }
}

TEST(ServiceConflicts, AreKnownOfOneServiceOfNoFile) {
    const Config config = read(web);
    ServiceConflicts conflicts(config);
    conflicts.insert(config.policy.services[0]);
    toml::table table{{"name", "s"},
                      {"address", "192.0.2.300"},
                      {"ports", toml::array{80}},
                      {"protocol", "tcp"},
                      {"backends", toml::array{toml::table{{"address", "10.1.0.7"}}, "192.0.2.7"}}};
    EXPECT_THAT(
        faults_of_table(table, config, conflicts),
        ElementsAre("changes[3]: service: address: \"192.0.2.300\" is no address of a host; "
                    "expected the address that clients use, as \"192.0.2.7\""));
    table.insert_or_assign("address", "192.0.2.7");
    EXPECT_THAT(
        faults_of_table(table, config, conflicts),
        ElementsAre(StartsWith("changes[3]: service: ports: service \"web\" has ports"),
                    StartsWith("changes[3]: service: backends: 192.0.2.7 is the `address`")));
    conflicts.erase(config.policy.services[0]);
    table.insert_or_assign("backends", "10.1.0.2");
    EXPECT_THAT(faults_of_table(table, config, conflicts), IsEmpty());
}

TEST(ServiceConflicts, KnowNeighborsOfAConfigurationThatIsWhole) {
    const Config config = read("[[neighbor]]\naddress = '192.0.2.7'\nmac = '02:00:00:00:00:01'");
    Service one;
    one.address = v4("192.0.2.7");
    const auto found = ServiceConflicts(config).find(one);
    ASSERT_THAT(found, SizeIs(1));
    EXPECT_EQ(found[0].key, "address");
    EXPECT_EQ(found[0].what, "192.0.2.7 is the address of a [[neighbor]]");
}

TEST(ServiceConflicts, ForgetWhatIsErased) {
    const Config config = read(service("a", "192.0.2.7", "[80, '90-99']",
                                       "in = 'in'\nbackends = ['10.1.0.2:1', '10.1.0.2:2']") +
                               service("b", "192.0.2.7", "100", "backends = '10.1.0.2:1'"));
    const Service& a = config.policy.services[0];
    const Service& b = config.policy.services[1];
    ServiceConflicts conflicts(config);
    conflicts.insert(a);
    conflicts.insert(b);
    const auto keys = [&](const Service& one) {
        std::vector<std::string_view> found;
        for (const ServiceConflict& conflict : conflicts.find(one))
            found.push_back(conflict.key);
        return found;
    };
    EXPECT_THAT(keys(a), ElementsAre("name", "ports"));
    Service other;
    other.name = "c";
    other.address = v4("10.1.0.2");
    other.ports = {{95, 95}};
    other.protocol = 6;
    EXPECT_THAT(keys(other), ElementsAre("address")) << "both have it as a backend";
    conflicts.erase(a);
    EXPECT_THAT(keys(a), IsEmpty());
    EXPECT_THAT(keys(other), ElementsAre("address")) << "one still has";
    EXPECT_TRUE(conflicts.find(other, v4("192.0.2.7")).has_value());
    EXPECT_TRUE(conflicts.find(other, v4("10.1.0.2")).has_value()) << "it is its own address";
    EXPECT_FALSE(conflicts.find(other, v4("10.1.0.3")).has_value());
    conflicts.erase(b);
    EXPECT_THAT(keys(other), IsEmpty());
    EXPECT_FALSE(conflicts.find(other, v4("192.0.2.7")).has_value());
    // The ports of a neighbour that ends before, or begins behind, are free.
    conflicts.insert(a);
    other.address = a.address;
    for (const auto& [ports, free] : {std::pair(nat::PortRange{81, 89}, true),
                                      {{1, 79}, true},
                                      {{100, 65535}, true},
                                      {{1, 65535}, false},
                                      {{99, 100}, false},
                                      {{85, 90}, false},
                                      {{80, 80}, false},
                                      {{93, 94}, false}}) {
        other.ports = {ports};
        EXPECT_EQ(keys(other).empty(), free) << ports.first << '-' << ports.last;
    }
    other.ports = {{80, 80}};
    other.ingress_port = 1;
    EXPECT_THAT(keys(other), IsEmpty()) << "other packets";
    other.protocol = 17;
    other.ingress_port = 0;
    EXPECT_THAT(keys(other), IsEmpty()) << "another protocol";
}

}  // namespace
}  // namespace noclash::dpdk::config_services_test
