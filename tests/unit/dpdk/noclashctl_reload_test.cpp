// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "dpdk/control/control_socket.hpp"
#include "tests/unit/dpdk/control_client.hpp"
#include "tools/noclashctl/client.hpp"
#include "tools/noclashctl/commands.hpp"
#include "tools/noclashctl/output.hpp"
#include "tools/noclashctl/reload_text.hpp"

namespace noclash::tools::noclashctl_reload_test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json change(const char* kind, const char* section, const char* name, const char* words,
            bool needs_restart = false) {
    return {{"change",
             {{"kind", kind},
              {"section", section},
              {"name", name},
              {"words", words},
              {"needs_restart", needs_restart}}}};
}

json outcome(bool applied, const std::vector<std::string>& needs_restart = {}) {
    return {{"outcome",
             {{"applied", applied},
              {"file", "/etc/noclash/gateway.toml"},
              {"generation", 7},
              {"took_ms", 12},
              {"flows", {{"unchanged", 1204}, {"live_on", 12}, {"ended", 3}}},
              {"needs_restart", needs_restart}}}};
}

const std::vector<json> changes{
    change("changed", "", "log_level", "info -> debug"),
    change("removed", "pool", "old", "203.0.113.7, ports 1024-65535"),
    change("added", "rule", "web", "tcp port 80: dnat to 10.2.0.2:8080"),
    change("moved", "rule", "dns", "first -> behind web"),
};

ReloadAnswer answer_of(std::vector<json> rows) {
    ReloadAnswer answer;
    for (const json& row : rows)
        answer.add(row);
    return answer;
}

std::vector<json> with(std::vector<json> rows, json last) {
    rows.push_back(std::move(last));
    return rows;
}

TEST(ReloadText, ChangesAreATable) {
    EXPECT_EQ(changes_table(answer_of(changes).changes),
              "   section  name       change\n"
              "~  -        log_level  info -> debug\n"
              "-  pool     old        203.0.113.7, ports 1024-65535\n"
              "+  rule     web        tcp port 80: dnat to 10.2.0.2:8080\n"
              ">  rule     dns        first -> behind web\n");
    EXPECT_EQ(changes_table({}), "");
    EXPECT_THAT(
        changes_table(answer_of({change("changed", "", "workers", "1 -> 2", true)}).changes),
        HasSubstr("workers  1 -> 2 (needs a restart)\n"));
}

TEST(ReloadText, SaysWhatBecameOfFlows) {
    const ReloadAnswer answer = answer_of(with(changes, outcome(true)));
    EXPECT_EQ(reloaded_text(answer),
              "Reloaded /etc/noclash/gateway.toml in 12 ms: 4 changes; 1,204 flows unchanged, 12 "
              "live on by former rules or addresses, 3 ended.\n");
    EXPECT_EQ(would_reload_text(answer),
              "A reload would make 4 changes; 1,204 flows would be unchanged, 12 would live on "
              "by former rules or addresses, 3 would end.\n");
    EXPECT_THAT(reloaded_text(answer_of({changes[0], outcome(true)})), HasSubstr(" 1 change; "));
}

TEST(ReloadText, SaysThatNothingHasChanged) {
    json last = outcome(true);
    last["outcome"]["flows"]["ended"] = 0;
    const std::string none = "No change: noclash runs with /etc/noclash/gateway.toml as it is.\n";
    EXPECT_EQ(reloaded_text(answer_of({last})), none);
    EXPECT_EQ(would_reload_text(answer_of({last})), none);
    // `--end-stale` may end flows even then.
    EXPECT_THAT(reloaded_text(answer_of({outcome(true)})), HasSubstr("0 changes"));
}

TEST(ReloadText, NamesWhatNeedsARestart) {
    EXPECT_EQ(refusal_text(answer_of({outcome(false, {"workers", "[limits] sources"})})),
              "workers, [limits] sources need a restart of noclash; leave them as they are to "
              "reload the rest");
    EXPECT_EQ(would_reload_text(answer_of({outcome(false, {"workers"})})),
              "A reload would change nothing: workers needs a restart of noclash; leave it as it "
              "is to reload the rest.\n");
    EXPECT_EQ(refusal_text(answer_of({outcome(true)})), "");
}

