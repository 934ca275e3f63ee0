// SPDX-License-Identifier: Apache-2.0
#include "tools/health/config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "dpdk/config/error.hpp"

namespace noclash::health::config_test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::StartsWith;

std::vector<std::string> faults_of(const std::string& text) {
    try {
        (void)parse_config(text, "f");
        return {};
    } catch (const dpdk::ConfigError& error) {
        return error.faults();
    }
}

/// The fault of a check of this kind with these further lines.
std::vector<std::string> faults_of_check(const std::string& kind, const std::string& lines) {
    return faults_of("[[check]]\nservice = \"web\"\nkind = \"" + kind + "\"\n" + lines + "\n");
}

TEST(HealthConfig, ReadsAllKeys) {
    const Config config = parse_config(R"(
control_socket = "/run/edge.sock"
max_checks_per_s = 500
max_in_flight = 77

[defaults]
interval_ms = 3000
timeout_ms = 700
rise = 4
fall = 5
jitter_percent = 20

[[check]]
services = ["web", "api"]
kind = "https"
port = 8443
path = "/ready?x=1"
host = "www.example.org"
status = ["200", "401-403"]
verify = false
source = "10.1.0.9"
interface = "tap0"

[[check]]
service = "names"
kind = "dns"
name = "example.org"
nxdomain = true
interval_ms = 1000
timeout_ms = 1000
rise = 1
fall = 1
jitter_percent = 0
)",
                                       "f");
    EXPECT_EQ(config.control_socket, "/run/edge.sock");
    EXPECT_EQ(config.ceilings.checks_per_s, 500U);
    EXPECT_EQ(config.ceilings.in_flight, 77U);
    ASSERT_EQ(config.checks.size(), 2U);
    const Check& web = config.checks[0];
    EXPECT_THAT(web.services, ElementsAre("web", "api"));
    EXPECT_EQ(web.line, 13U);
    EXPECT_EQ(web.kind, Kind::https);
    EXPECT_EQ(web.port, 8443);
    EXPECT_EQ(web.path, "/ready?x=1");
    EXPECT_EQ(web.host, "www.example.org");
    EXPECT_THAT(web.statuses, ElementsAre(StatusRange{200, 200}, StatusRange{401, 403}));
    EXPECT_EQ(web.status_text, "200, 401-403");
    EXPECT_FALSE(web.verify);
    EXPECT_EQ(to_string<V4>(web.source.value()), "10.1.0.9");
    EXPECT_EQ(web.interface, "tap0");
    EXPECT_EQ(web.interval_ms, 3000U);
    EXPECT_EQ(web.timeout_ms, 700U);
    EXPECT_EQ(web.rise, 4U);
    EXPECT_EQ(web.fall, 5U);
    EXPECT_EQ(web.jitter_percent, 20U);
    const Check& names = config.checks[1];
    EXPECT_EQ(names.question, "example.org");
    EXPECT_TRUE(names.nxdomain);
    EXPECT_EQ(names.interval_ms, 1000U);
    EXPECT_EQ(names.timeout_ms, 1000U);
    EXPECT_EQ(names.rise, 1U);
    EXPECT_EQ(names.fall, 1U);
    EXPECT_EQ(names.jitter_percent, 0U);
}

