// SPDX-License-Identifier: Apache-2.0

// Frames and DNS messages against bytes that another program made from the RFCs.

#include "tools/cpsload/frame.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "tools/cpsload/dns.hpp"
#include "tools/cpsload/payload.hpp"

namespace noclash::cpsload::frame_test {
namespace {

constexpr nat::MacAddress from{{2, 0, 0, 0, 0, 1}}, to{{2, 0, 0, 0, 0, 2}};
constexpr Ends tcp_ends{V4Address::from_host(0x0a010101), V4Address::from_host(0x0a010001), 1024,
                        30080};
constexpr Ends udp_ends{V4Address::from_host(0x0a010101), V4Address::from_host(0x0a010001), 1024,
                        7};
constexpr std::string_view hello = "hello";

std::vector<std::uint8_t> bytes_of(std::string_view hex) {
    std::vector<std::uint8_t> bytes;
    for (std::size_t i = 0; i < hex.size(); i += 2)
        bytes.push_back(
            static_cast<std::uint8_t>(std::stoul(std::string(hex.substr(i, 2)), nullptr, 16)));
    return bytes;
}

std::vector<std::uint8_t> written(std::vector<std::uint8_t> room, std::uint16_t length) {
    room.resize(length);
    return room;
}

TEST(FrameWriter, WritesASyn) {
    std::vector<std::uint8_t> room(1500, 0xee);
    const auto length =
        FrameWriter(from, to).tcp(room.data(), tcp_ends, {0x12345678, 0, tcp_flag::syn}, 0);
    EXPECT_EQ(written(room, length),
              bytes_of("02000000000202000000000108004500002800004000400625cd0a0101010a010001"
                       "0400758012345678000000005002faf0bdc10000"));
}

TEST(FrameWriter, WritesASegmentAroundItsPayload) {
    std::vector<std::uint8_t> room(1500, 0xee);
    std::ranges::copy(hello, room.begin() + tcp_payload_at);
    const auto length = FrameWriter(from, to).tcp(
        room.data(), tcp_ends, {0x12345679, 0x9abcdef0, tcp_flag::psh | tcp_flag::ack}, 5);
    EXPECT_EQ(written(room, length),
              bytes_of("02000000000202000000000108004500002d00004000400625c80a0101010a010001"
                       "04007580123456799abcdef05018faf00026000068656c6c6f"));
}

TEST(FrameWriter, WritesADatagramAroundItsPayload) {
    std::vector<std::uint8_t> room(1500, 0xee);
    std::ranges::copy(hello, room.begin() + udp_payload_at);
    const auto length = FrameWriter(from, to).udp(room.data(), udp_ends, 5);
    EXPECT_EQ(written(room, length),
              bytes_of("02000000000202000000000108004500002100004000401125c90a0101010a010001"
                       "04000007000da2f768656c6c6f"));
}

TEST(ReadFrame, ReadsWhatWasWritten) {
    const FrameWriter writer(from, to);
    for (std::uint16_t bytes = 0; bytes < 70; ++bytes) {
        std::vector<std::uint8_t> room(1500, 0xee);
        Payload(bytes * 12345U).write({room.data() + tcp_payload_at, bytes});
        const auto length = writer.tcp(room.data(), tcp_ends, {bytes, 7, tcp_flag::ack}, bytes);
        Segment segment;
        // Ethernet pads short frames.
        ASSERT_EQ(read_frame({room.data(), std::max<std::size_t>(length, 60)}, segment),
                  FrameKind::segment);
        EXPECT_EQ(segment.ends, tcp_ends);
        EXPECT_EQ(segment.sequence, bytes);
        EXPECT_EQ(segment.acknowledgment, 7U);
        EXPECT_EQ(segment.payload.size(), bytes);
        EXPECT_TRUE(Payload(bytes * 12345U).is(segment.payload));
    }
}

TEST(ReadFrame, SeesEveryFlippedBitOfAPacket) {
    std::vector<std::uint8_t> room(1500);
    Payload(99).write({room.data() + tcp_payload_at, 32});
    const auto length = FrameWriter(from, to).tcp(room.data(), tcp_ends, {1, 2, tcp_flag::ack}, 32);
    for (std::size_t bit = 8 * sizeof(nat::EthernetHeader); bit < 8UL * length; ++bit) {
        auto damaged = written(room, length);
        damaged[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
        Segment segment;
        EXPECT_NE(read_frame(damaged, segment), FrameKind::segment) << "bit " << bit;
    }
}

TEST(ReadFrame, ReadsNothingBeyondAShortFrame) {
    std::vector<std::uint8_t> room(1500);
    const auto length = FrameWriter(from, to).tcp(room.data(), tcp_ends, {1, 2, tcp_flag::ack}, 32);
    for (std::size_t kept = 0; kept < length; ++kept) {
        std::vector<std::uint8_t> part(room.begin(),
                                       room.begin() + static_cast<std::ptrdiff_t>(kept));
        Segment segment;
        EXPECT_NE(read_frame(part, segment), FrameKind::segment);
    }
}

TEST(ReadFrame, RefusesADatagramWithoutAChecksum) {
    std::vector<std::uint8_t> room(1500);
    const auto length = FrameWriter(from, to).udp(room.data(), udp_ends, 0);
    room[udp_payload_at - 2] = room[udp_payload_at - 1] = 0;
    Segment segment;
    EXPECT_EQ(read_frame({room.data(), length}, segment), FrameKind::bad_checksum);
}

TEST(Payload, NamesItsConnectionAndNoOther) {
    std::vector<std::uint8_t> bytes(32);
    Payload(0xdeadbeef).write(bytes);
    EXPECT_EQ(Payload::isn_in(bytes), 0xdeadbeef);
    EXPECT_FALSE(Payload(0xdeadbeee).is(bytes));
    bytes[5] ^= 1;
    EXPECT_FALSE(Payload::isn_in(bytes).has_value());
    EXPECT_FALSE(Payload::isn_in(std::vector<std::uint8_t>(7)).has_value());
}

TEST(Dns, WritesAQueryAndAnAnswer) {
    std::array<std::uint8_t, dns::longest_message> room{};
    std::size_t length = dns::write({0x12345678, dns::Type::a, dns::Role::query}, room);
    EXPECT_EQ(std::vector(room.begin(), room.begin() + static_cast<std::ptrdiff_t>(length)),
              bytes_of("acf00100000100000000000009633132333435363738076370736c6f61640474657374"
                       "0000010001"));
    length = dns::write({0x12345678, dns::Type::aaaa, dns::Role::answer}, room);
    EXPECT_EQ(std::vector(room.begin(), room.begin() + static_cast<std::ptrdiff_t>(length)),
              bytes_of("acf18180000100010000000009633132333435363738076370736c6f61640474657374"
                       "00001c0001c00c001c00010000003c001020010db8000000000000000078563412"));
}

TEST(Dns, ReadsOnlyWhatItWrites) {
    for (const auto type : {dns::Type::a, dns::Type::aaaa}) {
        for (const auto role : {dns::Role::query, dns::Role::answer}) {
            const dns::Message message{0xfedcba98, type, role};
            std::array<std::uint8_t, dns::longest_message> room{};
            const std::size_t length = dns::write(message, room);
            const std::span<std::uint8_t> bytes = std::span(room).first(length);
            EXPECT_EQ(dns::read(bytes), message);
            for (std::size_t bit = 0; bit < 8 * length; ++bit) {
                bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
                EXPECT_NE(dns::read(bytes), message) << "bit " << bit;
                bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
            }
            EXPECT_FALSE(dns::read(bytes.first(length - 1)).has_value());
        }
    }
}

}  // namespace
}  // namespace noclash::cpsload::frame_test
