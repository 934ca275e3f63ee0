// SPDX-License-Identifier: Apache-2.0
#include "dpdk/control/control_socket.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <future>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <vector>

#include "dpdk/control/control_request.hpp"
#include "tests/unit/dpdk/control_client.hpp"

namespace noclash::dpdk::control_socket_test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

/// `rows`: answers with so many; `fail`: throws behind a row; `flood`: never ends.
void handle(const json& request, ResponseWriter& writer) {
    const std::string command = request.at("command");
    if (command == "rows") {
        for (int i = 0; i < request.at("count").get<int>(); ++i) {
            writer.row(json{{"n", i}}.dump());
        }
    } else if (command == "fail") {
        writer.row("{}");
        throw std::runtime_error("broken \"here\"");
    } else if (command == "flood") {
        const std::string row = json{{"filling", std::string(1000, 'x')}}.dump();
        for (;;)
            writer.row(row);
    }
}

class ControlSocketTest : public testing::Test {
  protected:
    std::string path() const { return directory_ / "sub/control.sock"; }
    ControlSocketOptions options() const { return {path(), 8, 30000}; }

    TemporaryDirectory directory_;
};

TEST_F(ControlSocketTest, AnswersRequestsOneAfterAnother) {
    const ControlSocket server(options(), handle);
    const RawClient client(path());
    client.send("{\"command\":\"rows\",\"count\":2}\n{\"command\":\"rows\",\"count\":0}\n");
    EXPECT_EQ(client.receive(4),
              "{\"row\":{\"n\":0}}\n{\"row\":{\"n\":1}}\n{\"end\":{\"rows\":2}}\n"
              "{\"end\":{\"rows\":0}}\n");
}

TEST_F(ControlSocketTest, StreamsMoreThanAnyBufferHolds) {
    const ControlSocket server(options(), handle);
    const RawClient client(path());
    client.send("{\"command\":\"rows\",\"count\":200000}\n");
    const std::string text = client.receive(200001);
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 200001);
    EXPECT_THAT(text, testing::EndsWith("{\"row\":{\"n\":199999}}\n{\"end\":{\"rows\":200000}}\n"));
}

TEST_F(ControlSocketTest, ExceptionsBecomeTheErrorLine) {
    const ControlSocket server(options(), handle);
    const RawClient client(path());
    client.send("{\"command\":\"fail\"}\n");
    EXPECT_EQ(client.receive(2), "{\"row\":{}}\n{\"error\":\"broken \\\"here\\\"\"}\n");
    client.send("{\"command\":\"rows\"}\n");
    EXPECT_THAT(client.receive(1), HasSubstr("{\"error\":"));
}

TEST_F(ControlSocketTest, RefusesWhatIsNoRequest) {
    const ControlSocket server(options(), handle);
    const RawClient client(path());
    for (const char* line : {"\n", "x\n", "[]\n", "{}\n", "{\"command\":3}\n", "\xff\xfe\n"}) {
        client.send(line);
        EXPECT_THAT(client.receive(1), testing::StartsWith("{\"error\":")) << line;
    }
}

TEST_F(ControlSocketTest, RefusesALongRequestAndTakesTheLongestAllowed) {
    const ControlSocket server(options(), handle);
    const RawClient longest(path());
    std::string request = "{\"command\":\"rows\",\"count\":0,\"x\":\"";
    request += std::string(longest_request - request.size() - 2, 'x') + "\"}";
    ASSERT_EQ(request.size(), longest_request);
    longest.send(request + "\n");
    EXPECT_EQ(longest.receive(1), "{\"end\":{\"rows\":0}}\n");
    const RawClient longer(path());
    longer.send(request + " \n");
    EXPECT_THAT(longer.receive(1), HasSubstr("longer than 1 MiB"));
    EXPECT_EQ(longer.receive(1), "");
    const RawClient endless(path());
    endless.send(std::string(longest_request + 1, 'x'));
    EXPECT_THAT(endless.receive(1), HasSubstr("longer than 1 MiB"));
}

