// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "dpdk/control/control_socket.hpp"
#include "tests/unit/dpdk/control_client.hpp"
#include "tools/noclashctl/client.hpp"
#include "tools/noclashctl/commands.hpp"
#include "tools/noclashctl/output.hpp"
#include "tools/noclashctl/spool.hpp"
#include "tools/noclashctl/tables.hpp"
#include "tools/noclashctl/usage.hpp"

namespace noclash::tools::noclashctl_test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json flow() {
    return json::parse(R"({"protocol":"tcp","state":"ESTABLISHED","timeout_s":431999,"zone":0,
        "original":{"source":"10.1.0.2","destination":"10.1.0.1","source_port":40000,
                    "destination_port":30080,"packets":5,"bytes":300},
        "reply":{"source":"10.2.0.2","destination":"10.2.0.1","source_port":80,
                 "destination_port":51234,"packets":4,"bytes":4000},
        "assured":true,"replied":true,"rule":"nodeport","worker":0})");
}

TEST(Tables, NumbersStandToTheRight) {
    TextTable table({"name", "hits", "note"});
    table.add({"a", "5", "x"});
    table.add({"long", "1234567", ""});
    EXPECT_EQ(table.text(),
              "name     hits  note\n"
              "a           5  x\n"
              "long  1234567\n");
}

TEST(Tables, MissingFieldsAreDashes) {
    EXPECT_EQ(rows_table({json{{"a", 1}, {"b", nullptr}}}, {"a", "b", "c"}), "a  b  c\n1  -  -\n");
}

TEST(Tables, StatsBeginAsConntrackDoes) {
    json worker{{"worker", 0},
                {"netfilter", {{"found", 7}, {"insert", 3}, {"chaintoolong", 1}}},
                {"datapath", {{"rx_packets", 10}}},
                {"drops", {{"ttl", 4}, {"rule", 0}}}};
    json other = worker;
    other["worker"] = 1;
    other["datapath"]["rx_packets"] = 5;
    const std::string text = stats_text({worker, other});
    EXPECT_THAT(text, testing::StartsWith(
                          "worker=0 found=7 invalid=0 insert=3 insert_failed=0 drop=0 early_drop=0 "
                          "error=0 search_restart=0 clash_resolve=0 chaintoolong=1\nworker=1 "));
    EXPECT_THAT(text, HasSubstr("rx_packets     15        10         5\n"));
    EXPECT_THAT(text, HasSubstr("ttl          8         4         4  time to live exceeded\n"));
    EXPECT_THAT(text, testing::Not(HasSubstr("a rule says drop")));
}

TEST(Tables, StatsEndWithTheAdoption) {
    json worker{{"worker", 0},
                {"netfilter", json::object()},
                {"datapath", json::object()},
                {"drops", json::object()},
                {"adoption", nullptr}};
    EXPECT_THAT(stats_text({worker}), testing::Not(HasSubstr("adopted")));
    worker["adoption"] = {{"instance", "edge"}, {"flows", 9},   {"rolled_back", 1},
                          {"over", 2},          {"refused", 3}, {"unchanged", 4},
                          {"live_on", 5},       {"ended", 6},   {"took_ms", 7}};
    EXPECT_THAT(
        stats_text({worker, worker}),
        testing::EndsWith("\nadopted 9 flows of edge in 7 ms: rolled_back=1 over=2 refused=3 "
                          "unchanged=4 live_on=5 ended=6\n"));
}

TEST(FlowRequest, SendsOnlyWhatWasAskedFor) {
    FlowFilter filter;
    filter.source = "10.1.0.0/16";
    filter.destination_port = 80;
    EXPECT_EQ(
        flow_request("flows list", filter),
        R"({"command":"flows list","filter":{"destination_port":80,"source":"10.1.0.0/16"}})");
    EXPECT_EQ(flow_request("flows flush", {}), R"({"command":"flows flush","filter":{}})");
    EXPECT_EQ(flush_request({}, EndsHear::nothing), R"({"command":"flows flush","filter":{}})");
    EXPECT_EQ(flush_request({}, EndsHear::resets),
              R"({"command":"flows flush","filter":{},"reset":true})");
}

/// A row for people, with something that JSON escapes.
constexpr const char* line = R"("tcp      6 9 rule=\"quoted\"")";

class ClientTest : public testing::Test {
  protected:
    Settings settings(Format format) const { return {directory_ / "control.sock", format, 10}; }
    /// Serves `rows` of flows in the format asked for, and an error in the end when `error` is not
    /// empty.
    dpdk::ControlSocket serve(int rows, const std::string& error = "") const {
        return dpdk::ControlSocket({directory_ / "control.sock", 8, 30000},
                                   [=](const json& request, dpdk::ResponseWriter& writer) {
                                       const bool text = request.value("format", "") == "text";
                                       for (int i = 0; i < rows; ++i)
                                           writer.row(text ? line : flow().dump());
                                       if (!error.empty()) throw std::runtime_error(error);
                                   });
    }

