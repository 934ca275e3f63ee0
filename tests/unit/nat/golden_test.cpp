// SPDX-License-Identifier: Apache-2.0

// Runs every block of tests/packets/*.txt: what scapy made goes in, what scapy made must come out.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <ostream>
#include <sstream>

#include "nat/packet/arp.hpp"
#include "nat/packet/icmp.hpp"
#include "nat/packet/parse.hpp"
#include "nat/packet/rewrite.hpp"
#include "nat/packet/timestamp_option.hpp"
#include "tests/unit/nat/packets.hpp"

namespace noclash::nat::golden_test {
namespace {

struct Golden {
    std::string file;
    int line = 0;  ///< where the block begins
    std::map<std::string, std::string> fields;
};

// The name of a failed case for GoogleTest.
void PrintTo(const Golden& golden, std::ostream* out) {
    *out << golden.file << ':' << golden.line << ": " << golden.fields.at("about");
}

std::vector<Golden> load(const std::filesystem::path& file) {
    std::ifstream in(file);
    std::vector<Golden> blocks;
    std::string line;
    bool inside = false;
    for (int number = 1; std::getline(in, line); ++number) {
        if (line.empty() || line[0] == '#') {
            inside = false;
            continue;
        }
        if (!inside) blocks.push_back({file.filename(), number, {}});
        inside = true;
        const std::size_t colon = line.find(": ");
        if (colon == std::string::npos)
            throw std::runtime_error(file.string() + ": no key: " + line);
        blocks.back().fields[line.substr(0, colon)] = line.substr(colon + 2);
    }
    return blocks;
}

std::vector<Golden> load_all() {
    std::vector<Golden> blocks;
    for (const auto& entry : std::filesystem::directory_iterator(NOCLASH_PACKETS)) {
        if (entry.path().extension() != ".txt") continue;
        for (Golden& golden : load(entry.path()))
            blocks.push_back(std::move(golden));
    }
    std::ranges::sort(blocks, {}, [](const Golden& g) { return std::pair(g.file, g.line); });
    return blocks;
}

V4Address to_address(const std::string& text) {
    return parse_address<V4>(text).value();
}

/// "address:port", as the source or the destination of `tuple`.
void take_end(const std::string& text, V4Address& address, Be16& port) {
    const std::size_t colon = text.find(':');
    address = to_address(text.substr(0, colon));
    port = Be16::from_host(static_cast<std::uint16_t>(std::stoi(text.substr(colon + 1))));
}

Tuple<V4> read_tuple(std::istream& words, std::uint8_t protocol) {
    std::string source;
    std::string destination;
    words >> source >> destination;
    Tuple<V4> tuple{};
    take_end(source, tuple.source, tuple.source_port);
    take_end(destination, tuple.destination, tuple.destination_port);
    tuple.protocol = protocol;
    return tuple;
}

std::string describe(const PacketView& view) {
    Parsed<V4> parsed;
    const DropReason reason = parse<V4>(view, 0, parsed);
    if (reason != DropReason::none) return "drop " + std::string(to_string(reason));
    constexpr std::array<const char*, 8> kinds{
        "tcp", "udp", "icmp_request", "icmp_reply", "icmp_error", "udp_lite", "sctp", "other"};
    std::ostringstream text;
    text << kinds.at(static_cast<std::size_t>(parsed.kind)) << ' '
         << to_string<V4>(parsed.tuple.source) << ':' << parsed.tuple.source_port.host() << ' '
         << to_string<V4>(parsed.tuple.destination) << ':' << parsed.tuple.destination_port.host()
         << " checksum " << (l4_checksum_ok<V4>(view, parsed) ? "good" : "bad");
    return text.str();
}

std::string answer_arp(std::istream& words, const test::Bytes& packet) {
    MacAddress ours;
    for (auto& byte : ours.bytes) {
        std::string digits;
        words >> std::ws;
        std::getline(words, digits, ':');
        byte = test::from_hex(digits).at(0);
    }
    const auto request = parse_arp(packet);
    if (!request) return "no ARP message";
    std::array<std::uint8_t, arp_frame_bytes> frame;
    build_arp_frame(arp_reply(*request, ours), request->sender_mac, frame);
    return test::to_hex(frame);
}

/// The output for a packet that parses, translated or answered as `words` say.
std::string transform(const std::string& directive, std::istream& words, test::Bytes packet) {
    const PacketView view = test::view(packet);
    Parsed<V4> parsed;
    const DropReason reason = parse<V4>(view, 0, parsed);
    if (reason != DropReason::none) return "drop " + std::string(to_string(reason));
    std::string keyword;
    std::string from;
    std::string to;
    if (directive == "translate") {
        const Tuple<V4> tuple = read_tuple(words, parsed.tuple.protocol);
        translate(view, parsed, tuple.inverse(), translation(parsed.tuple, tuple));
    } else if (directive == "rewrite_error") {
        const Tuple<V4> quoted = read_tuple(words, parsed.tuple.protocol);
        words >> keyword >> from >> keyword >> to;
        rewrite_icmp_error<V4>(view, parsed, quoted, to_address(from), to_address(to));
    } else if (directive == "make_error") {
        unsigned type = 0;
        unsigned code = 0;
        std::uint16_t mtu = 0;
        words >> type >> code >> mtu >> keyword >> from;
        const IcmpError error{static_cast<std::uint8_t>(type), static_cast<std::uint8_t>(code),
                              mtu};
        test::Bytes out(icmp_error_bytes);
        out.resize(build_icmp_error<V4>(view, parsed, error, to_address(from), out));
        packet = out;
    } else if (directive == "clamp_mss") {
        std::uint16_t most = 0;
        words >> most;
        clamp_mss<V4>(view, parsed, most);
    } else if (directive == "timestamps") {
        std::uint32_t value = 0;
        std::uint32_t echo = 0;
        words >> value >> echo;
        const std::uint32_t at = find_timestamps(view, parsed.l4_offset);
        if (at == 0) return "no timestamps";
        set_timestamp_value(view, parsed.l4_offset, at, value);
        set_timestamp_echo(view, parsed.l4_offset, at, echo);
    } else if (directive == "strip_timestamps") {
        strip_timestamps(view, parsed.l4_offset);
    } else if (directive == "ttl") {
        decrement_ttl<V4>(view);
    } else if (directive == "echo_reply") {
        make_echo_reply<V4>(view, parsed);
    } else {
        return "no such directive: " + directive;
    }
    return packet.empty() ? "nothing" : test::to_hex(packet);
}

class GoldenTest : public ::testing::TestWithParam<Golden> {};

TEST_P(GoldenTest, ComesOutAsExpected) {
    const auto& fields = GetParam().fields;
    std::istringstream words(fields.at("do"));
    std::string directive;
    words >> directive;
    test::Bytes packet = test::from_hex(fields.at("in"));
    std::string out;
    if (directive == "parse") {
        out = describe(test::view(packet));
    } else if (directive == "arp_reply") {
        out = answer_arp(words, packet);
    } else {
        out = transform(directive, words, packet);
    }
    EXPECT_EQ(out, fields.at("out"));
}

TEST(GoldenFiles, ArePresent) {
    EXPECT_GE(load_all().size(), 60U);
}

INSTANTIATE_TEST_SUITE_P(Packets, GoldenTest, ::testing::ValuesIn(load_all()));

}  // namespace
}  // namespace noclash::nat::golden_test