TEST_F(ControlSocketTest, RefusesADeepRequestBeforeItIsParsed) {
    const ControlSocket server(options(), handle);
    const RawClient client(path());
    const auto nested = [](std::size_t depth) {
        return R"({"command":"rows","count":0,"x":)" + std::string(depth, '[') +
               std::string(depth, ']') + "}\n";
    };
    client.send(nested(deepest_request - 1));
    EXPECT_EQ(client.receive(1), "{\"end\":{\"rows\":0}}\n");
    for (const std::size_t depth : {deepest_request, std::size_t{30000}}) {
        client.send(nested(depth));
        EXPECT_THAT(client.receive(1), HasSubstr("nested deeper than 8 levels")) << depth;
    }
    client.send(R"({"command":"rows","count":0,"x":"[[[[[[[[[[[[\"[[[["})"
                "\n");
    EXPECT_EQ(client.receive(1), "{\"end\":{\"rows\":0}}\n") << "brackets of a text";
}

TEST(ControlRequest, NestingIsThatOfTheDeepestPlace) {
    EXPECT_EQ(nesting_of(""), 0U);
    EXPECT_EQ(nesting_of("3"), 0U);
    EXPECT_EQ(nesting_of("{}"), 1U);
    EXPECT_EQ(nesting_of(R"({"a":[{}],"b":[]})"), 3U);
    EXPECT_EQ(nesting_of("[[[["), 4U);
    EXPECT_EQ(nesting_of("]]]][[}}}{"), 2U);
    EXPECT_EQ(nesting_of(R"("[[[)"), 0U);
    EXPECT_EQ(nesting_of(R"("\"[[" [)"), 1U);
    EXPECT_EQ(nesting_of("\"\\"), 0U);
}

TEST(ControlRequest, UnknownKeysAreRefused) {
    const json request{{"command", "flows flush"}, {"filters", json::object()}};
    EXPECT_THROW(allow_only(request, {"filter"}), std::runtime_error);
    EXPECT_NO_THROW(allow_only(request, {"filter", "filters"}));
}

/// Eight clients that have had an answer each, and say nothing more.
std::vector<RawClient> eight_idle_clients(const std::string& path) {
    std::vector<RawClient> clients;
    for (int i = 0; i < 8; ++i) {
        clients.emplace_back(path);
        clients.back().send("{\"command\":\"rows\",\"count\":0}\n");
        EXPECT_EQ(clients.back().receive(1), "{\"end\":{\"rows\":0}}\n");
    }
    return clients;
}

void expect_served(const std::string& path) {
    const RawClient client(path);
    client.send("{\"command\":\"rows\",\"count\":1}\n");
    EXPECT_EQ(client.receive(2), "{\"row\":{\"n\":0}}\n{\"end\":{\"rows\":1}}\n");
}

TEST_F(ControlSocketTest, TheOldestIdleClientLeavesForTheNinth) {
    ControlSocketOptions strict = options();
    strict.idle_ms = 0;
    const ControlSocket server(strict, handle);
    const std::vector<RawClient> idle = eight_idle_clients(path());
    expect_served(path());
    EXPECT_EQ(idle.front().receive_all(), "") << "the oldest stayed";
    idle.back().send("{\"command\":\"rows\",\"count\":0}\n");
    EXPECT_EQ(idle.back().receive(1), "{\"end\":{\"rows\":0}}\n") << "the newest left";
}

TEST_F(ControlSocketTest, AClientThatLeftMakesRoomForTheNinth) {
    ControlSocketOptions patient = options();
    patient.idle_ms = patient.newcomer_waits_ms = 30000;  // meson's limit for all tests is 300 s
    const ControlSocket server(patient, handle);
    std::vector<RawClient> clients = eight_idle_clients(path());
    clients.pop_back();
    expect_served(path());
    clients.front().send("{\"command\":\"rows\",\"count\":0}\n");
    EXPECT_EQ(clients.front().receive(1), "{\"end\":{\"rows\":0}}\n") << "one left for nothing";
}

TEST_F(ControlSocketTest, ClientsThatReadNothingLockNobodyOut) {
    const ControlSocket server(options(), handle);
    std::vector<RawClient> stalled;
    for (int i = 0; i < 8; ++i) {
        stalled.emplace_back(path());
        stalled.back().send("{\"command\":\"flood\"}\n");
    }
    expect_served(path());
    expect_served(path());
}

TEST_F(ControlSocketTest, ClientsThatAreServedForEverLockNobodyOut) {
    ControlSocketOptions hurried = options();
    hurried.newcomer_waits_ms = 100;
    const ControlSocket server(hurried, [](const json& request, ResponseWriter& writer) {
        if (request.at("command") == "rows") return handle(request, writer);
        for (;; std::this_thread::sleep_for(std::chrono::milliseconds(1)))
            writer.at_work();
    });
    std::vector<RawClient> busy;
    for (int i = 0; i < 8; ++i) {
        busy.emplace_back(path());
        busy.back().send("{\"command\":\"think\"}\n");
        EXPECT_EQ(busy.back().receive(1), "\n") << "no sign of life";
    }
    expect_served(path());
    EXPECT_THAT(busy.front().receive_all(), testing::MatchesRegex("\n*"));
    EXPECT_EQ(busy.back().receive(1), "\n") << "the newest left";
}

TEST_F(ControlSocketTest, AStalledClientDelaysNobodyAndIsDropped) {
    ControlSocketOptions impatient = options();
    impatient.timeout_ms = 100;
    std::promise<void> gone;
    const ControlSocket server(impatient, [&](const json& request, ResponseWriter& writer) {
        try {
            handle(request, writer);
        } catch (const ClientGone&) {
            gone.set_value();
            throw;
        }
    });
    const RawClient stalled(path());
    stalled.send("{\"command\":\"flood\"}\n");
    const RawClient other(path());
    other.send("{\"command\":\"rows\",\"count\":1}\n");
    EXPECT_EQ(other.receive(2), "{\"row\":{\"n\":0}}\n{\"end\":{\"rows\":1}}\n");
    gone.get_future().wait();
}

TEST_F(ControlSocketTest, AStalledClientIsDroppedAfterOneTimeout) {
    // Not after two, the first of which ends with part of a buffer sent.
    ControlSocketOptions impatient = options();
    impatient.timeout_ms = 4000;
    using Clock = std::chrono::steady_clock;
    std::promise<Clock::duration> stalled_for;
    const ControlSocket server(impatient, [&](const json&, ResponseWriter& writer) {
        auto last_row = Clock::now();
        try {
            for (;; last_row = Clock::now())
                writer.row(json{{"filling", std::string(1000, 'x')}}.dump());
        } catch (const ClientGone&) {
            stalled_for.set_value(Clock::now() - last_row);
            throw;
        }
    });
    const RawClient stalled(path());
    stalled.send("{\"command\":\"flood\"}\n");
    const auto seconds = std::chrono::duration<double>(stalled_for.get_future().get()).count();
    EXPECT_GE(seconds, 3.9);
    EXPECT_LT(seconds, 7.9);
}

TEST_F(ControlSocketTest, AVanishedClientEndsItsHandler) {
    std::promise<void> gone;
    const ControlSocket server(options(), [&](const json& request, ResponseWriter& writer) {
        try {
            handle(request, writer);
        } catch (const ClientGone&) {
            gone.set_value();
            throw;
        }
    });
    {
        const RawClient client(path());
        client.send("{\"command\":\"flood\"}\n");
        EXPECT_NE(client.receive(1), "");
    }
    gone.get_future().wait();
}

TEST_F(ControlSocketTest, AnIdleClientIsDropped) {
    ControlSocketOptions impatient = options();
    impatient.timeout_ms = 50;
    const ControlSocket server(impatient, handle);
    const RawClient client(path());
    client.send("{\"command\":");
    EXPECT_EQ(client.receive_all(), "");
}

TEST_F(ControlSocketTest, StopsWithClientsConnectedAndRemovesTheSocket) {
    // An endless answer and an idle client, both with half a minute left, must not hold it up:
    // would they, the test would run into meson's limit.
    std::optional<ControlSocket> server;
    server.emplace(options(), handle);
    const RawClient flooded(path());
    flooded.send("{\"command\":\"flood\"}\n");
    EXPECT_NE(flooded.receive(1), "");
    const RawClient idle(path());
    idle.send("{\"command\":\"rows\",\"count\":0}\n");
    EXPECT_NE(idle.receive(1), "");
    server.reset();
    EXPECT_EQ(idle.receive_all(), "");
    EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(ControlSocketTest, OnlyOwnerAndGroupMayUseIt) {
    const ControlSocket server(options(), handle);
    struct stat status {};
    ASSERT_EQ(::stat(path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0660U);
}

TEST_F(ControlSocketTest, ASecondDaemonIsTurnedAwayAndHarmsNothing) {
    const ControlSocket first(options(), handle);
    try {
        const ControlSocket second(options(), handle);
        FAIL() << "two daemons at one socket";
    } catch (const std::runtime_error& error) {
        EXPECT_THAT(error.what(), HasSubstr(path() + ": another process listens there"));
    }
    const RawClient client(path());
    client.send("{\"command\":\"rows\",\"count\":0}\n");
    EXPECT_EQ(client.receive(1), "{\"end\":{\"rows\":0}}\n");
}

TEST_F(ControlSocketTest, ReplacesTheSocketOfAKilledDaemon) {
    std::filesystem::create_directories(std::filesystem::path(path()).parent_path());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof address.sun_path - 1);
    const int dead = ::socket(AF_UNIX, SOCK_STREAM, 0);
    ASSERT_EQ(::bind(dead, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(dead, 1), 0);
    ::close(dead);
    ASSERT_TRUE(std::filesystem::exists(path()));
    const ControlSocket server(options(), handle);
    EXPECT_TRUE(RawClient(path()).connected());
}

TEST_F(ControlSocketTest, LeavesOtherFilesAlone) {
    const ControlSocketOptions plain{directory_ / "file", 8, 30000};
    std::ofstream(plain.path) << "precious";
    EXPECT_THROW(ControlSocket(plain, handle), std::runtime_error);
    std::string content;
    std::ifstream(plain.path) >> content;
    EXPECT_EQ(content, "precious");
}

TEST_F(ControlSocketTest, LeavesTheSocketOfASuccessorAlone) {
    std::optional<ControlSocket> first;
    first.emplace(options(), handle);
    std::filesystem::remove(path());
    const ControlSocket second(options(), handle);
    first.reset();
    EXPECT_TRUE(RawClient(path()).connected());
}

}  // namespace
}  // namespace noclash::dpdk::control_socket_test
