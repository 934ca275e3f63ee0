// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/dpdk/faults_of.hpp"

namespace noclash::dpdk::config_faults_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

// Every case stands in the middle of this file, so that each has exactly one fault.
constexpr const char* above = R"(#1
)";
constexpr const char* below = R"(
[[port]]
name = "lan"
device = "tap:lan0"
address = "10.1.0.1/24"
[[port]]
name = "wan"
device = "tap:wan0"
address = "192.0.2.2/24"
[[pool]]
name = "good"
addresses = "203.0.113.1"

)";

struct Case {
    const char* name;
    const char* text;    ///< from line 2 on, before the ports
    const char* more;    ///< from line 15 on, behind the pool
    const char* expect;  ///< how the only fault begins
};

void PrintTo(const Case& fault, std::ostream* out) {
    *out << fault.expect;
}

class ConfigFault : public testing::TestWithParam<Case> {};

// The floors of the timeouts are among them: [RFC 4787 REQ-5] [RFC 5382 REQ-5] [RFC 5508 REQ-2].
TEST_P(ConfigFault, IsNamedWithLineAndKey) {
    const Case& fault = GetParam();
    const std::string text = std::string(above) + fault.text + below + fault.more;
    EXPECT_THAT(faults_of(text), ElementsAre(StartsWith(fault.expect))) << text;
}

