// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "dpdk/control/control_request.hpp"
#include "dpdk/control/control_socket.hpp"
#include "tests/unit/dpdk/control_client.hpp"
#include "tools/noclashctl/client.hpp"
#include "tools/noclashctl/commands.hpp"
#include "tools/noclashctl/output.hpp"
#include "tools/noclashctl/service_changes.hpp"
#include "tools/noclashctl/service_program.hpp"
#include "tools/noclashctl/services_text.hpp"

namespace noclash::tools::noclashctl_services_test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json backend(const char* address, unsigned weight, const char* state, unsigned slots,
             std::uint64_t openings) {
    return {{"backend", address},
            {"weight", weight},
            {"state", state},
            {"health", "unknown"},
            {"slots", slots},
            {"inhibited_s", 0},
            {"openings", openings},
            {"unanswered", 0},
            {"refused", 0},
            {"reset", 0},
            {"half_open", 0},
            {"late", 0},
            {"late_ms", 0},
            {"repeated_answers", 0},
            {"queue_overflow_likely", false},
            {"answers", json::array()},
            {"p50_below_ms", nullptr},
            {"p99_below_ms", nullptr}};
}

json web() {
    return {{"name", "web"},
            {"address", "192.0.2.7"},
            {"protocol", "tcp"},
            {"ports", {"80", "8000-8010"}},
            {"in", "outside"},
            {"source", "keep"},
            {"affinity", "none"},
            {"no_backend", "reject"},
            {"on_gone", "reset"},
            {"drain_s", 0},
            {"inhibit", false},
            {"guarded", false},
            {"origin", "file"},
            {"condition", "ok"},
            {"slots", 65537},
            {"backends",
             {backend("10.2.0.2:80", 1, "active", 10923, 12),
              backend("10.2.0.30:8080", 5, "active", 54614, 61),
              backend("10.2.0.4", 0, "draining", 0, 100000)}}};
}

json dns() {
    json service = web();
    service["name"] = "dns";
    service["protocol"] = "udp";
    service["ports"] = {"53", "54", "55", "56", "57", "58"};
    service["in"] = nullptr;
    service["source"] = "masquerade";
    service["condition"] = "no_backend";
    service["origin"] = "control";
    service["slots"] = 0;
    service["backends"] = json::array();
    return service;
}

json outcome(unsigned changed, unsigned unchanged, unsigned ended) {
    return {{"changed", changed},
            {"unchanged", unchanged},
            {"generation", 7},
            {"took_ms", 12},
            {"flows_ended", ended}};
}

TEST(ServicesText, BackendsStandBelowTheirService) {
    EXPECT_EQ(
        services_text({web(), dns()}),
        "service  endpoint                                      source      affinity  "
        "condition   origin\n"
        "    backend         state     health   weight  share    openings  unanswered  refused  "
        "reset  half-open  p50  p99\n"
        "web      tcp 192.0.2.7 port 80, 8000-8010 in outside   keep        none      "
        "ok          file\n"
        "    10.2.0.2:80     active    unknown       1   16.7 %        12           0        0  "
        "    0          0  -    -\n"
        "    10.2.0.30:8080  active    unknown       5   83.3 %        61           0        0  "
        "    0          0  -    -\n"
        "    10.2.0.4        draining  unknown       0    0.0 %    100000           0        0  "
        "    0          0  -    -\n"
        "dns      udp 192.0.2.7 port 53, 54, 55, 56 and 2 more  masquerade  none      "
        "no_backend  control\n");
}