TEST(ReloadRequest, SaysWhatIsToBeDone) {
    EXPECT_EQ(reload_request(StaleFlows::as_rules_say),
              R"({"command":"reload","end_stale":false})");
    EXPECT_EQ(reload_request(StaleFlows::ended), R"({"command":"reload","end_stale":true})");
    EXPECT_EQ(diff_request("/etc/a.toml", StaleFlows::ended),
              R"({"command":"config diff","end_stale":true,"file":"/etc/a.toml"})");
    // Noclash has another working directory.
    EXPECT_EQ(json::parse(diff_request("a.toml", StaleFlows::as_rules_say)).at("file"),
              (std::filesystem::current_path() / "a.toml").string());
}

class Reload : public testing::Test {
  protected:
    Settings settings(Format format) const { return {directory_ / "control.sock", format, 10}; }
    /// A daemon that answers with `rows`, and an error in the end when `error` is not empty.
    dpdk::ControlSocket serve(const std::vector<json>& rows, const std::string& error = "") const {
        return dpdk::ControlSocket({directory_ / "control.sock", 8, 30000},
                                   [=](const json&, dpdk::ResponseWriter& writer) {
                                       for (const json& row : rows)
                                           writer.row(row.dump());
                                       if (!error.empty()) throw std::runtime_error(error);
                                   });
    }
    /// What `run` prints, also before an error.
    template <class Run>
    static std::string printed(Run run) {
        testing::internal::CaptureStdout();
        run();
        flush_output();
        return testing::internal::GetCapturedStdout();
    }

    dpdk::TemporaryDirectory directory_;
};

TEST_F(Reload, PrintsChangesAndOutcome) {
    const json warning{{"warning", {{"text", "f:1:2: warning: hardly meant"}}}};
    const auto server = serve({changes[0], warning, outcome(true)});
    testing::internal::CaptureStderr();
    EXPECT_THAT(printed([&] { reload_config(settings(Format::text), StaleFlows::as_rules_say); }),
                testing::AllOf(HasSubstr("info -> debug\n"), HasSubstr("Reloaded /etc/noclash/")));
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "f:1:2: warning: hardly meant\n");
    EXPECT_THAT(printed([&] { diff_config(settings(Format::text), "f", StaleFlows::ended); }),
                HasSubstr("A reload would make 1 change"));
}

TEST_F(Reload, ProgramsGetTheRows) {
    const std::vector<json> rows = with(changes, outcome(true));
    const auto server = serve(rows);
    const auto reload = [&] { reload_config(settings(Format::json), StaleFlows::as_rules_say); };
    EXPECT_EQ(json::parse(printed(reload)), json(rows));
    const auto diff = [&] { diff_config(settings(Format::json), "f", StaleFlows::as_rules_say); };
    EXPECT_EQ(json::parse(printed(diff)), json(rows));
}

TEST_F(Reload, IsAnErrorWhenSomethingNeedsARestart) {
    const std::vector<json> rows{change("changed", "", "workers", "1 -> 2", true),
                                 outcome(false, {"workers"})};
    const auto server = serve(rows);
    for (const Format format : {Format::text, Format::json}) {
        const std::string text = printed([&] {
            try {
                reload_config(settings(format), StaleFlows::as_rules_say);
                ADD_FAILURE() << "no error";
            } catch (const std::runtime_error& error) {
                EXPECT_STREQ(error.what(),
                             "nothing was changed: workers needs a restart of noclash; leave it "
                             "as it is to reload the rest");
            }
        });
        if (format == Format::json) {
            EXPECT_EQ(json::parse(text), json(rows));
        } else {
            EXPECT_THAT(text, HasSubstr("needs a restart"));
        }
    }
    // A difference is none for who asks for differences.
    EXPECT_THAT(printed([&] {
                    EXPECT_TRUE(diff_config(settings(Format::text), "f", StaleFlows::as_rules_say));
                }),
                HasSubstr("A reload would change nothing: workers needs a restart"));
}

TEST_F(Reload, AFaultyFileIsNamedLineByLine) {
    const std::string faults = "f:1:2: flows: is a string\nf:3:4: idle: is missing";
    const auto server = serve({}, faults);
    testing::internal::CaptureStderr();
    EXPECT_THROW(reload_config(settings(Format::text), StaleFlows::as_rules_say),
                 std::runtime_error);
    EXPECT_EQ(testing::internal::GetCapturedStderr(), faults + "\n");
    testing::internal::CaptureStderr();
    EXPECT_FALSE(diff_config(settings(Format::text), "f", StaleFlows::as_rules_say));
    EXPECT_EQ(testing::internal::GetCapturedStderr(), faults + "\n");
}

}  // namespace
}  // namespace noclash::tools::noclashctl_reload_test