constexpr Case general[] = {
    {"Syntax", "flows = = 1", "", "f:2:9: no valid TOML: "},
    {"DuplicateKey", "flows = 2000\nflows = 3000", "", "f:3:"},
    {"FlowsTooFew", "flows = 1023", "",
     "f:2:9: flows: 1023 is out of range; expected an integer "
     "from 1024 to 134217728"},
    {"FlowsTooMany", "flows = 134217729", "", "f:2:9: flows: 134217729 is out of range"},
    {"FlowsFraction", "flows = 2e6", "", "f:2:9: flows: is a fraction; expected an integer"},
    {"WorkersString", "workers = \"2\"", "", "f:2:11: workers: is a string; expected an integer"},
    {"CoresDoNotMatch", "workers = 3\ncores = [0, 1]", "",
     "f:3:9: cores: names 2 cores for 3 workers"},
    {"CoresNegative", "workers = 1\ncores = [0, -1]", "", "f:3:13: cores: -1 is out of range"},
    {"CoresEmpty", "cores = []", "", "f:2:9: cores: is an empty array"},
    {"CoresNoArray", "cores = 1", "", "f:2:9: cores: is an integer; expected an array"},
    {"Idle", "idle = \"sleep\"", "", "f:2:8: idle: \"sleep\" is not known; expected \"poll\""},
    {"LogLevel", "log_level = \"loud\"", "", "f:2:13: log_level: \"loud\" is not known"},
    {"SocketRelative", "control_socket = \"x.sock\"", "",
     "f:2:18: control_socket: \"x.sock\" is no path"},
    {"UnknownKey", "zebra = 1", "", "f:2:1: zebra: unknown key; expected one of flows, workers"},
    {"UnknownKeyNear", "worker = 1", "", "f:2:1: worker: unknown key; did you mean `workers`?"},
    {"NoRoomIcmp", "no_room_icmp = \"3/13\"", "",
     "f:2:16: no_room_icmp: \"3/13\" is not known; expected \"host-unreachable\""},
    {"TcpWindow", "tcp_window = \"loose\"", "",
     "f:2:14: tcp_window: \"loose\" is not known; expected \"off\""},
    {"TcpPickup", "tcp_pickup = \"yes\"", "",
     "f:2:14: tcp_pickup: is a string; expected true or false"},
    {"TcpTimestamps", "tcp_timestamps = true", "",
     "f:2:18: tcp_timestamps: is a boolean; expected \"preserve\""},
    {"TcpUnknown", "tcp_unknown = \"rst\"", "",
     "f:2:15: tcp_unknown: \"rst\" is not known; expected \"drop\" or \"reset\""},
    {"NameEmpty", "name = \"\"", "",
     "f:2:8: name: \"\" is no name; expected 1 to 31 letters, digits, dots, dashes and "
     "underscores"},
    {"NameTooLong", "name = \"abcdefghijklmnopqrstuvwxyz012345\"", "",
     "f:2:8: name: \"abcdefghijklmnopqrstuvwxyz012345\" is no name"},
    {"NameIsPath", "name = \"../edge\"", "", "f:2:8: name: \"../edge\" is no name"},
    {"NameNumber", "name = 1", "", "f:2:8: name: is an integer; expected 1 to 31 letters"},
    {"StateWithoutName", "[state]\nkeep = true", "",
     "f:2:1: [state]: flows are kept for an instance that has a name; expected `name = \"...\"`"},
    {"StateKey", "name = \"a\"\n[state]\nfiles = \"/dev/shm/a\"", "",
     "f:4:1: [state] files: unknown key; did you mean `file`?"},
    {"StateKeep", "name = \"a\"\n[state]\nkeep = 1", "",
     "f:4:8: [state] keep: is an integer; expected true or false"},
    {"StateFileRelative", "name = \"a\"\n[state]\nfile = \"a.state\"", "",
     "f:4:8: [state] file: \"a.state\" is no path of a file; expected an absolute path"},
    {"StateFileDirectory", "name = \"a\"\n[state]\nfile = \"/dev/shm/\"", "",
     "f:4:8: [state] file: \"/dev/shm/\" is no path of a file"},
    {"TcpReuse", "tcp_reuse = \"always\"", "",
     "f:2:13: tcp_reuse: \"always\" is not known; expected \"never\""},
    {"ReplyLocality", "reply_locality = \"on\"", "",
     "f:2:18: reply_locality: is a string; expected true or false"},
    {"MemoryNoTable", "memory = 3", "", "f:2:10: memory: is an integer; expected a table [memory]"},
    {"HugePages", "[memory]\nhuge_pages = true", "",
     "f:3:14: [memory] huge_pages: is a boolean; expected \"auto\""},
    {"Fragments", "[fragments]\ncapacity = 100000", "",
     "f:3:12: [fragments] capacity: 100000 is out of range"},
    {"FragmentsOfASource", "[fragments]\ncapacity = 64\nper_source = 65", "",
     "f:4:14: [fragments] per_source: one source may hold 65 fragments, and all sources together "
     "only 64; "
     "expected at most 64"},
    {"FragmentsTime", "[fragments]\ntimeout_ms = 5", "",
     "f:3:14: [fragments] timeout_ms: 5 is out of range"},
    {"PacketBuffers", "[memory]\npacket_buffers = -5", "",
     "f:3:18: [memory] packet_buffers: -5 is out of range"},
    {"MemoryKey", "[memory]\nhugepages = \"auto\"", "",
     "f:3:1: [memory] hugepages: unknown key; did you mean `huge_pages`?"},
    {"NeighborRefresh", "[neighbors]\nrefresh_s = 0", "",
     "f:3:13: [neighbors] refresh_s: 0 is out of range"},
    {"NeighborQueue", "[neighbors]\nqueue_packets = 65537", "",
     "f:3:17: [neighbors] queue_packets: 65537 is out of range"},
    {"TimeoutBelowFloor", "[timeouts]\nudp_s = 119", "",
     "f:3:9: [timeouts] udp_s: 119 s is below the floor of RFC 4787 REQ-5; expected at least 120"},
    {"EstablishedBelowFloor", "[timeouts]\ntcp_established_s = 7439", "",
     "f:3:21: [timeouts] tcp_established_s: 7439 s is below the floor of RFC 5382 REQ-5"},
    {"CloseBelowFloor", "[timeouts]\ntcp_close_s = 10", "",
     "f:3:15: [timeouts] tcp_close_s: 10 s is below the floor of RFC 7857"},
    {"IcmpBelowFloor", "[timeouts]\nicmp_s = 59", "",
     "f:3:10: [timeouts] icmp_s: 59 s is below the floor of RFC 5508 REQ-2"},
    {"TimeoutTooLong", "[timeouts]\nudp_s = 2000001", "",
     "f:3:9: [timeouts] udp_s: 2000001 is out of range"},
    {"TimeoutZero", "[timeouts]\nbelow_rfc_floor = true\nudp_s = 0", "",
     "f:4:9: [timeouts] udp_s: 0 is out of range"},
    {"LimitsKey", "[limits]\nflows_per_subscribr = 3", "",
     "f:3:1: [limits] flows_per_subscribr: unknown key; did you mean `flows_per_subscriber`?"},
    {"LimitNegative", "[limits]\nports_per_subscriber = -1", "",
     "f:3:24: [limits] ports_per_subscriber: -1 is out of range"},
    {"SubscribersNoPrefix", "[limits]\nflows_per_subscriber = 1\nsubscribers = \"lan\"", "",
     "f:4:15: [limits] subscribers: \"lan\" is no prefix"},
    {"SubscribersWithoutLimit", "[limits]\nhalf_open_per_source = 9\nsubscribers = \"10.0.0.0/8\"",
     "",
     "f:4:15: [limits] subscribers: has no effect without a limit; expected "
     "`flows_per_subscriber`"},
    {"SourcesWithoutLimit", "[limits]\nsources = 100", "",
     "f:3:11: [limits] sources: has no effect without a limit; expected a limit"},
    {"HalfOpenPercent", "[limits]\nhalf_open_percent = 101", "",
     "f:3:21: [limits] half_open_percent: 101 is out of range; expected an integer from 0 to 100"},
    {"EarlyDropNoBoolean", "[limits]\nearly_drop = 1", "",
     "f:3:14: [limits] early_drop: is an integer; expected true or false"},
    {"FloorNoBoolean", "[timeouts]\nbelow_rfc_floor = 1", "",
     "f:3:19: [timeouts] below_rfc_floor: is an integer; expected true or false"},
};

