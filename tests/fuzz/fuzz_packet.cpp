// SPDX-License-Identifier: Apache-2.0

// Any bytes as an IP packet. What parses is translated, answered and reported, and each time what
// comes out must parse too, with the tuple that it should have, its checksum as right as before.
//
// The first byte of the input chooses what the device said of the checksums, so that the fuzzer
// gets past them.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "nat/packet/fragment.hpp"
#include "nat/packet/headers.hpp"
#include "nat/packet/icmp.hpp"
#include "nat/packet/martian.hpp"
#include "nat/packet/parse.hpp"
#include "nat/packet/protocols.hpp"
#include "nat/packet/rewrite.hpp"
#include "nat/packet/timestamp_option.hpp"

namespace {

using namespace noclash;
using namespace noclash::nat;

constexpr V4Address from = V4Address::from_host(0xc6336401);
constexpr V4Address to = V4Address::from_host(0xcb007109);

void require(bool condition) {
    if (!condition) std::abort();
}

struct Packet {
    std::vector<std::uint8_t> bytes;
    Checked ip_checksum = Checked::unknown;

    PacketView view() {
        return {bytes.data(), static_cast<std::uint32_t>(bytes.size()), ip_checksum,
                Checked::unknown};
    }
};

Parsed<V4> parse_again(Packet& packet) {
    Parsed<V4> parsed;
    require(parse<V4>(packet.view(), 1, parsed) == DropReason::none);
    return parsed;
}

Tuple<V4> other_tuple(const Parsed<V4>& parsed) {
    Tuple<V4> tuple = parsed.tuple;
    tuple.source = from;
    tuple.destination = to;
    // Ports that are none stay 0.
    const bool has_ports = ip_protocol::has_ports(tuple.protocol);
    if (has_ports || tuple.source_port != Be16{}) {
        tuple.source_port = Be16::from_host(0xabcd);
    }
    if (has_ports || tuple.destination_port != Be16{}) {
        tuple.destination_port = Be16::from_host(0x0102);
    }
    return tuple;
}

/// An echo reply of nothing but zeros, its checksum too, is wrong by a difference of
/// one's-complement zero; so it may come out right.
bool is_all_zero(const Packet& packet, const Parsed<V4>& parsed) {
    return std::all_of(packet.bytes.begin() + parsed.l4_offset,
                       packet.bytes.begin() + static_cast<std::ptrdiff_t>(parsed.length),
                       [](std::uint8_t byte) { return byte == 0; });
}

/// Packets that parse the short way parse the long way, to the same result; rewriting likewise.
void compare_ways(Packet packet, const Parsed<V4>& parsed) {
    Parsed<V4> other;
    if (parse_fast<V4>(packet.view(), 1, other)) {
        require(parse_any<V4>(packet.view(), 1, other) == DropReason::none);
        require(other.tuple == parsed.tuple && other.length == parsed.length);
        require(other.l4_offset == parsed.l4_offset && other.kind == parsed.kind);
        require(other.tcp_flags == parsed.tcp_flags && other.ttl == parsed.ttl);
        if (other.kind == PacketKind::tcp) require(other.tcp_data == parsed.tcp_data);
    }
    if (parsed.kind == PacketKind::icmp_error || parsed.ttl == 0) return;
    const Tuple<V4> tuple = other_tuple(parsed);
    Packet the_other = packet;
    translate(packet.view(), parsed, tuple.inverse(), translation(parsed.tuple, tuple));
    translate_any<V4>(the_other.view(), parsed, tuple.inverse());
    require(packet.bytes == the_other.bytes);
}

void translate(Packet packet, const Parsed<V4>& parsed) {
    const bool was_right = l4_checksum_ok<V4>(packet.view(), parsed);
    const bool all_zero = is_all_zero(packet, parsed);
    const Tuple<V4> tuple = other_tuple(parsed);
    if (parsed.ttl == 0) return;  // no packet without a hop left gets so far
    if (parsed.kind == PacketKind::icmp_error) {
        rewrite_icmp_error<V4>(packet.view(), parsed, tuple, from, to);
        decrement_ttl<V4>(packet.view());
    } else {
        translate(packet.view(), parsed, tuple.inverse(), translation(parsed.tuple, tuple));
    }
    const Parsed<V4> after = parse_again(packet);
    require(after.tuple == tuple && after.kind == parsed.kind && after.length == parsed.length);
    require(after.ttl == parsed.ttl - 1);
    require(all_zero || l4_checksum_ok<V4>(packet.view(), after) == was_right);
}

/// TCP timestamps: what is written is read, nothing else changes, and nothing is left when they are
/// stripped but what a second option of that kind says.
void restamp(Packet packet, const Parsed<V4>& parsed) {
    const bool was_right = l4_checksum_ok<V4>(packet.view(), parsed);
    const PacketView view = packet.view();
    const std::uint32_t at = find_timestamps(view, parsed.l4_offset);
    if (at != 0) {
        require(at > parsed.l4_offset + 20 && at + 8 <= parsed.length);
        const std::uint32_t value = timestamp_value(view, at);
        const std::uint32_t echo = timestamp_echo(view, at);
        set_timestamp_value(view, parsed.l4_offset, at, ~value);
        set_timestamp_echo(view, parsed.l4_offset, at, echo + 0x01020304);
        require(find_timestamps(view, parsed.l4_offset) == at);
        require(timestamp_value(view, at) == ~value);
        require(timestamp_echo(view, at) == echo + 0x01020304);
        require(l4_checksum_ok<V4>(view, parse_again(packet)) == was_right);
    }
    strip_timestamps(view, parsed.l4_offset);
    const Parsed<V4> after = parse_again(packet);
    require(after.tuple == parsed.tuple && after.length == parsed.length);
    require(l4_checksum_ok<V4>(view, after) == was_right);
    if (at != 0) require(find_timestamps(view, parsed.l4_offset) != at);
}

void report(Packet packet, const Parsed<V4>& parsed) {
    if (is_martian(parsed.tuple)) return;  // refused before anybody reports it
    Packet error;
    error.bytes.resize(icmp_error_bytes);
    error.bytes.resize(
        build_icmp_error<V4>(packet.view(), parsed, icmp_error::ttl_exceeded, from, error.bytes));
    require(error.bytes.empty() == (parsed.kind == PacketKind::icmp_error));
    if (error.bytes.empty() || parsed.tuple.source == from) return;
    if (packet.ip_checksum == Checked::good) return;  // The quoted header may be damaged.
    const Parsed<V4> after = parse_again(error);
    require(after.kind == PacketKind::icmp_error && after.tuple == parsed.tuple);
    require(l4_checksum_ok<V4>(error.view(), after));
}

void answer(Packet packet, const Parsed<V4>& parsed) {
    const bool was_right = l4_checksum_ok<V4>(packet.view(), parsed);
    make_echo_reply<V4>(packet.view(), parsed);
    const Parsed<V4> after = parse_again(packet);
    require(after.tuple == parsed.tuple.inverse() && after.kind == PacketKind::icmp_reply);
    require(l4_checksum_ok<V4>(packet.view(), after) == was_right);
}

/// A fragment that is kept ends within the longest packet, wherever it begins.
void judge_fragment(Packet packet) {
    constexpr std::uint32_t longest = 12000;
    if (check_fragment<V4>(packet.view(), longest) != DropReason::none) return;
    const auto& ip = header<IpHeader<V4>>(packet.view(), 0);
    const std::uint32_t offset = (ip.fragment.get().host() & IpHeader<V4>::offset_mask) * 8U;
    require(ip.total_length.get().host() > ip.header_length());
    require(offset + ip.total_length.get().host() <= longest);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    Packet packet{{data + 1, data + size}, (data[0] & 1) != 0 ? Checked::good : Checked::unknown};
    Parsed<V4> parsed;
    const DropReason reason = parse<V4>(packet.view(), 1, parsed);
    if (reason == DropReason::fragment) judge_fragment(packet);
    if (reason != DropReason::none) return 0;
    require(parsed.length <= packet.bytes.size());
    compare_ways(packet, parsed);
    translate(packet, parsed);
    report(packet, parsed);
    if (parsed.kind == PacketKind::tcp) restamp(packet, parsed);
    if (is_echo_request<V4>(packet.view(), parsed)) answer(packet, parsed);
    return 0;
}