TEST(ServicesText, ShowsHowOpeningsGoOn) {
    json service = web();
    json& one = service["backends"][0];
    one["openings"] = 40'000;
    one["refused"] = 7;
    one["reset"] = 12;
    one["half_open"] = 3;
    one["p50_below_ms"] = 1;
    one["p99_below_ms"] = 2048;
    one["late"] = 812;
    one["late_ms"] = 833'000;
    one["queue_overflow_likely"] = true;
    json& other = service["backends"][1];
    other["repeated_answers"] = 20;
    other["queue_overflow_likely"] = true;
    json& third = service["backends"][2];
    third["state"] = "down";
    third["inhibited_s"] = 20;
    EXPECT_EQ(
        services_text({service}),
        "service  endpoint                                     source  affinity  condition  "
        "origin\n"
        "    backend         state           health   weight  share    openings  unanswered  "
        "refused  reset  half-open  p50    p99\n"
        "web      tcp 192.0.2.7 port 80, 8000-8010 in outside  keep    none      ok         "
        "file\n"
        "    10.2.0.2:80     active          unknown       1   16.7 %     40000           0  "
        "      7     12          3  <1 ms  <2.0 s\n"
        "        queue overflow likely: 812 of 40,000 openings unanswered, answered after 1.0 "
        "s\n"
        "    10.2.0.30:8080  active          unknown       5   83.3 %        61           0  "
        "      0      0          0  -      -\n"
        "        queue overflow likely: 20 of 61 openings acknowledged in vain\n"
        "    10.2.0.4        inhibited 20 s  unknown       0    0.0 %    100000           0  "
        "      0      0          0  -      -\n");
}

TEST(ServicesText, HeadersStandAlone) {
    EXPECT_EQ(services_text({}),
              "service  endpoint  source  affinity  condition  origin\n"
              "    backend  state  health  weight  share  openings  unanswered  refused  reset  "
              "half-open  p50  p99\n");
}

TEST(ServicesText, SaysWhenTheSynProxyIsOn) {
    json service = web();
    service["guarded"] = true;
    EXPECT_THAT(services_text({service}), HasSubstr("none      ok, SYN proxy  file\n"));
}

TEST(ServicesText, SaysWhatHasChanged) {
    EXPECT_EQ(changed_text(outcome(1, 2, 1204)),
              "1 change in 12 ms, 2 so already; 1,204 flows ended.\n");
    EXPECT_EQ(changed_text(outcome(2, 0, 1)), "2 changes in 12 ms, 0 so already; 1 flow ended.\n");
    EXPECT_EQ(changed_text(outcome(0, 3, 0)), "No change: services are so already.\n");
}

/// The changes that a command line asks for.
json changes_of(const std::string& line) {
    CLI::App app;
    ServiceWish wish;
    std::function<json()> changes;
    add_service(app, wish, [&](std::function<json()> asked) { changes = std::move(asked); });
    app.parse(line);
    return changes();
}

TEST(ServiceCommands, AreChanges) {
    const auto one = [](const char* text) { return json::array({json::parse(text)}); };
    EXPECT_EQ(changes_of("service remove web"), one(R"({"op":"remove","name":"web"})"));
    EXPECT_EQ(changes_of("service set-backend web 10.2.0.2:80"),
              one(R"({"op":"set_backend","name":"web","backend":"10.2.0.2:80","weight":1})"));
    EXPECT_EQ(changes_of("service set-backend web 10.2.0.2 --weight 256"),
              one(R"({"op":"set_backend","name":"web","backend":"10.2.0.2","weight":256})"));
    EXPECT_EQ(changes_of("service remove-backend web 10.2.0.2:80"),
              one(R"({"op":"remove_backend","name":"web","backend":"10.2.0.2:80"})"));
    EXPECT_EQ(changes_of("service drain web 10.2.0.2:80"),
              one(R"({"op":"drain","name":"web","backend":"10.2.0.2:80"})"));
    EXPECT_EQ(changes_of("service undrain web 10.2.0.2:80"),
              one(R"({"op":"undrain","name":"web","backend":"10.2.0.2:80"})"));
}

TEST(ServiceCommands, SetNamesOnlyWhatTheLineNames) {
    EXPECT_EQ(changes_of("service set --address 192.0.2.7 --protocol tcp --ports 80,8000-8010 web"),
              json::parse(
                  R"([{"op":"set","service":{"name":"web","address":"192.0.2.7","protocol":"tcp",
                 "ports":["80","8000-8010"],"backends":[]}}])"));
    EXPECT_EQ(
        changes_of("service set --address 192.0.2.7 --protocol udp --ports 53 --ports 54 "
                   "--backend 10.2.0.2:53,10.2.0.3 --backend 10.2.0.4 web --in outside --source "
                   "pool:public --affinity client --no-backend drop --on-gone keep --drain-s 30 "
                   "--syn-proxy auto --syn-proxy-above 9 --inhibit 5,20,40"),
        json::parse(
            R"([{"op":"set","service":{"name":"web","address":"192.0.2.7","protocol":"udp",
                 "ports":["53","54"],"backends":["10.2.0.2:53","10.2.0.3","10.2.0.4"],
                 "in":"outside","source":"pool:public","affinity":"client","no_backend":"drop",
                 "on_gone":"keep","drain_s":30,"syn_proxy":"auto","syn_proxy_above":9,
                 "inhibit":{"failures":5,"first_s":20,"most_s":40}}}])"));
    const std::string set = "service set --address 192.0.2.7 --protocol tcp --ports 80 web ";
    EXPECT_EQ(changes_of(set + "--inhibit on")[0]["service"]["inhibit"], true);
    EXPECT_EQ(changes_of(set + "--inhibit off")[0]["service"]["inhibit"], false);
}