constexpr Case ports[] = {
    {"NoName", "", "[[port]]\ndevice = \"tap:x\"\naddress = \"10.3.0.1/24\"",
     "f:15:1: [port #3] name: is missing"},
    {"BadName", "", "[[port]]\nname = \"a b\"\ndevice = \"tap:x\"\naddress = \"10.3.0.1/24\"",
     "f:16:8: [port \"a b\"] name: \"a b\" is no name"},
    {"SameName", "", "[[port]]\nname = \"lan\"\ndevice = \"tap:x\"\naddress = \"10.3.0.1/24\"",
     "f:16:8: [port \"lan\"] name: another port is called \"lan\""},
    {"NoDevice", "", "[[port]]\nname = \"x\"\naddress = \"10.3.0.1/24\"",
     "f:15:1: [port \"x\"] device: is missing; expected one of \"af_packet:IFACE\""},
    {"BadDevice", "", "[[port]]\nname = \"x\"\ndevice = \"eth0\"\naddress = \"10.3.0.1/24\"",
     "f:17:10: [port \"x\"] device: \"eth0\" names no kind of device"},
    {"SameDevice", "", "[[port]]\nname = \"x\"\ndevice = \"tap:lan0\"\naddress = \"10.3.0.1/24\"",
     "f:17:10: [port \"x\"] device: port \"lan\" has the same device"},
    {"NoAddress", "", "[[port]]\nname = \"x\"\ndevice = \"tap:x\"",
     "f:15:1: [port \"x\"] address: is missing"},
    {"AddressWithoutLength", "",
     "[[port]]\nname = \"x\"\ndevice = \"tap:x\"\naddress = \"10.3.0.1\"",
     "f:18:11: [port \"x\"] address: \"10.3.0.1\" is no address with a prefix length"},
    {"AddressOfSubnet", "", "[[port]]\nname = \"x\"\ndevice = \"tap:x\"\naddress = \"10.3.0.0/24\"",
     "f:18:11: [port \"x\"] address: \"10.3.0.0/24\" is no address that a host may have"},
    {"Broadcast", "", "[[port]]\nname = \"x\"\ndevice = \"tap:x\"\naddress = \"10.3.0.255/24\"",
     "f:18:11: [port \"x\"] address: \"10.3.0.255/24\" is no address that a host"},
    {"Loopback", "", "[[port]]\nname = \"x\"\ndevice = \"tap:x\"\naddress = \"127.0.0.1/8\"",
     "f:18:11: [port \"x\"] address: \"127.0.0.1/8\" is no address that a host"},
    {"Overlap", "", "[[port]]\nname = \"x\"\ndevice = \"tap:x\"\naddress = \"10.1.0.129/25\"",
     "f:18:11: [port \"x\"] address: subnet 10.1.0.128/25 overlaps 10.1.0.0/24 of port \"lan\""},
    {"Mtu", "", "[[port]]\nname = \"x\"\ndevice = \"tap:x\"\naddress = \"10.3.0.1/24\"\nmtu = 575",
     "f:19:7: [port \"x\"] mtu: 575 is out of range"},
    {"ReversePath", "",
     "[[port]]\nname = \"x\"\ndevice = \"tap:x\"\naddress = \"10.3.0.1/24\"\nreverse_path = true",
     "f:19:16: [port \"x\"] reverse_path: is a boolean"},
    {"Descriptors", "",
     "[[port]]\nname = \"x\"\ndevice = \"tap:x\"\naddress = \"10.3.0.1/24\"\ndescriptors = 1000",
     "f:19:15: [port \"x\"] descriptors: 1000 is no power of two"},
    {"RouteHostBits", "", "[[route]]\nto = \"10.9.0.1/16\"\nvia = \"10.1.0.2\"",
     "f:16:6: [route #1] to: \"10.9.0.1/16\" has host bits set; expected 10.9.0.0/16"},
    {"RouteNoPrefix", "", "[[route]]\nto = \"default\"\nvia = \"10.1.0.2\"",
     "f:16:6: [route #1] to: \"default\" is no prefix"},
    {"RouteWithoutVia", "", "[[route]]\nto = \"10.9.0.0/16\"",
     "f:15:1: [route #1] via: is missing"},
    {"RouteWithoutTo", "", "[[route]]\nvia = \"10.1.0.2\"", "f:15:1: [route #1] to: is missing"},
    {"RouteToNowhere", "", "[[route]]\nto = \"0.0.0.0/0\"\nvia = \"10.7.0.2\"",
     "f:17:7: [route #1] via: 10.7.0.2 lies in no port's subnet"},
    {"RouteToOurselves", "", "[[route]]\nto = \"0.0.0.0/0\"\nvia = \"10.1.0.1\"",
     "f:17:7: [route #1] via: 10.1.0.1 is port \"lan\" itself"},
    {"RouteToBroadcast", "", "[[route]]\nto = \"0.0.0.0/0\"\nvia = \"10.1.0.255\"",
     "f:17:7: [route #1] via: 10.1.0.255 is the first or last address of 10.1.0.0/24"},
    {"RouteTwice", "",
     "[[route]]\nto = \"0.0.0.0/0\"\nvia = \"10.1.0.2\"\n"
     "[[route]]\nto = \"0.0.0.0/0\"\nvia = \"10.1.0.3\"",
     "f:19:6: [route #2] to: another route leads to 0.0.0.0/0"},
    {"RouteToConnected", "", "[[route]]\nto = \"10.1.0.0/24\"\nvia = \"192.0.2.1\"",
     "f:16:6: [route #1] to: 10.1.0.0/24 is the subnet of port \"lan\""},
    {"RouteNoList", "route = 1", "", "f:2:9: route: is an integer; expected a list of tables"},
};

