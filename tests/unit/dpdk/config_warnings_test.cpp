// SPDX-License-Identifier: Apache-2.0

// Configurations that cannot be meant: faults where they can never work, else warnings.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/dpdk/faults_of.hpp"

namespace noclash::dpdk::config_warnings_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

/// Lines 1 to 10; a third port would be in nobody's way.
constexpr std::string_view ports = R"(
[[port]]
name = "lan"
device = "tap:lan0"
address = "10.1.0.1/24"
[[port]]
name = "wan"
device = "tap:wan0"
address = "192.0.2.2/24"

)";
/// The rest of a sound gateway, behind the ports; 8 lines.
constexpr std::string_view sound = R"([[route]]
to = "0.0.0.0/0"
via = "192.0.2.1"
[[rule]]
name = "out"
in = "lan"
action = "masquerade"

)";

std::string with(std::string_view more) {
    return std::string(ports) + std::string(sound) + std::string(more);
}

std::vector<std::string> warnings_of(const std::string& text, const Machine& machine = {}) {
    const Config config = parse_config(text, "f", machine);
    return texts_of(config.warnings, Severity::warning);
}

struct Case {
    const char* name;
    const char* more;    ///< from line 19 on
    const char* expect;  ///< how the only finding begins
};
void PrintTo(const Case& one, std::ostream* out) {
    *out << one.more;
}
std::string case_name(const testing::TestParamInfo<Case>& info) {
    return info.param.name;
}

class CannotWork : public testing::TestWithParam<Case> {};

TEST_P(CannotWork, IsAFault) {
    EXPECT_THAT(faults_of(with(GetParam().more)), ElementsAre(StartsWith(GetParam().expect)));
}

