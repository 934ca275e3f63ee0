// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/nat/packets.hpp"

#include <algorithm>
#include <stdexcept>

namespace noclash::nat::test {

Bytes from_hex(std::string_view text) {
    Bytes bytes;
    if (text.size() % 2 != 0) throw std::invalid_argument("hex: odd number of digits");
    for (std::size_t i = 0; i < text.size(); i += 2) {
        const std::string digits(text.substr(i, 2));
        std::size_t used = 0;
        bytes.push_back(static_cast<std::uint8_t>(std::stoul(digits, &used, 16)));
        if (used != 2) throw std::invalid_argument("hex: no digit: " + digits);
    }
    return bytes;
}

std::string to_hex(std::span<const std::uint8_t> bytes) {
    std::string text;
    for (const std::uint8_t byte : bytes) {
        text += "0123456789abcdef"[byte >> 4];
        text += "0123456789abcdef"[byte & 15];
    }
    return text;
}

std::uint16_t slow_sum(std::span<const std::uint8_t> bytes, std::uint16_t start) {
    std::uint32_t sum = start;
    for (std::size_t i = 0; i < bytes.size(); i += 2) {
        const unsigned low = i + 1 < bytes.size() ? bytes[i + 1] : 0U;
        sum += bytes[i] * 256U + low;
        if (sum > 0xffff) sum -= 0xffff;
    }
    return static_cast<std::uint16_t>(sum);
}

std::uint16_t get16(const Bytes& bytes, std::size_t at) {
    return static_cast<std::uint16_t>(bytes.at(at) * 256 + bytes.at(at + 1));
}

void put16(Bytes& bytes, std::size_t at, unsigned value) {
    bytes.at(at) = static_cast<std::uint8_t>(value >> 8);
    bytes.at(at + 1) = static_cast<std::uint8_t>(value);
}

std::uint32_t get32(const Bytes& bytes, std::size_t at) {
    return std::uint32_t{get16(bytes, at)} << 16U | get16(bytes, at + 2);
}
void put32(Bytes& bytes, std::size_t at, std::uint32_t value) {
    put16(bytes, at, value >> 16);
    put16(bytes, at + 2, value & 0xffff);
}

std::size_t l4_offset(const Bytes& packet) {
    return (packet.at(0) & std::size_t{15}) * 4;
}

void fix_ip_checksum(Bytes& packet) {
    put16(packet, 10, 0);
    put16(packet, 10, 0xffffU ^ slow_sum(std::span(packet).first(l4_offset(packet))));
}

void fix_l4_checksum(Bytes& packet) {
    const std::size_t at = l4_offset(packet);
    const std::uint8_t protocol = packet.at(9);
    const auto segment = std::span(packet).subspan(at, get16(packet, 2) - at);
    const std::size_t field = at + (protocol == 6 ? 16U : protocol == 17 ? 6U : 2U);
    put16(packet, field, 0);
    std::uint16_t start = 0;
    if (protocol != 1) {
        Bytes pseudo(packet.begin() + 12, packet.begin() + 20);
        pseudo.resize(12);
        put16(pseudo, 8, protocol);
        put16(pseudo, 10, static_cast<unsigned>(segment.size()));
        start = slow_sum(pseudo);
    }
    unsigned checksum = 0xffffU ^ slow_sum(segment, start);
    if (protocol == 17 && checksum == 0) checksum = 0xffff;
    put16(packet, field, checksum);
}

Bytes ipv4(const Ends& ends, std::uint8_t protocol, const Bytes& segment, const Bytes& options) {
    const std::size_t header_length = 20 + (options.size() + 3) / 4 * 4;
    Bytes packet(header_length + segment.size());  // Options are padded with "end of list".
    std::ranges::copy(options, packet.begin() + 20);
    std::ranges::copy(segment, packet.end() - static_cast<std::ptrdiff_t>(segment.size()));
    packet[0] = static_cast<std::uint8_t>(0x40 + header_length / 4);
    put16(packet, 2, static_cast<unsigned>(packet.size()));
    put16(packet, 4, 0x1c46);
    packet[8] = 63;
    packet[9] = protocol;
    put32(packet, 12, ends.source);
    put32(packet, 16, ends.destination);
    fix_ip_checksum(packet);
    return packet;
}

Bytes tcp(const Ends& ends, std::uint8_t flags, const Bytes& payload, const Bytes& ip_options) {
    Bytes segment(20);
    put16(segment, 0, ends.source_port);
    put16(segment, 2, ends.destination_port);
    // As if both sides began with the same number, and had said nothing else so far.
    constexpr std::uint32_t initial_sequence = 0x01020304;
    const bool syn = (flags & 0x02) != 0, ack = (flags & 0x10) != 0;
    put32(segment, 4, syn ? initial_sequence : initial_sequence + 1);
    put32(segment, 8, ack ? initial_sequence + 1 : 0);
    segment[12] = 0x50;
    segment[13] = flags;
    put16(segment, 14, 0xfaf0);
    segment.insert(segment.end(), payload.begin(), payload.end());
    Bytes packet = ipv4(ends, 6, segment, ip_options);
    fix_l4_checksum(packet);
    return packet;
}

void insert_tcp_options(Bytes& packet, const Bytes& options) {
    const std::size_t l4 = l4_offset(packet);
    packet.insert(packet.begin() + static_cast<std::ptrdiff_t>(l4 + 20), options.begin(),
                  options.end());
    packet[l4 + 12] = static_cast<std::uint8_t>((20 + options.size()) / 4 << 4);
    put16(packet, 2, static_cast<unsigned>(packet.size()));
    fix_ip_checksum(packet);
    fix_l4_checksum(packet);
}

Bytes udp(const Ends& ends, const Bytes& payload, const Bytes& ip_options) {
    Bytes segment(8);
    put16(segment, 0, ends.source_port);
    put16(segment, 2, ends.destination_port);
    put16(segment, 4, static_cast<unsigned>(8 + payload.size()));
    segment.insert(segment.end(), payload.begin(), payload.end());
    Bytes packet = ipv4(ends, 17, segment, ip_options);
    fix_l4_checksum(packet);
    return packet;
}

Bytes icmp(const Ends& ends, std::uint8_t type, std::uint8_t code, std::uint32_t rest,
           const Bytes& payload, const Bytes& ip_options) {
    Bytes segment(8);
    segment[0] = type;
    segment[1] = code;
    put32(segment, 4, rest);
    segment.insert(segment.end(), payload.begin(), payload.end());
    Bytes packet = ipv4(ends, 1, segment, ip_options);
    fix_l4_checksum(packet);
    return packet;
}

Bytes udp_lite(const Ends& ends, std::uint16_t coverage, const Bytes& payload) {
    Bytes segment(8);
    put16(segment, 0, ends.source_port);
    put16(segment, 2, ends.destination_port);
    put16(segment, 4, coverage);
    segment.insert(segment.end(), payload.begin(), payload.end());
    Bytes packet = ipv4(ends, 136, segment);
    Bytes pseudo(packet.begin() + 12, packet.begin() + 20);
    pseudo.resize(12);
    put16(pseudo, 8, 136);
    put16(pseudo, 10, static_cast<unsigned>(segment.size()));
    const std::size_t covered = coverage == 0 ? segment.size() : coverage;
    const unsigned checksum =
        0xffffU ^ slow_sum(std::span(segment).first(covered), slow_sum(pseudo));
    put16(packet, 26, checksum == 0 ? 0xffff : checksum);
    return packet;
}

std::uint32_t slow_crc32c(std::span<const std::uint8_t> bytes) {
    std::uint32_t crc = ~0U;
    for (const std::uint8_t byte : bytes) {
        crc ^= byte;
        for (int bit = 0; bit < 8; ++bit)
            crc = (crc & 1) != 0 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
    }
    return ~crc;
}

Bytes sctp_chunk(std::uint8_t type, const Bytes& value) {
    const std::size_t length = 4 + value.size();
    Bytes chunk((length + 3) / 4 * 4);
    chunk[0] = type;
    put16(chunk, 2, static_cast<unsigned>(length));
    std::copy(value.begin(), value.end(), chunk.begin() + 4);
    return chunk;
}

Bytes sctp(const Ends& ends, std::uint32_t tag, const Bytes& chunks) {
    Bytes segment(12);
    put16(segment, 0, ends.source_port);
    put16(segment, 2, ends.destination_port);
    put32(segment, 4, tag);
    segment.insert(segment.end(), chunks.begin(), chunks.end());
    const std::uint32_t crc = slow_crc32c(segment);
    for (std::size_t i = 0; i < 4; ++i)
        segment[8 + i] = static_cast<std::uint8_t>(crc >> 8 * i);
    return ipv4(ends, 132, segment);
}

bool sctp_crc_ok(const Bytes& packet) {
    Bytes segment(packet.begin() + static_cast<std::ptrdiff_t>(l4_offset(packet)), packet.end());
    std::uint32_t found = 0;
    for (std::size_t i = 0; i < 4; ++i) {
        found |= std::uint32_t{segment.at(8 + i)} << 8 * i;
        segment.at(8 + i) = 0;
    }
    return slow_crc32c(segment) == found;
}

PacketView view(Bytes& packet) {
    return {packet.data(), static_cast<std::uint32_t>(packet.size())};
}

Tuple<V4> tuple(const Ends& ends, std::uint8_t protocol, std::uint16_t zone) {
    return {V4Address::from_host(ends.source),
            V4Address::from_host(ends.destination),
            Be16::from_host(ends.source_port),
            Be16::from_host(ends.destination_port),
            zone,
            protocol,
            0};
}

}  // namespace noclash::nat::test