constexpr Case policy[] = {
    {"PoolEmpty", "", "[[pool]]\nname = \"p\"\naddresses = []",
     "f:17:13: [pool \"p\"] addresses: is an empty array"},
    {"PoolMissing", "", "[[pool]]\nname = \"p\"", "f:15:1: [pool \"p\"] addresses: is missing"},
    {"PoolSameName", "", "[[pool]]\nname = \"good\"\naddresses = \"203.0.113.5\"",
     "f:16:8: [pool \"good\"] name: another pool is called \"good\""},
    {"PoolWord", "", "[[pool]]\nname = \"p\"\naddresses = [\"203.0.113.5\", \"x\"]",
     "f:17:29: [pool \"p\"] addresses: \"x\" is no address"},
    {"PoolType", "", "[[pool]]\nname = \"p\"\naddresses = [7]",
     "f:17:14: [pool \"p\"] addresses: is an integer"},
    {"PoolFallingRange", "", "[[pool]]\nname = \"p\"\naddresses = \"203.0.113.5-203.0.113.4\"",
     "f:17:13: [pool \"p\"] addresses: \"203.0.113.5-203.0.113.4\" is no address, rising range"},
    {"PoolHostBits", "", "[[pool]]\nname = \"p\"\naddresses = \"203.0.113.5/28\"",
     "f:17:13: [pool \"p\"] addresses: \"203.0.113.5/28\" has host bits set; expected "
     "203.0.113.0/28"},
    {"PoolTooLarge", "", "[[pool]]\nname = \"p\"\naddresses = \"20.0.0.0/15\"",
     "f:17:13: [pool \"p\"] addresses: the pool grows too large; expected at most 65536"},
    {"PoolMulticast", "", "[[pool]]\nname = \"p\"\naddresses = \"224.0.0.1\"",
     "f:17:13: [pool \"p\"] addresses: \"224.0.0.1\" holds addresses that no host may have"},
    {"PoolRepeats", "", "[[pool]]\nname = \"p\"\naddresses = [\"203.0.113.4/30\", \"203.0.113.6\"]",
     "f:17:13: [pool \"p\"] addresses: 203.0.113.6 is named twice"},
    {"PoolHoldsPort", "", "[[pool]]\nname = \"p\"\naddresses = \"192.0.2.0/29\"",
     "f:17:13: [pool \"p\"] addresses: \"192.0.2.0/29\" holds the address of port \"wan\""},
    {"PoolPorts", "", "[[pool]]\nname = \"p\"\naddresses = \"203.0.113.5\"\nports = \"0-100\"",
     "f:18:9: [pool \"p\"] ports: \"0-100\" is no range of ports"},
    {"PoolPortsFall", "", "[[pool]]\nname = \"p\"\naddresses = \"203.0.113.5\"\nports = \"9-8\"",
     "f:18:9: [pool \"p\"] ports: \"9-8\" is no range of ports"},
    {"PoolPooling", "", "[[pool]]\nname = \"p\"\naddresses = \"203.0.113.5\"\npooling = \"pair\"",
     "f:18:11: [pool \"p\"] pooling: \"pair\" is not known"},
    {"PoolPreservation", "",
     "[[pool]]\nname = \"p\"\naddresses = \"203.0.113.5\"\nport_preservation = 1",
     "f:18:21: [pool \"p\"] port_preservation: is an integer; expected true or false"},
    {"PoolParityOfOnePort", "",
     "[[pool]]\nname = \"p\"\naddresses = \"203.0.113.5\"\nports = \"5000\"\nport_parity = true",
     "f:19:15: [pool \"p\"] port_parity: port 5000 is the only one of `ports`; expected `ports` "
     "with "
     "even and odd ones"},
    {"ParityOfSnat", "",
     "[[rule]]\nname = \"r\"\naction = \"snat\"\npool = \"good\"\nport_parity = true",
     "f:19:15: [rule \"r\"] port_parity: has no meaning in this rule"},
    {"PreservationOfForward", "",
     "[[rule]]\nname = \"r\"\naction = \"forward\"\nport_preservation = true",
     "f:18:21: [rule \"r\"] port_preservation: has no meaning in this rule"},
    {"TrackOfSnat", "", "[[rule]]\nname = \"r\"\naction = \"snat\"\npool = \"good\"\ntrack = false",
     "f:19:9: [rule \"r\"] track: the action of this rule needs a flow; expected `action = "
     "\"forward\"` in the same rule"},
    {"TrackOfDrop", "", "[[rule]]\nname = \"r\"\naction = \"drop\"\ntrack = false",
     "f:18:9: [rule \"r\"] track: the action of this rule needs a flow"},
    {"TrackNoBoolean", "", "[[rule]]\nname = \"r\"\naction = \"forward\"\ntrack = \"no\"",
     "f:18:9: [rule \"r\"] track: is a string; expected true or false"},
    {"ClampWithoutTracking", "",
     "[[rule]]\nname = \"r\"\naction = \"forward\"\nmss_clamp = true\ntrack = false",
     "f:18:13: [rule \"r\"] mss_clamp: needs a flow; expected a rule without `track = false`"},
    {"RuleWithoutAction", "", "[[rule]]\nname = \"r\"",
     "f:15:1: [rule \"r\"] action: is missing; expected \"drop\""},
    {"RuleAction", "", "[[rule]]\nname = \"r\"\naction = \"accept\"",
     "f:17:10: [rule \"r\"] action: \"accept\" is not known"},
    {"RuleSameName", "",
     "[[rule]]\nname = \"r\"\naction = \"drop\"\n[[rule]]\nname = \"r\"\naction = \"drop\"",
     "f:19:8: [rule \"r\"] name: another rule is called \"r\""},
    {"RuleIn", "", "[[rule]]\nname = \"r\"\naction = \"drop\"\nin = \"dmz\"",
     "f:18:6: [rule \"r\"] in: no port is called \"dmz\"; expected a port: \"lan\", \"wan\""},
    {"RuleProtocol", "", "[[rule]]\nname = \"r\"\naction = \"drop\"\nprotocol = \"tpc\"",
     "f:18:12: [rule \"r\"] protocol: \"tpc\" is not known; expected tcp, udp, icmp, sctp"},
    {"RuleProtocolNumber", "", "[[rule]]\nname = \"r\"\naction = \"drop\"\nprotocol = 2",
     "f:18:12: [rule \"r\"] protocol: 2 is never forwarded"},
    {"RuleProtocolTooLarge", "", "[[rule]]\nname = \"r\"\naction = \"drop\"\nprotocol = 255",
     "f:18:12: [rule \"r\"] protocol: 255 is out of range"},
    {"RuleGrePort", "",
     "[[rule]]\nname = \"r\"\naction = \"drop\"\nprotocol = \"gre\"\nto_port = 80",
     "f:19:11: [rule \"r\"] to_port: gre has no ports"},
    {"RuleFrom", "", "[[rule]]\nname = \"r\"\naction = \"drop\"\nfrom = [\"10.0.0.1/8\"]",
     "f:18:9: [rule \"r\"] from: \"10.0.0.1/8\" has host bits set; expected 10.0.0.0/8"},
    {"RuleTo", "", "[[rule]]\nname = \"r\"\naction = \"drop\"\nto = \"all\"",
     "f:18:6: [rule \"r\"] to: \"all\" is no prefix"},
    {"RuleLength", "", "[[rule]]\nname = \"r\"\naction = \"drop\"\nto = \"10.0.0.0/33\"",
     "f:18:6: [rule \"r\"] to: \"10.0.0.0/33\" is no prefix"},
    {"RuleIcmpPort", "",
     "[[rule]]\nname = \"r\"\naction = \"drop\"\nprotocol = \"icmp\"\nto_port = 80",
     "f:19:11: [rule \"r\"] to_port: icmp has no ports"},
    {"RulePortRange", "", "[[rule]]\nname = \"r\"\naction = \"drop\"\nto_port = 65536",
     "f:18:11: [rule \"r\"] to_port: 65536 is out of range"},
    {"RulePortType", "", "[[rule]]\nname = \"r\"\naction = \"drop\"\nto_port = [80]",
     "f:18:11: [rule \"r\"] to_port: is an array"},
    {"SnatWithoutPool", "", "[[rule]]\nname = \"r\"\naction = \"snat\"",
     "f:15:1: [rule \"r\"] pool: is missing"},
    {"SnatUnknownPool", "", "[[rule]]\nname = \"r\"\naction = \"snat\"\npool = \"bad\"",
     "f:18:8: [rule \"r\"] pool: no pool is called \"bad\"; expected a pool: \"good\""},
    {"SnatPorts", "",
     "[[rule]]\nname = \"r\"\naction = \"snat\"\npool = \"good\"\nports = \"1024-2047\"",
     "f:19:9: [rule \"r\"] ports: has no meaning in this rule"},
    {"MssTooSmall", "", "[[rule]]\nname = \"r\"\naction = \"forward\"\nmss_clamp = 40",
     "f:18:13: [rule \"r\"] mss_clamp: 40 is out of range; expected an integer from 88 to 65535"},
    {"MssWord", "", "[[rule]]\nname = \"r\"\naction = \"forward\"\nmss_clamp = \"mtu\"",
     "f:18:13: [rule \"r\"] mss_clamp: is a string; expected true or false"},
    {"MssOfDrop", "", "[[rule]]\nname = \"r\"\naction = \"drop\"\nmss_clamp = true",
     "f:18:13: [rule \"r\"] mss_clamp: has no meaning in this rule"},
    {"OnChangeWord", "", "[[rule]]\nname = \"r\"\naction = \"forward\"\non_change = \"ends\"",
     "f:18:13: [rule \"r\"] on_change: \"ends\" is not known; expected \"keep\" or \"end\""},
    {"OnChangeOfReject", "", "[[rule]]\nname = \"r\"\naction = \"reject\"\non_change = \"end\"",
     "f:18:13: [rule \"r\"] on_change: has no meaning in this rule"},
    {"OnChangeOfUntracked", "",
     "[[rule]]\nname = \"r\"\naction = \"forward\"\ntrack = false\non_change = \"keep\"",
     "f:19:13: [rule \"r\"] on_change: needs a flow; expected it only in rules without `track = "
     "false`"},
    {"DropPool", "", "[[rule]]\nname = \"r\"\naction = \"drop\"\npool = \"good\"",
     "f:18:8: [rule \"r\"] pool: has no meaning in this rule"},
    {"DnatWithoutTarget", "", "[[rule]]\nname = \"r\"\naction = \"dnat\"",
     "f:15:1: [rule \"r\"] target: is missing"},
    {"DnatTarget", "",
     "[[rule]]\nname = \"r\"\naction = \"dnat\"\nprotocol = \"tcp\"\ntarget = \"web:80\"",
     "f:19:10: [rule \"r\"] target: \"web:80\" is no address of a host"},
    {"DnatTargetPort", "",
     "[[rule]]\nname = \"r\"\naction = \"dnat\"\nprotocol = \"tcp\"\ntarget = \"10.1.0.2:0\"",
     "f:19:10: [rule \"r\"] target: \"10.1.0.2:0\" is no address of a host"},
    {"DnatTargetOfSeveral", "",
     "[[rule]]\nname = \"r\"\naction = \"dnat\"\ntarget = [\"10.1.0.2\", \"10.1.0\"]",
     "f:18:23: [rule \"r\"] target: \"10.1.0\" is no address of a host"},
    {"DnatNoTarget", "", "[[rule]]\nname = \"r\"\naction = \"dnat\"\ntarget = []",
     "f:18:10: [rule \"r\"] target: is an empty array"},
    {"DnatPortOfAnyProtocol", "",
     "[[rule]]\nname = \"r\"\naction = \"dnat\"\ntarget = \"10.1.0.2:80\"",
     "f:18:10: [rule \"r\"] target: \"10.1.0.2:80\" has a port, which not all protocols have"},
    {"DnatSource", "",
     "[[rule]]\nname = \"r\"\naction = \"dnat\"\ntarget = \"10.1.0.2\"\nsource = \"snat\"",
     "f:19:10: [rule \"r\"] source: \"snat\" is not known; expected \"keep\""},
    {"DnatSourcePool", "",
     "[[rule]]\nname = \"r\"\naction = \"dnat\"\ntarget = \"10.1.0.2\"\nsource = \"pool:x\"",
     "f:19:10: [rule \"r\"] source: no pool is called \"x\""},
    {"TargetElsewhere", "", "[[rule]]\nname = \"r\"\naction = \"forward\"\ntarget = \"10.1.0.2\"",
     "f:18:10: [rule \"r\"] target: has no meaning in this rule"},
    {"StaticWithoutInside", "",
     "[[rule]]\nname = \"r\"\naction = \"static\"\noutside = \"203.0.113.9\"",
     "f:15:1: [rule \"r\"] inside: is missing; expected an address"},
    {"StaticWithoutOutside", "",
     "[[rule]]\nname = \"r\"\naction = \"static\"\ninside = \"10.1.0.9\"",
     "f:15:1: [rule \"r\"] outside: is missing; expected an address"},
    {"StaticWord", "",
     "[[rule]]\nname = \"r\"\naction = \"static\"\ninside = \"web\"\noutside = \"203.0.113.9\"",
     "f:18:10: [rule \"r\"] inside: \"web\" is no address of a host"},
    {"StaticOnePort", "",
     "[[rule]]\nname = \"r\"\naction = \"static\"\ninside = \"10.1.0.9\"\noutside = "
     "\"203.0.113.9:80\"",
     "f:19:11: [rule \"r\"] outside: has a port, but `inside` has none; expected a port in both"},
    {"StaticOtherPort", "",
     "[[rule]]\nname = \"r\"\naction = \"static\"\ninside = \"10.1.0.9:80\"\noutside = "
     "\"203.0.113.9\"",
     "f:19:11: [rule \"r\"] outside: has no port, but `inside` has one; expected a port in both"},
    {"StaticPortOfAnyProtocol", "",
     "[[rule]]\nname = \"r\"\naction = \"static\"\ninside = \"10.1.0.9:80\"\noutside = "
     "\"203.0.113.9:80\"",
     "f:19:11: [rule \"r\"] outside: has a port, which not all protocols have; expected "
     "`protocol`"},
    {"StaticIn", "",
     "[[rule]]\nname = \"r\"\naction = \"static\"\nin = \"lan\"\ninside = \"10.1.0.9\"\noutside = "
     "\"203.0.113.9\"",
     "f:18:6: [rule \"r\"] in: has no meaning in this rule; expected `inside` and `outside`"},
    {"StaticElsewhere", "", "[[rule]]\nname = \"r\"\naction = \"forward\"\ninside = \"10.1.0.9\"",
     "f:18:10: [rule \"r\"] inside: has no meaning in this rule"},
    {"StaticSameOutside", "",
     "[[rule]]\nname = \"a\"\naction = \"static\"\ninside = \"10.1.0.9\"\noutside = "
     "\"203.0.113.9\"\n[[rule]]\nname = \"r\"\naction = \"static\"\ninside = "
     "\"10.1.0.10\"\noutside = \"203.0.113.9\"",
     "f:24:11: [rule \"r\"] outside: rule \"a\" has it, too"},
    {"StaticPortOfABoundAddress", "",
     "[[rule]]\nname = \"a\"\naction = \"static\"\ninside = \"10.1.0.9\"\noutside = "
     "\"203.0.113.9\"\n[[rule]]\nname = \"r\"\naction = \"static\"\nprotocol = \"udp\"\ninside = "
     "\"10.1.0.10:53\"\noutside = \"203.0.113.9:53\"",
     "f:25:11: [rule \"r\"] outside: rule \"a\" has it, too"},
    {"StaticSameInside", "",
     "[[rule]]\nname = \"a\"\naction = \"static\"\ninside = \"10.1.0.9\"\noutside = "
     "\"203.0.113.9\"\n[[rule]]\nname = \"r\"\naction = \"static\"\ninside = \"10.1.0.9\"\noutside "
     "= \"203.0.113.10\"",
     "f:23:10: [rule \"r\"] inside: rule \"a\" binds it, too"},
    {"StaticOfAPool", "",
     "[[pool]]\nname = \"p\"\naddresses = \"203.0.113.8/30\"\n[[rule]]\nname = \"r\"\naction = "
     "\"static\"\ninside = \"10.1.0.9\"\noutside = \"203.0.113.9\"",
     "f:22:11: [rule \"r\"] outside: pool \"p\" holds 203.0.113.9; expected an address"},
    {"StaticOfAPort", "",
     "[[rule]]\nname = \"r\"\naction = \"static\"\ninside = \"10.1.0.9\"\noutside = \"192.0.2.2\"",
     "f:19:11: [rule \"r\"] outside: 192.0.2.2 is the address of port \"wan\""},
    {"RuleKey", "", "[[rule]]\nname = \"r\"\naction = \"drop\"\ntoport = 80",
     "f:18:1: [rule \"r\"] toport: unknown key; did you mean `to_port`?"},
    {"RuleTable", "", "[rule]\nname = \"r\"",
     "f:15:1: rule: is a table; expected a list of tables, each under [[rule]]"},
};

