// SPDX-License-Identifier: Apache-2.0
#include "dpdk/control_socket.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <future>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "tests/unit/dpdk/control_client.hpp"

namespace noclash::dpdk {
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
    request += std::string(65536 - request.size() - 2, 'x') + "\"}";
    ASSERT_EQ(request.size(), 65536U);
    longest.send(request + "\n");
    EXPECT_EQ(longest.receive(1), "{\"end\":{\"rows\":0}}\n");
    const RawClient longer(path());
    longer.send(request + " \n");
    EXPECT_THAT(longer.receive(1), HasSubstr("longer than 64 KiB"));
    EXPECT_EQ(longer.receive(1), "");
    const RawClient endless(path());
    endless.send(std::string(100000, 'x'));
    EXPECT_THAT(endless.receive(1), HasSubstr("longer than 64 KiB"));
}

TEST_F(ControlSocketTest, TheNinthClientIsTurnedAwayUntilOneLeaves) {
    const ControlSocket server(options(), handle);
    std::vector<RawClient> clients;
    for (int i = 0; i < 8; ++i) {
        clients.emplace_back(path());
        clients.back().send("{\"command\":\"rows\",\"count\":0}\n");
        ASSERT_EQ(clients.back().receive(1), "{\"end\":{\"rows\":0}}\n");
    }
    EXPECT_THAT(RawClient(path()).receive_all(),
                HasSubstr("{\"error\":\"8 clients are being served"));
    clients.pop_back();
    // The server notices in its own time that a client left.
    std::string answer;
    do {
        const RawClient next(path());
        next.send("{\"command\":\"rows\",\"count\":0}\n");
        answer = next.receive(1);
    } while (answer.find("clients are being served") != std::string::npos);
    EXPECT_EQ(answer, "{\"end\":{\"rows\":0}}\n");
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
}  // namespace noclash::dpdk