constexpr Case addresses[] = {
    {"PoolIsTheRouter",
     "[[pool]]\nname = \"p\"\naddresses = \"192.0.2.1\"\n[[rule]]\nname = \"r\"\naction = "
     "\"snat\"\nin = \"wan\"\npool = \"p\"",
     "f:21:13: [pool \"p\"] addresses: 192.0.2.1 is the router of the route to 0.0.0.0/0; expected "
     "an address that no other host has"},
    {"PoolHoldsTheRouter",
     "[[pool]]\nname = \"p\"\naddresses = [\"203.0.113.1\", \"192.0.2.0/31\"]\n",
     "f:21:29: [pool \"p\"] addresses: 192.0.2.1 is the router"},
    {"PoolIsTheNetwork", "[[pool]]\nname = \"p\"\naddresses = \"192.0.2.0\"",
     "f:21:13: [pool \"p\"] addresses: 192.0.2.0 is the network address of the subnet of port "
     "\"wan\""},
    {"PoolHoldsTheBroadcastAddress",
     "[[pool]]\nname = \"p\"\naddresses = \"192.0.2.250-192.0.2.255\"",
     "f:21:13: [pool \"p\"] addresses: 192.0.2.255 is the broadcast address of the subnet of port "
     "\"wan\""},
    {"StaticOutsideIsTheRouter",
     "[[rule]]\nname = \"r\"\naction = \"static\"\ninside = \"10.1.0.9\"\noutside = \"192.0.2.1\"",
     "f:23:11: [rule \"r\"] outside: 192.0.2.1 is the router of the route to 0.0.0.0/0"},
    {"StaticPortOfTheRouter",
     "[[rule]]\nname = \"r\"\naction = \"static\"\nprotocol = \"tcp\"\ninside = "
     "\"10.1.0.9:80\"\noutside = \"192.0.2.1:80\"",
     "f:24:11: [rule \"r\"] outside: 192.0.2.1 is the router"},
    {"StaticOutsideIsTheBroadcastAddress",
     "[[rule]]\nname = \"r\"\naction = \"static\"\ninside = \"10.1.0.9\"\noutside = "
     "\"192.0.2.255\"",
     "f:23:11: [rule \"r\"] outside: 192.0.2.255 is the broadcast address"},
    {"StaticInsideIsTheNetwork",
     "[[rule]]\nname = \"r\"\naction = \"static\"\ninside = \"10.1.0.0\"\noutside = \"192.0.2.9\"",
     "f:22:10: [rule \"r\"] inside: 10.1.0.0 is the network address"},
    {"StaticInsideIsThePort",
     "[[rule]]\nname = \"r\"\naction = \"static\"\ninside = \"10.1.0.1\"\noutside = \"192.0.2.9\"",
     "f:22:10: [rule \"r\"] inside: 10.1.0.1 is the gateway's own address on port \"lan\""},
    {"StaticInsideIsItsOutside",
     "[[rule]]\nname = \"r\"\naction = \"static\"\ninside = \"192.0.2.9\"\noutside = \"192.0.2.9\"",
     "f:22:10: [rule \"r\"] inside: 192.0.2.9 is the outside address of rule \"r\""},
    {"TargetIsThePort",
     "[[rule]]\nname = \"r\"\nin = \"wan\"\naction = \"dnat\"\nprotocol = \"tcp\"\nto_port = "
     "80\ntarget = \"192.0.2.2:8080\"",
     "f:25:10: [rule \"r\"] target: 192.0.2.2 is the gateway's own address on port \"wan\", and "
     "nothing listens there; expected the address of a host"},
    {"OneOfTheTargetsIsAnotherPort",
     "[[rule]]\nname = \"r\"\nin = \"wan\"\naction = \"dnat\"\ntarget = [\"10.1.0.5\", "
     "\"10.1.0.1\"]",
     "f:23:23: [rule \"r\"] target: 10.1.0.1 is the gateway's own address on port \"lan\""},
    {"TargetIsOfAPool",
     "[[pool]]\nname = \"p\"\naddresses = \"203.0.113.0/28\"\n[[rule]]\nname = \"r\"\nin = "
     "\"wan\"\naction = \"dnat\"\ntarget = \"203.0.113.4\"",
     "f:26:10: [rule \"r\"] target: 203.0.113.4 is an address of pool \"p\""},
    {"TargetIsTheBroadcastAddress",
     "[[rule]]\nname = \"r\"\nin = \"wan\"\naction = \"dnat\"\ntarget = \"10.1.0.255\"",
     "f:23:10: [rule \"r\"] target: 10.1.0.255 is the broadcast address of the subnet of port "
     "\"lan\""},
    {"ServiceIsTheRouter",
     "[[rule]]\nname = \"r\"\nin = \"lan\"\naction = \"dnat\"\nto = \"192.0.2.1\"\ntarget = "
     "\"10.1.0.5\"",
     "f:23:6: [rule \"r\"] to: 192.0.2.1 is the router of the route to 0.0.0.0/0"},
    {"ServiceIsTheBroadcastAddress",
     "[[rule]]\nname = \"r\"\nin = \"wan\"\naction = \"dnat\"\nto = \"192.0.2.255\"\ntarget = "
     "\"10.1.0.5\"",
     "f:23:6: [rule \"r\"] to: 192.0.2.255 is the broadcast address"},
};
INSTANTIATE_TEST_SUITE_P(Addresses, CannotWork, testing::ValuesIn(addresses), case_name);

// /31 (RFC 3021) and /32 have neither a network nor a broadcast address.
TEST(Addresses, ALinkOfTwoHasNoBroadcastAddress) {
    const std::string text = R"(
[[port]]
name = "a"
device = "tap:a"
address = "192.0.2.2/31"
[[port]]
name = "b"
device = "tap:b"
address = "10.0.0.1/24"
[[route]]
to = "0.0.0.0/0"
via = "192.0.2.3"
[[rule]]
name = "r"
in = "b"
action = "dnat"
target = "192.0.2.3"
)";
    EXPECT_THAT(warnings_of(text), IsEmpty());
}

// Without a default route, it is known where nothing leads to.
TEST(Addresses, WhatNoRouteLeadsToIsAFault) {
    const std::string text = std::string(ports) + R"([[rule]]
name = "a"
in = "wan"
action = "dnat"
target = "10.9.0.2"
[[rule]]
name = "b"
action = "static"
inside = "10.9.0.3"
outside = "192.0.2.9"
)";
    EXPECT_THAT(
        faults_of(text),
        ElementsAre(StartsWith("f:15:10: [rule \"a\"] target: no route leads to 10.9.0.2"),
                    StartsWith("f:19:10: [rule \"b\"] inside: no route leads to 10.9.0.3")));
}