// `mapping` and `filtering`, and what may not stand beside them.
constexpr Case behavior[] = {
    {"MappingWord", "", "[[rule]]\nname = \"r\"\naction = \"masquerade\"\nmapping = \"cone\"",
     "f:18:11: [rule \"r\"] mapping: \"cone\" is not known; expected \"endpoint-dependent\" or "
     "\"endpoint-independent\""},
    {"FilteringNeedsMapping", "",
     "[[rule]]\nname = \"r\"\naction = \"masquerade\"\nfiltering = \"address-dependent\"",
     "f:18:13: [rule \"r\"] filtering: \"address-dependent\" needs endpoint-independent mappings; "
     "expected `mapping = \"endpoint-independent\"` in the same section"},
    {"FilteringOfPoolNeedsMapping", "",
     "[[pool]]\nname = \"p\"\naddresses = \"203.0.113.5\"\nfiltering = \"endpoint-independent\"",
     "f:18:13: [pool \"p\"] filtering: \"endpoint-independent\" needs"},
    {"MappingBelongsToPool", "",
     "[[rule]]\nname = \"r\"\naction = \"snat\"\npool = \"good\"\n"
     "mapping = \"endpoint-independent\"",
     "f:19:11: [rule \"r\"] mapping: has no meaning in this rule; expected `action = "},
    {"PoolsShareAnAddress", "",
     "[[pool]]\nname = \"p\"\naddresses = \"203.0.113.0/28\"\nmapping = \"endpoint-independent\"",
     "f:18:11: [pool \"p\"] mapping: pool \"good\" has 203.0.113.1 too, with another `mapping`; "
     "expected the same `mapping` in both"},
    {"RulesShareOutsidePorts", "",
     "[[rule]]\nname = \"q\"\naction = \"masquerade\"\n"
     "[[rule]]\nname = \"r\"\naction = \"masquerade\"\nmapping = \"endpoint-independent\"",
     "f:21:11: [rule \"r\"] mapping: gives out the same ports as \"q\", and "
     "endpoint-independent mappings cannot share ports; expected the same"},
    {"ForwardsShareOutsidePorts", "",
     "[[rule]]\nname = \"q\"\naction = \"masquerade\"\nmapping = \"endpoint-independent\"\n"
     "[[rule]]\nname = \"r\"\naction = \"dnat\"\ntarget = \"10.1.0.2\"\nsource = \"masquerade\"",
     "f:21:10: [rule \"r\"] action: gives out the same ports as \"q\", and"},
    {"InboundRefreshWord", "[timeouts]\ninbound_refresh = \"no\"", "",
     "f:3:19: [timeouts] inbound_refresh: is a string; expected true or false"},
};