TEST(HealthConfig, HasDefaults) {
    const Config config = parse_config("[[check]]\nservice = \"web\"\nkind = \"tcp\"", "f");
    EXPECT_EQ(config.control_socket, "/run/noclash/control.sock");
    EXPECT_EQ(config.ceilings.checks_per_s, 10'000U);
    EXPECT_THAT(config.checks.at(0).statuses, ElementsAre(StatusRange{200, 399}));
    EXPECT_TRUE(config.checks.at(0).verify);
}

TEST(HealthConfigFaults, NameThePlaceAndTheRemedy) {
    EXPECT_THAT(faults_of("max_checks = 1"),
                ElementsAre(StartsWith("f:1:1: max_checks: unknown key"),
                            "f:1:1: check: is missing; expected a [[check]] at least"));
    EXPECT_THAT(
        faults_of("max_in_flight = 0\n[[check]]\nkind = \"tcp\""),
        ElementsAre("f:1:17: max_in_flight: 0 is out of range; expected an integer from 1 to "
                    "100000",
                    "f:2:1: [check #1] service: is missing; expected either `service`, a "
                    "name, or `services`, an array of names"));
    EXPECT_THAT(faults_of("[[check]]\nservice = "),
                ElementsAre(StartsWith("f:2:11: no valid TOML")));
    EXPECT_THAT(
        faults_of("[defaults]\nrise = 0\nport = 1\n[[check]]\nservice = \"web\"\nkind = \"tcp\""),
        ElementsAre("f:2:8: [defaults] rise: 0 is out of range; expected an integer from 1 to "
                    "1000",
                    StartsWith("f:3:1: [defaults] port: unknown key")));
}

TEST(HealthConfigFaults, OfServices) {
    EXPECT_THAT(faults_of_check("tcp", "services = [\"api\"]"),
                ElementsAre("f:4:12: [check #1] services: stands beside service; expected either "
                            "`service`, a name, or `services`, an array of names"));
    EXPECT_THAT(
        faults_of("[[check]]\nservice = \"web\"\nkind = \"tcp\"\n[[check]]\nservices = "
                  "[\"api\", \"web\"]\nkind = \"tcp\""),
        ElementsAre("f:5:20: [check #2] services: \"web\" has a check in line 2; expected one "
                    "check for each service"));
    EXPECT_THAT(faults_of("[[check]]\nservice = \"\"\nkind = \"tcp\""),
                ElementsAre("f:2:11: [check #1] service: is empty; expected names of services"));
}

TEST(HealthConfigFaults, OfKeysThatAKindDoesNotUse) {
    EXPECT_THAT(
        faults_of_check("tcp", "path = \"/\""),
        ElementsAre("f:4:8: [check #1] path: is of no use for kind \"tcp\"; expected it with "
                    "kind \"http\" or \"https\" only"));
    EXPECT_THAT(
        faults_of_check("http", "verify = true"),
        ElementsAre(StartsWith("f:4:10: [check #1] verify: is of no use for kind \"http\"")));
    EXPECT_THAT(faults_of_check("icmp", "port = 80"),
                ElementsAre(StartsWith("f:4:8: [check #1] port: is of no use for kind \"icmp\"")));
    EXPECT_THAT(
        faults_of_check("https", "port = 443\npath = \"/\"\nhost = \"a\"\nstatus = \"200\""),
        IsEmpty());
}

TEST(HealthConfigFaults, OfValues) {
    for (const char* line :
         {"path = \"health\"", "path = \"/a b\"", "host = \"a:80\"", "host = \"\"",
          "status = \"99\"", "status = \"200-600\"", "status = \"400-200\"", "status = []",
          "status = 200", "source = \"10.1\"", "interface = \"\"",
          "interface = \"0123456789abcdef\"", "port = 0", "jitter_percent = 51", "interval_ms = 9",
          "fall = 0", "servcie = \"x\""})
        EXPECT_EQ(faults_of_check("http", line).size(), 1U) << line;
    EXPECT_THAT(
        faults_of_check("https", "ca_file = \"/nowhere.pem\""),
        ElementsAre("f:4:11: [check #1] ca_file: \"/nowhere.pem\" is no file that can be read; "
                    "expected a file of certificates in PEM"));
    EXPECT_THAT(faults_of_check("https", "ca_file = \"/dev/null\"\nverify = false"),
                ElementsAre(StartsWith("f:4:11: [check #1] ca_file: is of no use without")));
    EXPECT_THAT(
        faults_of_check("dns", ""),
        ElementsAre("f:1:1: [check #1] name: is missing; expected the name to ask for, such as "
                    "\"example.org\""));
    EXPECT_EQ(faults_of_check("dns", "name = \"a..b\"").size(), 1U);
}

TEST(HealthConfigFaults, OfATimeoutThatIsLongerThanTheInterval) {
    EXPECT_THAT(
        faults_of_check("tcp", "timeout_ms = 2001"),
        ElementsAre("f:4:14: [check #1] timeout_ms: a timeout of 2001 ms is longer than the "
                    "interval of 2000 ms; expected timeout_ms to be at most interval_ms"));
    EXPECT_THAT(faults_of_check("tcp", "interval_ms = 999"),
                ElementsAre(StartsWith("f:4:15: [check #1] interval_ms: a timeout of 1000 ms")));
    EXPECT_THAT(faults_of_check("tcp", "timeout_ms = 2000"), IsEmpty());
}

}  // namespace
}  // namespace noclash::health::config_test