TEST(Addresses, TwoPortsOnOneInterface) {
    const std::string text = R"(
[[port]]
name = "a"
device = "af_packet:eth0"
address = "192.0.2.2/24"
[[port]]
name = "b"
device = "af_xdp:eth0"
address = "10.0.0.1/24"
)";
    EXPECT_THAT(faults_of(text), ElementsAre(HasSubstr("[port \"b\"] device: port \"a\" uses "
                                                       "interface eth0, too")));
}

TEST(Cores, PollingWorkersShareNone) {
    EXPECT_THAT(faults_of("cores = [0, 1, 0]\n" + with("")),
                ElementsAre(StartsWith("f:1:9: cores: CPU 0 is named twice")));
    EXPECT_THAT(warnings_of("idle = \"nap\"\ncores = [0, 0]\n" + with("")),
                ElementsAre(StartsWith("f:2:9: warning: cores: CPU 0 is named twice")));
}

// One fault, and not its echo in another place.
struct Echo {
    const char* name;
    std::string text;
    const char* expect;
};
class OneFault : public testing::TestWithParam<Echo> {};
TEST_P(OneFault, HasNoEcho) {
    EXPECT_THAT(faults_of(GetParam().text), ElementsAre(HasSubstr(GetParam().expect)));
}
std::string replaced(std::string text, std::string_view what, std::string_view by) {
    return text.replace(text.find(what), what.size(), by);
}
INSTANTIATE_TEST_SUITE_P(
    All, OneFault,
    testing::Values(
        Echo{"PortAddress", replaced(with(""), "192.0.2.2/24", "192.0.2.2/33"), "[port \"wan\"]"},
        Echo{"PortAddressIsTheNetwork", replaced(with(""), "192.0.2.2/24", "192.0.2.0/24"),
             "[port \"wan\"] address"},
        Echo{"PortWithoutAddress", replaced(with(""), "address = \"192.0.2.2/24\"", ""),
             "[port \"wan\"] address: is missing"},
        Echo{"PortName", replaced(with(""), "\"lan\"", "\"l n\""), "[port \"l n\"] name"},
        Echo{"Protocol",
             with("[[rule]]\nname = \"r\"\naction = \"dnat\"\nin = \"wan\"\nprotocol = "
                  "\"tpc\"\nto_port = 80\ntarget = \"10.1.0.5:80\""),
             "protocol: \"tpc\" is not known"},
        Echo{"StaticProtocol",
             with("[[rule]]\nname = \"r\"\naction = \"static\"\nprotocol = \"tpc\"\ninside = "
                  "\"10.1.0.5:80\"\noutside = \"192.0.2.9:80\""),
             "protocol: \"tpc\" is not known"},
        Echo{"Mapping",
             with("[[pool]]\nname = \"p\"\naddresses = \"203.0.113.5\"\nmapping = \"eim\"\n"
                  "filtering = \"endpoint-independent\""),
             "mapping: \"eim\" is not known"},
        Echo{"Limit",
             "[limits]\nflows_per_subscriber = -1\nsubscribers = \"10.1.0.0/24\"\n" + with(""),
             "flows_per_subscriber: -1"},
        Echo{"Fragments", "[fragments]\ncapacity = 100000\nper_source = 2000\n" + with(""),
             "capacity: 100000"},
        Echo{"Floor", "[timeouts]\nbelow_rfc_floor = 1\nudp_s = 5\n" + with(""), "below_rfc_floor"},
        Echo{"LimitsIsNoTable", "limits = 3\n" + with(""), "limits: is an integer"},
        Echo{"RulesAreNoList", std::string(ports) + "[rule]\nname = \"x\"", "rule: is a table"}),
    [](const auto& kind) { return std::string(kind.param.name); });

class HardlyMeant : public testing::TestWithParam<Case> {};

TEST_P(HardlyMeant, IsWarnedAbout) {
    EXPECT_THAT(warnings_of(with(GetParam().more)), ElementsAre(StartsWith(GetParam().expect)));
}