std::string case_name(const testing::TestParamInfo<Case>& info) {
    return info.param.name;
}

constexpr Case static_neighbors[] = {
    {"NeighborOfNoPort", "", "[[neighbor]]\naddress = \"10.9.0.1\"\nmac = \"02:00:00:00:00:07\"",
     "f:16:11: [neighbor #1] address: 10.9.0.1 lies in no port"},
    {"NeighborOwnAddress", "", "[[neighbor]]\naddress = \"10.1.0.1\"\nmac = \"02:00:00:00:00:07\"",
     "f:16:11: [neighbor #1] address: 10.1.0.1 is the address of port \"lan\""},
    {"NeighborBroadcast", "", "[[neighbor]]\naddress = \"10.1.0.255\"\nmac = \"02:00:00:00:00:07\"",
     "f:16:11: [neighbor #1] address: 10.1.0.255 is the first or last address"},
    {"NeighborOfAPool", "",
     "[[neighbor]]\naddress = \"192.0.2.9\"\nmac = \"02:00:00:00:00:07\"\n[[pool]]\nname = "
     "\"p\"\naddresses = \"192.0.2.9\"",
     "f:16:11: [neighbor #1] address: 192.0.2.9 is an address of pool \"p\""},
    {"NeighborNoAddress", "", "[[neighbor]]\naddress = \"router\"\nmac = \"02:00:00:00:00:07\"",
     "f:16:11: [neighbor #1] address: \"router\" is no address"},
    {"NeighborAddressMissing", "", "[[neighbor]]\nmac = \"02:00:00:00:00:07\"",
     "f:15:1: [neighbor #1] address: "},
    {"NeighborTwice", "",
     "[[neighbor]]\naddress = \"10.1.0.9\"\nmac = \"02:00:00:00:00:07\"\n[[neighbor]]\naddress = "
     "\"10.1.0.9\"\nmac = \"02:00:00:00:00:07\"",
     "f:19:11: [neighbor #2] address: another neighbour is 10.1.0.9"},
    {"NeighborMacMissing", "", "[[neighbor]]\naddress = \"10.1.0.9\"",
     "f:15:1: [neighbor #1] mac: "},
    {"NeighborMacGroup", "", "[[neighbor]]\naddress = \"10.1.0.9\"\nmac = \"01:00:5e:00:00:01\"",
     "f:17:7: [neighbor #1] mac: \"01:00:5e:00:00:01\" is not the address of a single station"},
    {"NeighborMacZero", "", "[[neighbor]]\naddress = \"10.1.0.9\"\nmac = \"00:00:00:00:00:00\"",
     "f:17:7: [neighbor #1] mac: \"00:00:00:00:00:00\" is not the address of a single"},
    {"NeighborMacShort", "", "[[neighbor]]\naddress = \"10.1.0.9\"\nmac = \"02:00:00:00:01\"",
     "f:17:7: [neighbor #1] mac: \"02:00:00:00:01\" is no MAC address"},
    {"NeighborMacDashes", "", "[[neighbor]]\naddress = \"10.1.0.9\"\nmac = \"02-00-00-00-00-01\"",
     "f:17:7: [neighbor #1] mac: \"02-00-00-00-00-01\" is no MAC"},
    {"NeighborMacLetters", "", "[[neighbor]]\naddress = \"10.1.0.9\"\nmac = \"02:00:00:00:00:0g\"",
     "f:17:7: [neighbor #1] mac: \"02:00:00:00:00:0g\" is no MAC"},
    {"NeighborKey", "",
     "[[neighbor]]\naddress = \"10.1.0.9\"\nmac = \"02:00:00:00:00:07\"\nport = \"lan\"",
     "f:18:1: [neighbor #1] port: unknown key"},
};

