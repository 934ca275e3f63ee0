// SPDX-License-Identifier: Apache-2.0
#include "tools/health/services.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace noclash::health::services_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Check check_of(Kind kind, std::optional<std::uint16_t> port = std::nullopt) {
    Check check;
    check.services = {"web"};
    check.line = 7;
    check.kind = kind;
    check.port = port;
    return check;
}

/// The port that a backend is checked at; nothing: it is not checked.
std::optional<std::uint16_t> port_of(const Check& check, const char* backend,
                                     std::vector<std::string> ports) {
    const Targets targets =
        targets_of({check}, {Service{"web", std::move(ports), {Backend{backend, Health::up}}}});
    EXPECT_EQ(targets.all.size() + targets.problems.size(), 1U);
    if (targets.all.empty()) return std::nullopt;
    return targets.all.at({"web", backend}).endpoint.port;
}

TEST(Services, AreRowsOfTheControlSocket) {
    const Service service = service_of(R"({"name":"web","ports":["80","8000-8010"],"new":1,
        "backends":[{"backend":"10.2.0.2:80","health":"down"},{"backend":"10.2.0.3","health":"up"},
                    {"backend":"10.2.0.4","health":"unknown"},{"backend":"b","health":"dizzy"}]})");
    EXPECT_EQ(service.name, "web");
    EXPECT_THAT(service.ports, ElementsAre("80", "8000-8010"));
    ASSERT_EQ(service.backends.size(), 4U);
    EXPECT_EQ(service.backends[0].name, "10.2.0.2:80");
    EXPECT_EQ(service.backends[0].health, Health::down);
    EXPECT_EQ(service.backends[1].health, Health::up);
    EXPECT_EQ(service.backends[2].health, Health::unknown);
    EXPECT_EQ(service.backends[3].health, Health::unknown);
    EXPECT_THROW((void)service_of(R"({"name":"web"})"), nlohmann::json::exception);
    EXPECT_THROW((void)service_of(R"({"name":7,"ports":[],"backends":[]})"),
                 nlohmann::json::exception);
}

TEST(Targets, ThePortIsTheChecksThenTheBackendsThenTheServices) {
    const Check tcp = check_of(Kind::tcp);
    EXPECT_EQ(port_of(check_of(Kind::tcp, 81), "10.2.0.2:82", {"83"}), 81);
    EXPECT_EQ(port_of(tcp, "10.2.0.2:82", {"83"}), 82);
    EXPECT_EQ(port_of(tcp, "10.2.0.2", {"83"}), 83);
    EXPECT_EQ(port_of(tcp, "10.2.0.2", {"83", "84"}), std::nullopt);
    EXPECT_EQ(port_of(tcp, "10.2.0.2", {"83-84"}), std::nullopt);
    EXPECT_EQ(port_of(check_of(Kind::dns), "10.2.0.2", {"83-84"}), 53);
    EXPECT_EQ(port_of(check_of(Kind::icmp), "10.2.0.2", {"83-84"}), 0);
}

TEST(Targets, WhatIsNotCheckedIsTold) {
    Check check = check_of(Kind::tcp);
    check.services = {"web", "wbe"};
    const Targets targets = targets_of(
        {check},
        {Service{"web", {"1-2"}, {{"10.2.0.2", {}}, {"fd00::1", {}}}}, Service{"x", {}, {}}});
    EXPECT_THAT(targets.all, IsEmpty());
    EXPECT_THAT(targets.problems,
                ElementsAre(HasSubstr("web 10.2.0.2: not checked: it has no port of its own"),
                            HasSubstr("web fd00::1: not checked: it is no IPv4 address"),
                            HasSubstr("wbe is no service of noclash")));
    EXPECT_THAT(targets.problems[0], HasSubstr("line 7"));
}

}  // namespace
}  // namespace noclash::health::services_test