constexpr Case hardly_meant[] = {
    {"PoolsOverlap",
     "[[pool]]\nname = \"p\"\naddresses = \"203.0.113.0/28\"\n[[pool]]\nname = \"q\"\naddresses = "
     "\"203.0.113.15-203.0.113.20\"\nports = \"2000-3000\"\n[[rule]]\nname = \"a\"\nin = "
     "\"wan\"\nfrom = \"198.51.100.0/25\"\naction = \"snat\"\npool = \"p\"\n[[rule]]\nname = "
     "\"b\"\nin = \"wan\"\naction = \"snat\"\npool = \"q\"\n",
     "f:24:13: warning: [pool \"q\"] addresses: pool \"p\" (line 19) has 203.0.113.15 too, and "
     "gives out the same ports"},
    {"PoolOfNobody", "[[pool]]\nname = \"p\"\naddresses = \"203.0.113.9\"",
     "f:20:8: warning: [pool \"p\"] name: no rule and no service uses this pool"},
    {"SourceOfAnotherPort",
     "[[rule]]\nname = \"r\"\nin = \"wan\"\nfrom = \"10.1.0.128/25\"\naction = \"forward\"",
     "f:22:8: warning: [rule \"r\"] from: 10.1.0.128/25 is in the subnet of port \"lan\", and does "
     "not come in by port \"wan\""},
    {"DnatOfEverything", "[[rule]]\nname = \"r\"\naction = \"dnat\"\ntarget = \"10.1.0.5\"",
     "f:21:10: warning: [rule \"r\"] action: the rule has neither `to` nor `in` nor `from`"},
    {"TargetTwice",
     "[[rule]]\nname = \"r\"\naction = \"dnat\"\nin = \"wan\"\ntarget = [\"10.1.0.5\", "
     "\"10.1.0.5\"]",
     "f:23:23: warning: [rule \"r\"] target: 10.1.0.5 is named twice"},
    {"MasqueradeFromEverywhere", "[[rule]]\nname = \"r\"\naction = \"masquerade\"",
     "f:21:10: warning: [rule \"r\"] action: the rule has neither `in` nor `from`"},
    {"ServiceIsItsTarget",
     "[[rule]]\nname = \"r\"\naction = \"dnat\"\nin = \"wan\"\nto = \"10.1.0.5\"\ntarget = "
     "\"10.1.0.5\"",
     "f:23:6: warning: [rule \"r\"] to: 10.1.0.5 is a target of the rule, too"},
    {"UntrackedOneWay",
     "[[rule]]\nname = \"r\"\naction = \"forward\"\nin = \"wan\"\nfrom = \"198.51.100.0/24\"\n"
     "track = false",
     "f:24:9: warning: [rule \"r\"] track: no rule with `track = false` matches the answers"},
    {"RouteInASubnet", "[[route]]\nto = \"10.1.0.64/26\"\nvia = \"10.1.0.2\"",
     "f:20:6: warning: [route #2] to: 10.1.0.64/26 is a part of the subnet of port \"lan\""},
    {"RouteToNowhere", "[[route]]\nto = \"127.0.0.0/8\"\nvia = \"10.1.0.2\"",
     "f:20:6: warning: [route #2] to: no packet is forwarded to 127.0.0.0/8"},
    {"LonelyPort", "[[port]]\nname = \"x\"\ndevice = \"tap:x\"\naddress = \"10.3.0.1/32\"",
     "f:22:11: warning: [port \"x\"] address: a subnet of one address"},
    {"LimitAboveFlows", "[limits]\nflows_per_subscriber = 2000000",
     "f:20:24: warning: [limits] flows_per_subscriber: nothing reaches this limit"},
    {"LimitOfNoService", "[limits]\nhalf_open_per_service = 200",
     "f:20:25: warning: [limits] half_open_per_service: there is no [[service]]"},
    {"StreamsEndFirst", "[timeouts]\nudp_stream_s = 120",
     "f:20:16: warning: [timeouts] udp_stream_s: with `udp_stream_s` 120 and `udp_s` 300"},
};
INSTANTIATE_TEST_SUITE_P(All, HardlyMeant, testing::ValuesIn(hardly_meant), case_name);