INSTANTIATE_TEST_SUITE_P(General, ConfigFault, testing::ValuesIn(general), case_name);
INSTANTIATE_TEST_SUITE_P(Ports, ConfigFault, testing::ValuesIn(ports), case_name);
INSTANTIATE_TEST_SUITE_P(Behavior, ConfigFault, testing::ValuesIn(behavior), case_name);
INSTANTIATE_TEST_SUITE_P(StaticNeighbors, ConfigFault, testing::ValuesIn(static_neighbors),
                         case_name);
INSTANTIATE_TEST_SUITE_P(Policy, ConfigFault, testing::ValuesIn(policy), case_name);

TEST(ConfigFaults, NoPortAtAll) {
    EXPECT_THAT(faults_of("flows = 4096\n"),
                ElementsAre(StartsWith("f:1:1: port: is missing; expected at least one")));
}

/// A drop rule for each body, from line 15 on.
std::string with_rules(const std::vector<std::string>& bodies) {
    std::string text = std::string(above) + below;
    for (std::size_t i = 0; i < bodies.size(); ++i)
        text += fmt::format("[[rule]]\nname = \"r{}\"\naction = \"drop\"\n{}\n", i, bodies[i]);
    return text;
}

/// Rules that the datapath could only read one by one.
TEST(ConfigFaults, RulesOfTooManyShapes) {
    std::vector<std::string> bodies;
    for (unsigned from = 1; from <= 16; ++from)
        for (unsigned to = 1; to <= 16; ++to)
            bodies.push_back(fmt::format("from = \"0.0.0.0/{}\"\nto = \"0.0.0.0/{}\"", from, to));
    EXPECT_THAT(faults_of(with_rules(bodies)), IsEmpty());
    bodies.push_back("to = \"10.9.0.0/17\"");
    EXPECT_THAT(
        faults_of(with_rules(bodies)),
        ElementsAre(HasSubstr("[rule \"r256\"] to: up to this rule, rules ask for more than "
                              "256 combinations")));
}

TEST(ConfigFaults, RulesOfTooManyPairsOfPrefixes) {
    const auto prefixes = [](unsigned count) {
        std::string text;
        for (unsigned i = 0; i < count; ++i)
            text += fmt::format("\"10.9.{}.{}\",", i / 256, i % 256);
        return text;
    };
    const auto body = [&](unsigned count) {
        return fmt::format("from = [{}]\nto = [{}]", prefixes(count), prefixes(count));
    };
    EXPECT_THAT(faults_of(with_rules({body(1000)})), IsEmpty());
    EXPECT_THAT(faults_of(with_rules({body(1000), body(300)})),
                ElementsAre(HasSubstr("[rule \"r1\"] from: up to this rule, there are more than "
                                      "1048576 pairs")));
}

}  // namespace
}  // namespace noclash::dpdk::config_faults_test