    dpdk::TemporaryDirectory directory_;
};

TEST_F(ClientTest, JsonIsOneArrayEvenWhenEmpty) {
    for (const int rows : {0, 1, 3000}) {
        const auto server = serve(rows);
        testing::internal::CaptureStdout();
        list_flows(settings(Format::json), {});
        flush_output();
        const json printed = json::parse(testing::internal::GetCapturedStdout());
        ASSERT_TRUE(printed.is_array());
        EXPECT_EQ(printed.size(), static_cast<std::size_t>(rows));
        if (rows > 0) {
            EXPECT_EQ(printed[0], flow());
        }
    }
}

TEST_F(ClientTest, TextIsALineForEachFlow) {
    const auto server = serve(2);
    testing::internal::CaptureStdout();
    list_flows(settings(Format::text), {});
    flush_output();
    EXPECT_EQ(testing::internal::GetCapturedStdout(),
              "tcp      6 9 rule=\"quoted\"\ntcp      6 9 rule=\"quoted\"\n");
}

TEST_F(ClientTest, DetailsHaveEveryField) {
    const auto server = serve(1);
    testing::internal::CaptureStdout();
    EXPECT_TRUE(show_flows(settings(Format::text), {}));
    flush_output();
    const std::string details = testing::internal::GetCapturedStdout();
    EXPECT_EQ(std::count(details.begin(), details.end(), '\n'),
              static_cast<std::ptrdiff_t>(flow().flatten().size() + 1));
    EXPECT_THAT(details, HasSubstr("original.source             10.1.0.2\n"));
    EXPECT_THAT(details, HasSubstr("rule                        nodeport\n"));
}

TEST_F(ClientTest, NoFlowToShowIsToldFromOne) {
    const auto server = serve(0);
    EXPECT_FALSE(show_flows(settings(Format::text), {}));
}

TEST_F(ClientTest, TheDaemonsErrorComesThrough) {
    const auto server = serve(1, "no such thing");
    Client client(directory_ / "control.sock", 10);
    int rows = 0;
    try {
        client.call({{"command", "x"}}, [&](std::string_view) { ++rows; });
        FAIL() << "no error";
    } catch (const DaemonError& error) {
        EXPECT_STREQ(error.what(), "no such thing");
    }
    EXPECT_EQ(rows, 1);
}

TEST_F(ClientTest, SaysWhichSocketHasNoDaemon) {
    const std::string path = directory_ / "control.sock";
    try {
        const Client client(path, 10);
        FAIL() << "connected to nothing";
    } catch (const NoDaemon& error) {
        EXPECT_THAT(error.what(), HasSubstr(path));
        EXPECT_THAT(error.what(), HasSubstr("noclash --config"));
    }
}

/// Listens, but serves nobody: as a stopped daemon, unless `answer` says more.
class FakeDaemon {
  public:
    explicit FakeDaemon(const std::string& path, int backlog = 1) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        listener_ = ::socket(AF_UNIX, SOCK_STREAM, 0);
        EXPECT_EQ(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address),
                  0);
        EXPECT_EQ(::listen(listener_, backlog), 0);
    }
    FakeDaemon(const FakeDaemon&) = delete;
    FakeDaemon& operator=(const FakeDaemon&) = delete;
    ~FakeDaemon() { ::close(listener_); }

    /// Says `text` to the next client that asks something, and hangs up.
    std::thread answer(std::string text) const {
        return std::thread([this, text = std::move(text)] {
            const int client = ::accept(listener_, nullptr, nullptr);
            char request[256];
            (void)!::recv(client, request, sizeof request, 0);
            (void)!::send(client, text.data(), text.size(), MSG_NOSIGNAL);
            ::close(client);
        });
    }

  private:
    int listener_ = -1;
};

TEST_F(ClientTest, ADaemonThatDiesInMidAnswerIsNoEnd) {
    const std::string path = directory_ / "control.sock";
    const FakeDaemon daemon(path);
    std::thread answering = daemon.answer("{\"row\":{}}\n{\"row\":{\"a\"");
    Client client(path, 10);
    int rows = 0;
    EXPECT_THROW(client.call({{"command", "x"}}, [&](std::string_view) { ++rows; }), NoDaemon);
    EXPECT_EQ(rows, 1);
    answering.join();
}

TEST_F(ClientTest, SomethingElseThanNoclashIsNoDaemon) {
    const std::string path = directory_ / "control.sock";
    const FakeDaemon daemon(path);
    for (const char* nonsense :
         {"HTTP/1.1 400 Bad Request\r\n", "{}\n", "[]\n", "{\"row\":3\n", "{\"error\":4}\n"}) {
        std::thread answering = daemon.answer(nonsense);
        Client client(path, 10);
        EXPECT_THROW(client.call({{"command", "x"}}, [](std::string_view) {}), NoDaemon)
            << nonsense;
        answering.join();
    }
}