TEST(ServiceCommands, FaultsAreNamedWithARemedy) {
    const auto fault_of = [](const std::string& line) -> std::string {
        try {
            changes_of(line);
            return "";
        } catch (const CLI::ParseError& error) {
            return error.what();
        }
    };
    EXPECT_THAT(fault_of("service drain web 10.2.0:80"),
                HasSubstr("10.2.0:80 is no backend: expected the address of a host"));
    EXPECT_THAT(fault_of("service set-backend web 10.2.0.2 --weight 257"),
                HasSubstr("257 is no weight: expected a number from 0 to 256"));
    const std::string set = "service set web --address 192.0.2.7 --ports 80 --protocol ";
    EXPECT_THAT(fault_of(set + "tpc"), HasSubstr("expected tcp, udp, sctp; did you mean tcp?"));
    EXPECT_THAT(fault_of(set + "tcp --affinity clinet"), HasSubstr("did you mean client?"));
    EXPECT_THAT(fault_of(set + "tcp --no-backend rejcet"), HasSubstr("did you mean reject?"));
    EXPECT_THAT(fault_of(set + "tcp --on-gone kep"), HasSubstr("did you mean keep?"));
    EXPECT_THAT(fault_of(set + "tcp --drain-s 86401"), HasSubstr("from 0 to 86400"));
    for (const char* text : {"yes", "3", "3,10", "3,10,", "3,10,300,", "0,10,300", "1001,10,300",
                             "3,0,300", "3,10,9", "3,10,86401", "3 10 300", "-3,10,300"})
        EXPECT_THAT(fault_of(set + "tcp --inhibit=" + text), HasSubstr("as 3,10,300")) << text;
    EXPECT_THAT(fault_of("service set web --ports 80 --protocol tcp"), HasSubstr("--address"));
    EXPECT_EQ(fault_of(set + "tcp"), "");
}

class Services : public testing::Test {
  protected:
    Settings settings(Format format) const { return {directory_ / "control.sock", format, 10}; }
    /// A daemon that answers with `rows`, and an error in the end when `error` is not empty.
    dpdk::ControlSocket serve(const std::vector<json>& rows, const std::string& error = "") {
        return dpdk::ControlSocket({directory_ / "control.sock", 8, 30000},
                                   [=, this](const json& request, dpdk::ResponseWriter& writer) {
                                       asked_ = request;
                                       for (const json& row : rows)
                                           writer.row(row.dump());
                                       if (!error.empty()) throw std::runtime_error(error);
                                   });
    }
    /// A file with this text.
    std::string file(const std::string& text) const {
        const std::string path = directory_ / "changes.json";
        std::ofstream(path) << text;
        return path;
    }
    template <class Run>
    static std::string printed(Run run) {
        testing::internal::CaptureStdout();
        run();
        flush_output();
        return testing::internal::GetCapturedStdout();
    }
    template <class Run>
    static std::string fault_of(Run run) {
        try {
            run();
        } catch (const std::runtime_error& error) {
            return error.what();
        }
        return "";
    }

    dpdk::TemporaryDirectory directory_;
    json asked_;  ///< the last request
};

