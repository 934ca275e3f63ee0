// SPDX-License-Identifier: Apache-2.0
#pragma once

// TCP segments with all that their headers say, written to bytes and read from them; nothing here
// is shared with the code under test.

#include <cstdint>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/nat/packets.hpp"
#include "tests/unit/nat/stamped.hpp"

namespace noclash::nat::test {

/// In host order; windows as they stand in headers.
struct WholeSegment {
    std::uint8_t flags = 0;
    std::uint32_t sequence = 0;
    std::uint32_t acknowledgment = 0;
    std::uint16_t window = 0;
    Bytes data{};
    std::optional<std::uint16_t> max_segment_size{};
    std::optional<std::uint8_t> window_scale{};
    bool sack_permitted = false;
    std::optional<Stamp> stamp{};
    std::vector<std::pair<std::uint32_t, std::uint32_t>> sacks{};

    [[nodiscard]] bool has(std::uint8_t flag) const { return (flags & flag) != 0; }
    /// One past its last sequence number, SYN and FIN counted.
    [[nodiscard]] std::uint32_t end() const {
        return sequence + static_cast<std::uint32_t>(data.size()) + (has(tcp_flag::syn) ? 1 : 0) +
               (has(tcp_flag::fin) ? 1 : 0);
    }
    friend bool operator==(const WholeSegment&, const WholeSegment&) = default;
};

/// Options stand in an order, and at places, that the gateway itself would not choose: SACK blocks
/// and timestamps may begin at odd bytes.
inline Bytes bytes_of(const Ends& ends, const WholeSegment& segment) {
    Bytes options;
    const auto put = [&options](std::initializer_list<unsigned> bytes) {
        for (const unsigned byte : bytes)
            options.push_back(static_cast<std::uint8_t>(byte));
    };
    const auto put_word = [&put](std::uint32_t word) {
        put({word >> 24U, word >> 16U & 255U, word >> 8U & 255U, word & 255U});
    };
    if (segment.window_scale) put({3, 3, *segment.window_scale});
    if (segment.stamp) {
        put({8, 10});
        put_word(segment.stamp->value);
        put_word(segment.stamp->echo);
    }
    if (!segment.sacks.empty()) {
        put({1, 5, static_cast<unsigned>(2 + 8 * segment.sacks.size())});
        for (const auto& [from, to] : segment.sacks) {
            put_word(from);
            put_word(to);
        }
    }
    if (segment.max_segment_size)
        put({2, 4, unsigned{*segment.max_segment_size} >> 8U, *segment.max_segment_size & 255U});
    if (segment.sack_permitted) put({4, 2});
    while (options.size() % 4 != 0)
        options.push_back(1);
    Bytes packet = tcp(ends, segment.flags, segment.data);
    const std::size_t l4 = l4_offset(packet);
    put32(packet, l4 + 4, segment.sequence);
    put32(packet, l4 + 8, segment.acknowledgment);
    put16(packet, l4 + 14, segment.window);
    insert_tcp_options(packet, options);
    return packet;
}

inline Ends ends_of(const Bytes& packet) {
    const std::size_t l4 = l4_offset(packet);
    return {get32(packet, 12), get32(packet, 16), get16(packet, l4), get16(packet, l4 + 2)};
}
inline Ends back_to(const Ends& ends) {
    return {ends.destination, ends.source, ends.destination_port, ends.source_port};
}

/// Throws when one of the packet's checksums is wrong.
inline void expect_right_sums(const Bytes& packet) {
    Bytes right = packet;
    fix_ip_checksum(right);
    fix_l4_checksum(right);
    if (packet != right) throw std::runtime_error("a checksum is wrong: " + to_hex(packet));
}

/// Of a packet with right checksums; throws when one is wrong.
inline WholeSegment segment_in(const Bytes& packet) {
    expect_right_sums(packet);
    const std::size_t l4 = l4_offset(packet);
    const std::size_t length = packet.at(l4 + 12) / 16U * std::size_t{4};
    WholeSegment segment;
    segment.sequence = get32(packet, l4 + 4);
    segment.acknowledgment = get32(packet, l4 + 8);
    segment.flags = packet.at(l4 + 13);
    segment.window = get16(packet, l4 + 14);
    segment.data.assign(packet.begin() + static_cast<std::ptrdiff_t>(l4 + length), packet.end());
    for (std::size_t at = l4 + 20; at < l4 + length && packet[at] != 0;) {
        if (packet[at] == 1) {
            ++at;
            continue;
        }
        const std::size_t value = at + 2, size = packet.at(at + 1);
        if (size < 2 || at + size > l4 + length) throw std::runtime_error("a broken option");
        switch (packet[at]) {
            case 2:
                segment.max_segment_size = get16(packet, value);
                break;
            case 3:
                segment.window_scale = packet.at(value);
                break;
            case 4:
                segment.sack_permitted = true;
                break;
            case 5:
                for (std::size_t edge = value; edge + 8 <= at + size; edge += 8)
                    segment.sacks.emplace_back(get32(packet, edge), get32(packet, edge + 4));
                break;
            case 8:
                segment.stamp = Stamp{get32(packet, value), get32(packet, value + 4)};
                break;
            default:
                throw std::runtime_error("an unknown option");
        }
        at += size;
    }
    return segment;
}

inline std::ostream& operator<<(std::ostream& out, const WholeSegment& segment) {
    for (const auto& [flag, name] : {std::pair{tcp_flag::syn, "SYN "},
                                     {tcp_flag::fin, "FIN "},
                                     {tcp_flag::rst, "RST "},
                                     {tcp_flag::ack, "ACK "}})
        if (segment.has(flag)) out << name;
    out << "seq " << segment.sequence << " ack " << segment.acknowledgment << " win "
        << segment.window << " data " << segment.data.size();
    if (segment.max_segment_size) out << " mss " << *segment.max_segment_size;
    if (segment.window_scale) out << " ws " << unsigned{*segment.window_scale};
    if (segment.sack_permitted) out << " sackOK";
    if (segment.stamp) out << " TS " << segment.stamp->value << '/' << segment.stamp->echo;
    for (const auto& [from, to] : segment.sacks)
        out << " sack " << from << '-' << to;
    return out;
}

}  // namespace noclash::nat::test
