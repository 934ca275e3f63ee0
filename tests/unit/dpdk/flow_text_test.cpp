// SPDX-License-Identifier: Apache-2.0
#include "dpdk/control/flow_text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "dpdk/control/flow_filter.hpp"
#include "nat/conntrack/tcp_state.hpp"
#include "nat/mapping/mapping.hpp"
#include "nat/packet/protocols.hpp"

namespace noclash::dpdk::flow_text_test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

constexpr std::uint32_t ten_1 = 0x0a010000;
constexpr std::uint32_t ten_2 = 0x0a020000;

const nat::Names& rules() {
    static nat::Names names(1);
    (void)names.id_of("the \"node\" port");
    return names;
}

FlowView flow() {
    FlowView view{};
    view.id = 1;
    view.original = {V4Address::from_host(ten_1 + 2),
                     V4Address::from_host(ten_1 + 1),
                     Be16::from_host(40000),
                     Be16::from_host(30080),
                     0,
                     nat::ip_protocol::tcp,
                     0};
    view.reply = {V4Address::from_host(ten_2 + 2),
                  V4Address::from_host(ten_2 + 1),
                  Be16::from_host(80),
                  Be16::from_host(51234),
                  0,
                  nat::ip_protocol::tcp,
                  0};
    view.packets[0] = 5;
    view.packets[1] = 4;
    view.bytes[0] = 300;
    view.bytes[1] = 4000;
    view.timeout_ms = 431999999;
    view.protocol_state = static_cast<std::uint8_t>(nat::TcpState::established);
    view.marks = flow_mark::assured | flow_mark::replied;
    return view;
}

FlowView with_protocol(std::uint8_t protocol) {
    FlowView view = flow();
    view.original.protocol = view.reply.protocol = protocol;
    return view;
}

FlowView wildcard(std::uint8_t kind) {
    FlowView view = flow();
    view.original.reserved = view.reply.reserved = kind;
    view.references = 3;
    view.protocol_state = static_cast<std::uint8_t>(nat::Filtering::endpoint_independent);
    return view;
}

std::string line_of(const FlowView& view) {
    FlowText text(rules());
    return json::parse(text.line(view)).get<std::string>();
}

json object_of(const FlowView& view) {
    FlowText text(rules());
    return json::parse(text.object(view));
}

TEST(FlowText, LooksLikeConntrack) {
    EXPECT_EQ(line_of(flow()),
              "tcp      6 431999 ESTABLISHED src=10.1.0.2 dst=10.1.0.1 sport=40000 dport=30080 "
              "packets=5 bytes=300 src=10.2.0.2 dst=10.2.0.1 sport=80 dport=51234 packets=4 "
              "bytes=4000 [ASSURED] zone=0 rule=the \"node\" port");
}

TEST(FlowText, MarksWhatWasNotAnswered) {
    FlowView unanswered = flow();
    unanswered.marks = 0;
    const std::string line = line_of(unanswered);
    EXPECT_THAT(line, HasSubstr("bytes=300 [UNREPLIED] src=10.2.0.2"));
    EXPECT_THAT(line, HasSubstr("bytes=4000 zone=0"));
}

TEST(FlowText, UdpHasNoState) {
    const FlowView udp = with_protocol(nat::ip_protocol::udp);
    EXPECT_THAT(line_of(udp), StartsWith("udp      17 431999 src=10.1.0.2 "));
    EXPECT_TRUE(object_of(udp).at("state").is_null());
}

TEST(FlowText, ProtocolsWithoutANameAreNumbers) {
    const FlowView other = with_protocol(89);
    EXPECT_THAT(line_of(other), StartsWith("89       89 431999 src="));
    EXPECT_EQ(object_of(other).at("protocol"), "89");
}

