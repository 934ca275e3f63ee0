// SPDX-License-Identifier: Apache-2.0
#include "tools/storm/frame.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <span>

namespace noclash::tools::frame_test {
namespace {

constexpr MacAddress sender{2, 0, 0, 0, 0, 1};
constexpr MacAddress gateway{2, 0, 0, 0, 0, 2};

Probe probe_of(std::uint8_t protocol) {
    return {.protocol = protocol,
            .source = V4Address::from_host(0x0a010101),
            .destination = V4Address::from_host(0x0a010001),
            .source_port = 20001,
            .destination_port = 30080,
            .id = 0x12345678};
}

class Frames : public testing::TestWithParam<std::uint8_t> {};

TEST_P(Frames, AreReadAsTheyWereWritten) {
    const Probe probe = probe_of(GetParam());
    FrameBuffer frame{};
    const std::size_t length = write_frame(probe, sender, gateway, frame);
    const auto arrival = read_frame(std::span(frame).first(length));
    ASSERT_TRUE(arrival);
    EXPECT_TRUE(arrival->checksums_good);
    EXPECT_EQ(arrival->probe.protocol, probe.protocol);
    EXPECT_EQ(arrival->probe.source, probe.source);
    EXPECT_EQ(arrival->probe.destination, probe.destination);
    EXPECT_EQ(arrival->probe.source_port, probe.source_port);
    EXPECT_EQ(arrival->probe.destination_port, probe.destination_port);
    EXPECT_EQ(arrival->probe.id, probe.id);
}

TEST_P(Frames, PaddingDoesNotMatter) {
    FrameBuffer frame{};
    static_cast<void>(write_frame(probe_of(GetParam()), sender, gateway, frame));
    const auto arrival = read_frame(frame);  // to the end of the buffer
    ASSERT_TRUE(arrival);
    EXPECT_TRUE(arrival->checksums_good);
}

TEST_P(Frames, AnyDamagedByteIsSeen) {
    FrameBuffer whole{};
    const std::size_t length = write_frame(probe_of(GetParam()), sender, gateway, whole);
    for (std::size_t i = 14; i < length; ++i) {
        FrameBuffer damaged = whole;
        damaged[i] ^= 0x55;
        const auto arrival = read_frame(std::span(damaged).first(length));
        EXPECT_TRUE(!arrival || !arrival->checksums_good) << "byte " << i;
    }
}

TEST_P(Frames, NothingShorterIsAProbe) {
    FrameBuffer frame{};
    const std::size_t length = write_frame(probe_of(GetParam()), sender, gateway, frame);
    for (std::size_t cut = 0; cut < length; ++cut)
        EXPECT_FALSE(read_frame(std::span(frame).first(cut))) << cut << " bytes";
}

INSTANTIATE_TEST_SUITE_P(Protocols, Frames, testing::Values(IPPROTO_TCP, IPPROTO_UDP));

// 0 means "no checksum": the one that comes out as 0 is sent as its equal (RFC 768).
TEST(Frame, UdpChecksumIsNeverZero) {
    for (std::uint32_t id = 0; id < 70'000; ++id) {
        Probe probe = probe_of(IPPROTO_UDP);
        probe.id = id;
        FrameBuffer frame{};
        const std::size_t length = write_frame(probe, sender, gateway, frame);
        ASSERT_NE(frame[40] << 8 | frame[41], 0) << "id " << id;
        ASSERT_TRUE(read_frame(std::span(frame).first(length))->checksums_good) << "id " << id;
    }
}

TEST(Frame, ASynWithAckIsNoProbe) {
    FrameBuffer frame{};
    const std::size_t length = write_frame(probe_of(IPPROTO_TCP), sender, gateway, frame);
    constexpr std::size_t flags = 14 + 20 + 13;
    frame[flags] |= 0x10;
    EXPECT_FALSE(read_frame(std::span(frame).first(length)));
}

// The checksums of a packet worked out by hand, word by word (RFC 1071).
TEST(Frame, ChecksumsAreThoseOfTheRfc) {
    FrameBuffer frame{};
    static_cast<void>(write_frame(probe_of(IPPROTO_UDP), sender, gateway, frame));
    // 4500+0020+5678+4000+4011+0a01+0101+0a01+0001 = 130ad -> 30ae -> complement
    EXPECT_EQ(frame[24] << 8 | frame[25], 0xcf51);
    // 0a01+0101+0a01+0001+0011+000c (pseudo header) +4e21+7580+000c+1234+5678 = 1417a -> 417b
    EXPECT_EQ(frame[40] << 8 | frame[41], 0xbe84);
}

}  // namespace
}  // namespace noclash::tools::frame_test