TEST(Warnings, NoneForASoundConfiguration) {
    EXPECT_THAT(warnings_of(with("")), IsEmpty());
    for (const char* example : {"bare-metal", "demo", "memif"}) {
        const Config config = load_config(std::string(NOCLASH_EXAMPLES) + "/" + example + ".toml");
        for (const Finding& warning : config.warnings)  // of CPUs: this machine is another one
            EXPECT_THAT(warning.key, testing::AnyOf("cores", "workers")) << warning.text;
    }
}

TEST(Warnings, PoolsThatAnybodyCouldReachOnlyByChance) {
    const std::string text = std::string(ports) + R"([[pool]]
name = "p"
addresses = ["192.0.2.9", "203.0.113.9"]
[[rule]]
name = "r"
in = "lan"
action = "snat"
pool = "p"
)";
    EXPECT_THAT(warnings_of(text),
                ElementsAre(StartsWith("f:13:27: warning: [pool \"p\"] addresses: 203.0.113.9 is "
                                       "in no port's subnet")));
    // A router may have a route to them.
    EXPECT_THAT(warnings_of(text + "[[route]]\nto = \"0.0.0.0/0\"\nvia = \"192.0.2.1\"\n"),
                IsEmpty());
}

TEST(Warnings, NothingIsForwarded) {
    EXPECT_THAT(warnings_of(std::string(ports)),
                ElementsAre(StartsWith("f:1:1: warning: rule: there is no [[rule]]")));
    EXPECT_THAT(warnings_of(std::string(ports) + "[[rule]]\nname = \"r\"\naction = \"drop\"\n"),
                ElementsAre(HasSubstr("no rule lets anything pass")));
}

TEST(Warnings, MorePollingWorkersThanCpus) {
    const Machine two{{0, 1}};
    EXPECT_THAT(warnings_of("workers = 2\n" + with(""), two), IsEmpty());
    EXPECT_THAT(
        warnings_of("workers = 3\n" + with(""), two),
        ElementsAre(StartsWith("f:1:11: warning: workers: 3 workers poll on 2 CPUs: workers "
                               "that share a CPU")));
    EXPECT_THAT(warnings_of("workers = 3\nidle = \"nap\"\n" + with(""), two), IsEmpty());
    EXPECT_THAT(warnings_of("cores = [1, 7]\n" + with(""), two),
                ElementsAre(StartsWith(
                    "f:1:9: warning: cores: this process may not use CPU 7, only 0, 1")));
}

TEST(Warnings, TooFewNeighbours) {
    std::string targets;
    for (int i = 10; i < 30; ++i)
        targets += (targets.empty() ? "\"10.1.0." : ", \"10.1.0.") + std::to_string(i) + "\"";
    EXPECT_THAT(warnings_of("[neighbors]\ncapacity = 16\n" +
                            with("[[rule]]\nname = \"r\"\nin = \"wan\"\naction = \"dnat\"\ntarget "
                                 "= [" +
                                 targets + "]\n")),
                ElementsAre(HasSubstr("capacity: 16 neighbours are kept, and routes, rules and "
                                      "services name 21")));
}

// Warnings about a configuration with faults are told, too.
TEST(Warnings, StandBesideFaultsInTheOrderOfTheFile) {
    try {
        static_cast<void>(parse_config(
            with("[[pool]]\nname = \"p\"\naddresses = \"203.0.113.9\"\n[[pool]]\nname = "
                 "\"q\"\naddresses = \"192.0.2.1\"\n"),
            "f"));
        FAIL();
    } catch (const ConfigError& error) {
        ASSERT_EQ(error.findings().size(), 2U);
        EXPECT_EQ(error.findings()[0].severity, Severity::warning);
        EXPECT_EQ(error.findings()[0].section, "[pool \"p\"]");
        EXPECT_EQ(error.findings()[0].line, 20U);
        EXPECT_EQ(error.findings()[1].severity, Severity::fault);
        EXPECT_EQ(error.findings()[1].key, "addresses");
        EXPECT_EQ(error.findings()[1].column, 13U);
        EXPECT_EQ(error.faults().size(), 1U);
    }
}

}  // namespace
}  // namespace noclash::dpdk::config_warnings_test
