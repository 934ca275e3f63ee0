// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "dpdk/control_socket.hpp"
#include "tests/unit/dpdk/control_client.hpp"
#include "tools/noclashctl/client.hpp"
#include "tools/noclashctl/commands.hpp"
#include "tools/noclashctl/flow_text.hpp"
#include "tools/noclashctl/output.hpp"
#include "tools/noclashctl/tables.hpp"

namespace noclash::tools {
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

TEST(FlowText, LooksLikeConntrack) {
    EXPECT_EQ(flow_line(flow()),
              "tcp      6 431999 ESTABLISHED src=10.1.0.2 dst=10.1.0.1 sport=40000 dport=30080 "
              "packets=5 bytes=300 src=10.2.0.2 dst=10.2.0.1 sport=80 dport=51234 packets=4 "
              "bytes=4000 [ASSURED] zone=0 rule=nodeport\n");
}

TEST(FlowText, MarksWhatWasNotAnswered) {
    json unanswered = flow();
    unanswered["replied"] = false;
    unanswered["assured"] = false;
    const std::string line = flow_line(unanswered);
    EXPECT_THAT(line, HasSubstr("bytes=300 [UNREPLIED] src=10.2.0.2"));
    EXPECT_THAT(line, HasSubstr("bytes=4000 zone=0"));
}

TEST(FlowText, UdpHasNoState) {
    json udp = flow();
    udp["protocol"] = "udp";
    udp["state"] = nullptr;
    EXPECT_THAT(flow_line(udp), testing::StartsWith("udp      17 431999 src=10.1.0.2 "));
}

TEST(FlowText, EchoesShowTheirIdentifier) {
    json icmp = flow();
    icmp["protocol"] = "icmp";
    icmp["state"] = nullptr;
    icmp["original"]["source_port"] = 77;
    icmp["original"]["destination_port"] = 0;
    icmp["reply"]["source_port"] = 0;
    icmp["reply"]["destination_port"] = 78;
    const std::string line = flow_line(icmp);
    EXPECT_THAT(line, testing::StartsWith("icmp     1 431999 src=10.1.0.2 dst=10.1.0.1 "
                                          "type=8 code=0 id=77 packets=5"));
    EXPECT_THAT(line, HasSubstr("dst=10.2.0.1 type=0 code=0 id=78 packets=4"));
}

TEST(FlowText, DetailsHaveEveryField) {
    const std::string details = flow_details(flow().dump());
    const auto flat = flow().flatten();
    EXPECT_EQ(std::count(details.begin(), details.end(), '\n'),
              static_cast<std::ptrdiff_t>(flat.size() + 1));
    EXPECT_THAT(details, HasSubstr("original.source             10.1.0.2\n"));
    EXPECT_THAT(details, HasSubstr("rule                        nodeport\n"));
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
                          "cpu=0 found=7 invalid=0 insert=3 insert_failed=0 drop=0 early_drop=0 "
                          "error=0 search_restart=0 clash_resolve=0 chaintoolong=1\ncpu=1 "));
    EXPECT_THAT(text, HasSubstr("rx_packets     15     10      5\n"));
    EXPECT_THAT(text, HasSubstr("ttl          8      4      4  time to live exceeded\n"));
    EXPECT_THAT(text, testing::Not(HasSubstr("a rule says drop")));
}

TEST(FlowRequest, SendsOnlyWhatWasAskedFor) {
    FlowFilter filter;
    filter.source = "10.1.0.0/16";
    filter.destination_port = 80;
    EXPECT_EQ(
        flow_request("flows list", filter),
        R"({"command":"flows list","filter":{"destination_port":80,"source":"10.1.0.0/16"}})");
    EXPECT_EQ(flow_request("flows flush", {}), R"({"command":"flows flush","filter":{}})");
}

class ClientTest : public testing::Test {
  protected:
    Settings settings(Format format) const { return {directory_ / "control.sock", format}; }
    /// Serves `rows` of flows, and an error in the end when `error` is not empty.
    dpdk::ControlSocket serve(int rows, const std::string& error = "") const {
        return dpdk::ControlSocket({directory_ / "control.sock", 8, 30000},
                                   [=](const json&, dpdk::ResponseWriter& writer) {
                                       for (int i = 0; i < rows; ++i)
                                           writer.row(flow().dump());
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
    EXPECT_EQ(testing::internal::GetCapturedStdout(), flow_line(flow()) + flow_line(flow()));
}

TEST_F(ClientTest, TheDaemonsErrorComesThrough) {
    const auto server = serve(1, "no such thing");
    Client client(directory_ / "control.sock");
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
        const Client client(path);
        FAIL() << "connected to nothing";
    } catch (const NoDaemon& error) {
        EXPECT_THAT(error.what(), HasSubstr(path));
        EXPECT_THAT(error.what(), HasSubstr("noclash --config"));
    }
}

TEST_F(ClientTest, ADaemonThatDiesInMidAnswerIsNoEnd) {
    const std::string path = directory_ / "control.sock";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    const int listener = ::socket(AF_UNIX, SOCK_STREAM, 0);
    ASSERT_EQ(::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(listener, 1), 0);
    std::thread daemon([&] {
        const int client = ::accept(listener, nullptr, nullptr);
        char request[256];
        (void)!::recv(client, request, sizeof request, 0);
        constexpr std::string_view half = "{\"row\":{}}\n{\"row\":{\"a\"";
        (void)!::send(client, half.data(), half.size(), MSG_NOSIGNAL);
        ::close(client);
    });
    Client client(path);
    int rows = 0;
    EXPECT_THROW(client.call({{"command", "x"}}, [&](std::string_view) { ++rows; }), NoDaemon);
    EXPECT_EQ(rows, 1);
    daemon.join();
    ::close(listener);
}

}  // namespace
}  // namespace noclash::tools
