// SPDX-License-Identifier: Apache-2.0

// Every key of a configuration, changed by itself, is a change; and whether it needs a restart.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "dpdk/config/config_changes.hpp"

namespace noclash::dpdk::config_keys_test {
namespace {

enum class Needs { reload, restart };

struct Key {
    const char* section;  ///< as `ConfigChange::section`
    const char* key;
    const char* before;  ///< its value in the file; empty: it is not there
    const char* after;
    Needs needs = Needs::reload;
    const char* other_keys = "";  ///< that it cannot be without
};

void PrintTo(const Key& key, std::ostream* out) {
    *out << key.section << ' ' << key.key;
}

constexpr Needs restart = Needs::restart;
constexpr const char* masquerade = R"(action = "masquerade")";
constexpr const char* udp_service = "protocol = 'udp'\naddress = '10.9.0.7'";
constexpr const char* service = "ports = 80\nprotocol = 'udp'\naddress = '10.9.0.7'";
constexpr const char* dnat = "action = \"dnat\"\ntarget = \"10.1.0.2\"";

const Key keys[]{
    {"", "name", "'a'", "'b'", restart},
    {"", "flows", "4096", "8192", restart},
    {"", "workers", "1", "2", restart},
    {"", "cores", "[0]", "[1]", restart},
    {"", "idle", "'poll'", "'nap'", restart},
    {"", "reply_locality", "false", "true", restart},
    {"", "control_socket", "'/a'", "'/b'", restart},
    {"", "log_level", "'info'", "'debug'"},
    {"", "no_room_icmp", "'host-unreachable'", "'prohibited'"},
    {"", "no_room_icmp", "'prohibited'", "'none'"},
    {"", "tcp_window", "'liberal'", "'strict'"},
    {"", "tcp_pickup", "false", "true"},
    {"", "tcp_timestamps", "'preserve'", "'strip'", restart},
    {"", "tcp_reuse", "'safe'", "'never'"},
    {"", "tcp_unknown", "'drop'", "'reset'"},
    {"state", "keep", "true", "false", restart},
    {"state", "file", "'/dev/shm/a'", "'/dev/shm/b'", restart},
    {"memory", "huge_pages", "'auto'", "'none'", restart},
    {"memory", "dpdk_megabytes", "0", "64", restart},
    {"memory", "packet_buffers", "0", "9000", restart},
    {"neighbors", "refresh_s", "15", "16"},
    {"neighbors", "queue_packets", "5120", "100", restart},
    {"neighbors", "capacity", "4096", "100", restart},
    {"fragments", "capacity", "2048", "4096", restart},
    {"fragments", "per_source", "512", "100"},
    {"fragments", "timeout_ms", "3000", "1000"},
    {"timeouts", "tcp_syn_sent_s", "240", "241"},
    {"timeouts", "tcp_syn_recv_s", "240", "241"},
    {"timeouts", "tcp_established_s", "7440", "7441"},
    {"timeouts", "tcp_fin_wait_s", "240", "241"},
    {"timeouts", "tcp_close_wait_s", "240", "241"},
    {"timeouts", "tcp_last_ack_s", "240", "241"},
    {"timeouts", "tcp_time_wait_s", "240", "241"},
    {"timeouts", "tcp_close_s", "240", "241"},
    {"timeouts", "udp_s", "300", "120"},
    {"timeouts", "udp_stream_s", "300", "120"},
    {"timeouts", "icmp_s", "60", "61"},
    {"timeouts", "sctp_established_s", "7440", "1"},
    {"timeouts", "sctp_transitory_s", "240", "1"},
    {"timeouts", "generic_s", "600", "1"},
    {"timeouts", "port_quarantine_s", "120", "121"},
    {"timeouts", "inbound_refresh", "true", "false"},
    {"limits", "subscribers", "'10.1.0.0/16'", "'10.1.0.0/17'", Needs::reload,
     "flows_per_subscriber = 9"},
    {"limits", "flows_per_subscriber", "0", "100"},
    {"limits", "ports_per_subscriber", "0", "100"},
    {"limits", "tcp_ports_per_subscriber", "0", "100"},
    {"limits", "udp_ports_per_subscriber", "0", "100"},
    {"limits", "icmp_ids_per_subscriber", "0", "100"},
    {"limits", "half_open_per_source", "0", "100"},
    {"limits", "half_open_per_service", "0", "100"},
    {"limits", "half_open_percent", "75", "50"},
    {"limits", "sources", "65536", "1024", restart, "flows_per_subscriber = 9"},
    {"limits", "early_drop", "false", "true"},
    {"port", "device", "'tap:a'", "'tap:b'", restart, "address = '10.1.0.1/16'"},
    {"port", "address", "'10.1.0.1/16'", "'10.1.0.9/16'", Needs::reload, "device = 'tap:a'"},
    {"port", "mtu", "1500", "1400", restart, "address = '10.1.0.1/16'\ndevice = 'tap:a'"},
    {"port", "descriptors", "1024", "512", restart, "address = '10.1.0.1/16'\ndevice = 'tap:a'"},
    {"port", "reverse_path", "'off'", "'loose'", Needs::reload,
     "address = '10.1.0.1/16'\ndevice = 'tap:a'"},
    {"route", "via", "'10.9.0.7'", "'10.9.0.8'", Needs::reload, "to = '0.0.0.0/0'"},
    {"neighbor", "mac", "'02:00:00:00:00:01'", "'02:00:00:00:00:02'", Needs::reload,
     "address = '10.9.0.7'"},
    {"pool", "addresses", "'203.0.113.8'", "'203.0.113.9'"},
    {"pool", "ports", "'1024-65535'", "'2000-3000'", Needs::reload, "addresses = '203.0.113.8'"},
    {"pool", "pooling", "'paired'", "'arbitrary'", Needs::reload, "addresses = '203.0.113.8'"},
    {"pool", "port_preservation", "false", "true", Needs::reload, "addresses = '203.0.113.8'"},
    {"pool", "port_parity", "false", "true", Needs::reload, "addresses = '203.0.113.8'"},
    {"pool", "mapping", "'endpoint-dependent'", "'endpoint-independent'", Needs::reload,
     "addresses = '203.0.113.8'"},
    {"pool", "filtering", "'address-and-port-dependent'", "'address-dependent'", Needs::reload,
     "addresses = '203.0.113.8'\nmapping = 'endpoint-independent'"},
    {"rule", "action", "'drop'", "'reject'"},
    {"rule", "in", "", "'p'", Needs::reload, masquerade},
    {"rule", "in", "'p'", "'q'", Needs::reload, masquerade},
    {"rule", "protocol", "", "'tcp'", Needs::reload, masquerade},
    {"rule", "from", "'10.0.0.0/8'", "['10.0.0.0/8', '192.168.0.0/16']", Needs::reload, masquerade},
    {"rule", "to", "'10.0.0.0/8'", "'10.0.0.0/9'", Needs::reload, masquerade},
    {"rule", "to_port", "80", "'80-81'", Needs::reload, masquerade},
    {"rule", "pool", "'one'", "'two'", Needs::reload, "action = 'snat'"},
    {"rule", "ports", "'1024-65535'", "'2000-3000'", Needs::reload, masquerade},
    {"rule", "port_preservation", "false", "true", Needs::reload, masquerade},
    {"rule", "port_parity", "false", "true", Needs::reload, masquerade},
    {"rule", "mapping", "'endpoint-dependent'", "'endpoint-independent'", Needs::reload,
     masquerade},
    {"rule", "filtering", "'address-and-port-dependent'", "'address-dependent'", Needs::reload,
     "action = 'masquerade'\nmapping = 'endpoint-independent'"},
    {"rule", "target", "'10.1.0.3'", "'10.1.0.3:80'", Needs::reload,
     "action = 'dnat'\nprotocol = 'tcp'"},
    {"rule", "source", "'keep'", "'masquerade'", Needs::reload, dnat},
    {"rule", "source", "'pool:one'", "'pool:two'", Needs::reload, dnat},
    {"rule", "inside", "'10.1.0.9'", "'10.1.0.8'", Needs::reload,
     "action = 'static'\noutside = '203.0.113.9'"},
    {"rule", "outside", "'203.0.113.9'", "'203.0.113.8'", Needs::reload,
     "action = 'static'\ninside = '10.1.0.9'"},
    {"rule", "mss_clamp", "false", "true", Needs::reload, masquerade},
    {"rule", "mss_clamp", "true", "1400", Needs::reload, masquerade},
    {"rule", "track", "true", "false", Needs::reload, "action = 'forward'"},
    {"rule", "on_change", "'keep'", "'end'", Needs::reload, masquerade},
    {"service", "address", "'10.9.0.7'", "'10.9.0.8'", Needs::reload,
     "ports = 80\nprotocol = 'tcp'"},
    {"service", "ports", "80", "[80, '90-99']", Needs::reload, udp_service},
    {"service", "protocol", "'tcp'", "'sctp'", Needs::reload, "ports = 80\naddress = '10.9.0.7'"},
    {"service", "in", "", "'p'", Needs::reload, service},
    {"service", "in", "'p'", "'q'", Needs::reload, service},
    {"service", "source", "'keep'", "'masquerade'", Needs::reload, service},
    {"service", "source", "'pool:one'", "'pool:two'", Needs::reload, service},
    {"service", "affinity", "'none'", "'client'", Needs::reload, service},
    {"service", "no_backend", "'reject'", "'drop'", Needs::reload, service},
    {"service", "on_gone", "'reset'", "'keep'", Needs::reload, service},
    {"service", "drain_s", "0", "1", Needs::reload, service},
    {"service", "syn_proxy", "'off'", "'on'", Needs::reload, service},
    {"service", "syn_proxy_above", "4096", "4097", Needs::reload, service},
    {"service", "syn_offer", "{ mss = 1460, window_scale = 7 }", "{ mss = 1400 }", Needs::reload,
     service},
    {"service", "inhibit", "false", "true", Needs::reload, service},
    {"service", "inhibit", "true", "{ failures = 4 }", Needs::reload, service},
    {"service", "inhibit", "true", "{ first_s = 11 }", Needs::reload, service},
    {"service", "inhibit", "true", "{ most_s = 301 }", Needs::reload, service},
    {"service", "backends", "[]", "'10.9.0.9'", Needs::reload, service},
    {"service", "backends", "'10.9.0.9'", "'10.9.0.9:80'", Needs::reload, service},
    {"service", "backends", "'10.9.0.9'", "{ address = '10.9.0.9', weight = 0 }", Needs::reload,
     service},
};

/// A file in which the key has this value, and all else has its default.
Config with(const Key& key, const std::string& value) {
    const std::string line = value.empty() ? "" : fmt::format("{} = {}\n", key.key, value);
    const std::string body = fmt::format("{}\n{}", key.other_keys, line);
    // What rules, routes and neighbours of the others refer to; the entry that is changed is 'x'.
    const std::map<std::string, std::string> array_heads{
        {"port", "[[port]]\nname = 'x'\n"}, {"route", "[[route]]\n"},
        {"neighbor", "[[neighbor]]\n"},     {"pool", "[[pool]]\nname = 'x'\n"},
        {"rule", "[[rule]]\nname = 'x'\n"}, {"service", "[[service]]\nname = 'x'\n"}};
    const std::string section = key.section;
    std::string text;
    if (section.empty()) text = body;
    if (section == "state") text = "name = 'a'\n";  // nothing is kept without one
    text += R"(
[[port]]
name = 'p'
device = 'tap:p'
address = '10.9.0.1/16'
[[port]]
name = 'q'
device = 'tap:q'
address = '10.10.0.1/16'
[[route]]
to = '10.0.0.0/8'
via = '10.9.0.2'
[[pool]]
name = 'one'
addresses = '198.51.100.1'
[[pool]]
name = 'two'
addresses = '198.51.100.2'
)";
    if (const auto head = array_heads.find(section); head != array_heads.end())
        text += head->second + body;
    else if (!section.empty())
        text += fmt::format("[{}]\n{}", section, body);
    return parse_config(text, "f");
}

class EveryKey : public testing::TestWithParam<Key> {};

TEST_P(EveryKey, IsAChangeByItself) {
    const Key& key = GetParam();
    const Config before = with(key, key.before);
    const Config after = with(key, key.after);
    EXPECT_THAT(config_changes(before, before), testing::IsEmpty());
    for (const auto& changes : {config_changes(before, after), config_changes(after, before)}) {
        ASSERT_EQ(changes.size(), 1U);
        const ConfigChange& change = changes[0];
        EXPECT_EQ(change.kind, ConfigChange::Kind::changed);
        EXPECT_EQ(change.section, key.section);
        EXPECT_EQ(change.needs_restart, key.needs == Needs::restart) << change.words;
        const bool is_entry = change.name != key.key;  // then the key stands in the words
        EXPECT_THAT(is_entry ? change.words : change.name, testing::StartsWith(key.key));
    }
}

INSTANTIATE_TEST_SUITE_P(All, EveryKey, testing::ValuesIn(keys));

}  // namespace
}  // namespace noclash::dpdk::config_keys_test