TEST_F(Services, AreShownAllOrOne) {
    const auto server = serve({web(), dns()});
    std::optional<std::string> name;
    const auto show = [&](Format format, bool is_there) {
        return printed([&] { EXPECT_EQ(show_services(settings(format), name), is_there); });
    };
    EXPECT_EQ(show(Format::text, true), services_text({web(), dns()}));
    EXPECT_EQ(json::parse(show(Format::json, true)), json({web(), dns()}));
    EXPECT_EQ(asked_, json({{"command", "service list"}}));
    name = "dns";
    EXPECT_EQ(show(Format::text, true), services_text({dns()}));
    EXPECT_EQ(json::parse(show(Format::json, true)), json::array({dns()}));
    name = "wbe";
    EXPECT_EQ(show(Format::text, false), "");
    EXPECT_EQ(json::parse(show(Format::json, false)), json::array());
}

TEST_F(Services, AreChangedInOneRequest) {
    const json changes = json::parse(R"([{"op":"remove","name":"a"},{"op":"remove","name":"b"}])");
    const auto server = serve({outcome(2, 0, 3)});
    EXPECT_EQ(printed([&] { change_services(settings(Format::text), changes); }),
              changed_text(outcome(2, 0, 3)));
    EXPECT_EQ(asked_, json({{"command", "service change"}, {"changes", changes}}));
    EXPECT_EQ(json::parse(printed([&] { change_services(settings(Format::json), changes); })),
              json::array({outcome(2, 0, 3)}));
}

TEST_F(Services, AFaultNamesTheChangeAmongSeveral) {
    const auto server = serve({}, "changes[0]: name: no service is called \"a\"");
    const json change{{"op", "drain"}};
    const auto fault = [&](const json& changes) {
        return fault_of([&] { change_services(settings(Format::text), changes); });
    };
    EXPECT_EQ(fault(json::array({change})),
              "nothing was changed: name: no service is called \"a\"");
    EXPECT_EQ(fault(json::array({change, change})),
              "nothing was changed: changes[0]: name: no service is called \"a\"");
}

TEST_F(Services, AFileHasServicesAndChanges) {
    const char* const both = R"([{"name":"web"}, {"op":"remove","name":"dns"}, 3])";
    EXPECT_EQ(
        read_changes(file(both)),
        json::parse(R"([{"op":"set","service":{"name":"web"}},{"op":"remove","name":"dns"},3])"));
    EXPECT_EQ(read_changes(file(R"({"name":"web"})")),
              json::parse(R"([{"op":"set","service":{"name":"web"}}])"));
    EXPECT_EQ(changes_of("service apply " + file("[{\"op\":\"x\"}]")),
              json::parse(R"([{"op":"x"}])"));
}

TEST_F(Services, AFaultyFileIsNamed) {
    const auto fault = [&](const std::string& text) {
        const std::string path = file(text);
        const std::string found = fault_of([&] { static_cast<void>(read_changes(path)); });
        EXPECT_THAT(found, testing::StartsWith(path)) << text;
        return found;
    };
    EXPECT_THAT(fault(""), HasSubstr("is no JSON"));
    EXPECT_THAT(fault("[\n{,}]"), HasSubstr("line 2, column 2"));
    EXPECT_THAT(fault("[\"\xff\"]"), HasSubstr("is no JSON"));
    EXPECT_THAT(fault(std::string(100'000, '[')), HasSubstr("nested deeper than 8 levels"));
    EXPECT_THAT(fault(std::string(16 * dpdk::longest_request + 1, ' ')),
                HasSubstr("split the changes over several files"));
    EXPECT_THAT(fault_of([&] { static_cast<void>(read_changes(directory_ / "absent")); }),
                HasSubstr("absent: No such file"));
}

TEST_F(Services, TheLongestBatchIsTakenAndALongerOneIsRefusedHere) {
    const auto server = serve({outcome(1, 0, 0)});
    json changes = json::array({std::string()});
    const std::size_t rest = change_request(changes).dump().size();
    changes[0] = std::string(dpdk::longest_request - rest, 'x');
    EXPECT_NO_THROW(printed([&] { change_services(settings(Format::text), changes); }));
    EXPECT_EQ(asked_.at("changes"), changes);
    asked_ = nullptr;
    changes[0] = changes[0].get<std::string>() + 'x';
    EXPECT_THAT(fault_of([&] { change_services(settings(Format::text), changes); }),
                HasSubstr("the request has more than 1,048,576 bytes; split the changes"));
    EXPECT_EQ(asked_, nullptr);
}

}  // namespace
}  // namespace noclash::tools::noclashctl_services_test