TEST_F(ClientTest, EmptyLinesMeanThatTheDaemonIsAtWork) {
    const std::string path = directory_ / "control.sock";
    const FakeDaemon daemon(path);
    std::thread answering = daemon.answer("\n\n{\"row\":1}\n\n{\"end\":{\"rows\":1}}\n");
    Client client(path, 10);
    int rows = 0;
    client.call({{"command", "x"}}, [&](std::string_view) { ++rows; });
    EXPECT_EQ(rows, 1);
    answering.join();
}

TEST_F(ClientTest, AStoppedDaemonIsGivenUp) {
    const std::string path = directory_ / "control.sock";
    const FakeDaemon daemon(path, 0);
    const auto expect_silence = [&] {
        try {
            Client client(path, 1);
            client.call({{"command", "x"}}, [](std::string_view) {});
            ADD_FAILURE() << "an answer";
        } catch (const NoDaemon& error) {
            EXPECT_THAT(error.what(), HasSubstr(path + " has been silent for 1 s"));
        }
    };
    expect_silence();
    // The first client still stands in the backlog, which is full by it: the next is not let in.
    expect_silence();
}

/// Both ends of a pipe that nobody reads yet.
struct Pipe {
    Pipe() { EXPECT_EQ(::pipe(ends), 0); }
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;
    ~Pipe() { close_both(); }
    void close_both() {
        for (int& end : ends) {
            if (end >= 0) ::close(end);
            end = -1;
        }
    }
    std::string read(std::size_t bytes) const {
        std::string text(bytes, '\0');
        std::size_t have = 0;
        while (have < bytes) {
            const ssize_t got = ::read(ends[0], text.data() + have, bytes - have);
            if (got <= 0) break;
            have += static_cast<std::size_t>(got);
        }
        text.resize(have);
        return text;
    }
    int ends[2] = {-1, -1};
};

TEST(SpoolTest, NeverWaitsForItsReaderAndKeepsTheOrder) {
    const Pipe pipe;
    Spool spool(pipe.ends[1], 100000);
    std::string all;
    // A pipe holds 64 KiB, the memory 100 kB, and the rest is in the file; twice, since the file is
    // used anew when it has been read.
    for (int turn = 0; turn < 2; ++turn) {
        std::string written;
        for (int i = 0; i < 100000; ++i) {
            const std::string text = "line " + std::to_string(i) + "\n";
            spool.write(text);
            written += text;
        }
        EXPECT_EQ(pipe.read(written.size()), written);
    }
    spool.drain();
}

TEST(SpoolTest, AReaderThatLeftIsAnError) {
    ::signal(SIGPIPE, SIG_IGN);
    Pipe pipe;
    Spool spool(pipe.ends[1]);
    ::close(std::exchange(pipe.ends[0], -1));
    spool.write("x");
    try {
        spool.drain();
        FAIL() << "nobody has read";
    } catch (const std::runtime_error& error) {
        EXPECT_THAT(error.what(), HasSubstr("cannot write: Broken pipe"));
    }
    EXPECT_THROW(spool.write("y"), std::runtime_error);
}

TEST(SpoolTest, ADirectoryWithoutRoomIsNamed) {
    ::signal(SIGPIPE, SIG_IGN);
    ::setenv("TMPDIR", "/nowhere", 1);
    Pipe pipe;
    Spool spool(pipe.ends[1], 1000);
    try {
        for (int i = 0; i < 100; ++i)
            spool.write(std::string(10000, 'x'));
        FAIL() << "kept in no file";
    } catch (const std::runtime_error& error) {
        EXPECT_THAT(error.what(), HasSubstr("cannot keep in /nowhere"));
        EXPECT_THAT(error.what(), HasSubstr("set TMPDIR"));
    }
    ::unsetenv("TMPDIR");
    ::close(std::exchange(pipe.ends[0], -1));  // so that nothing is left to be waited for
}

TEST(Usage, FindsTheWordThatWasMeant) {
    const std::vector<std::string> commands{"list", "count", "flush", "show"};
    EXPECT_EQ(closest("flst", commands), "list");
    EXPECT_EQ(closest("lsit", commands), "list");
    EXPECT_EQ(closest("fluhs", commands), "flush");
    EXPECT_EQ(closest("co", commands), "count");
    EXPECT_EQ(closest("sho", commands), "show");
    EXPECT_EQ(closest("delete", commands), std::nullopt);
    EXPECT_EQ(closest("", commands), std::nullopt);
    EXPECT_EQ(closest("x", commands), std::nullopt);
    EXPECT_EQ(closest("--protcol", {"--port", "--protocol"}), "--protocol");
    EXPECT_EQ(closest("--x", {"--port", "--protocol"}), std::nullopt);
}

}  // namespace
}  // namespace noclash::tools::noclashctl_test