TEST(FlowText, EchoesShowTheirIdentifier) {
    FlowView icmp = with_protocol(nat::ip_protocol::icmp);
    icmp.original.source_port = Be16::from_host(77);
    icmp.original.destination_port = icmp.reply.source_port = Be16{};
    icmp.reply.destination_port = Be16::from_host(78);
    const std::string line = line_of(icmp);
    EXPECT_THAT(line, StartsWith("icmp     1 431999 src=10.1.0.2 dst=10.1.0.1 "
                                 "type=8 code=0 id=77 packets=5"));
    EXPECT_THAT(line, HasSubstr("dst=10.2.0.1 type=0 code=0 id=78 packets=4"));
}

TEST(FlowText, ObjectsHaveEveryField) {
    EXPECT_EQ(object_of(flow()),
              json::parse(R"({"protocol":"tcp","state":"ESTABLISHED","timeout_s":431999,"zone":0,
        "original":{"source":"10.1.0.2","destination":"10.1.0.1","source_port":40000,
                    "destination_port":30080,"packets":5,"bytes":300},
        "reply":{"source":"10.2.0.2","destination":"10.2.0.1","source_port":80,
                 "destination_port":51234,"packets":4,"bytes":4000},
        "assured":true,"replied":true,"rule":"the \"node\" port","worker":0})"));
}

TEST(FlowText, MappingsAndPermissions) {
    const FlowView mapping = wildcard(nat::wildcard::remote);
    EXPECT_EQ(line_of(mapping),
              "tcp      6 MAPPING inside=10.1.0.2:40000 outside=10.2.0.1:51234 references=3 "
              "filtering=endpoint-independent zone=0 rule=the \"node\" port");
    EXPECT_EQ(object_of(mapping).at("inside"), json({{"address", "10.1.0.2"}, {"port", 40000}}));
    const FlowView permission = wildcard(nat::wildcard::remote_port);
    EXPECT_EQ(line_of(permission),
              "tcp      6 PERMISSION remote=10.2.0.2 outside=10.2.0.1:51234 references=3 zone=0 "
              "rule=the \"node\" port");
    EXPECT_EQ(object_of(permission).at("remote"), "10.2.0.2");
}

TEST(FlowFilterTest, NamesAreTheSameInUpperAndLowerCase) {
    const auto filter =
        FlowFilter::parse({{"filter", {{"protocol", "TCP"}, {"state", "established"}}}});
    EXPECT_EQ(filter.protocol, nat::ip_protocol::tcp);
    EXPECT_EQ(filter.state, "ESTABLISHED");
    EXPECT_TRUE(filter.matches(flow()));
    EXPECT_FALSE(filter.matches(wildcard(nat::wildcard::remote)));
}

TEST(FlowFilterTest, AbsentAndNullMatchAnyConnection) {
    for (const json& request : {json::object(), json{{"filter", nullptr}}}) {
        const auto filter = FlowFilter::parse(request);
        EXPECT_TRUE(filter.is_empty());
        EXPECT_TRUE(filter.matches(flow()));
        EXPECT_FALSE(filter.matches(wildcard(nat::wildcard::remote)));
    }
}

TEST(FlowFilterTest, EveryFaultNamesItsKey) {
    const auto fault = [](const json& filter) -> std::string {
        try {
            (void)FlowFilter::parse({{"filter", filter}});
        } catch (const std::runtime_error& error) {
            return error.what();
        }
        return "none";
    };
    EXPECT_EQ(fault({{"port", 70000}}), "filter: port: expected a number from 0 to 65535");
    EXPECT_EQ(fault({{"port", "80"}}), "filter: port: expected a number from 0 to 65535");
    EXPECT_THAT(fault({{"source", "10.1.0"}}), StartsWith("filter: source: expected an address"));
    EXPECT_THAT(fault({{"protocol", "tpc"}}), StartsWith("filter: protocol: expected tcp, udp"));
    EXPECT_THAT(fault({{"state", "OPEN"}}), StartsWith("filter: state: expected one of SYN_SENT"));
    EXPECT_EQ(fault({{"zone", 0}}), "filter: zone: no such key");
    EXPECT_EQ(fault(json::array()), "filter: expected an object");
}

}  // namespace
}  // namespace noclash::dpdk::flow_text_test
