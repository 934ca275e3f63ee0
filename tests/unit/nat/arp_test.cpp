// SPDX-License-Identifier: Apache-2.0
#include "nat/packet/arp.hpp"

#include <gtest/gtest.h>

#include "tests/unit/nat/packets.hpp"

namespace noclash::nat::arp_test {
namespace {

using test::Bytes;

constexpr MacAddress ours{{2, 0, 0, 0, 0, 1}};
constexpr MacAddress theirs{{2, 0, 0, 0, 0, 2}};
constexpr V4Address our_ip = V4Address::from_host(0xc0000201);
constexpr V4Address their_ip = V4Address::from_host(0xc0000202);

Bytes frame(const ArpMessage& message, const MacAddress& to) {
    Bytes out(arp_frame_bytes, 0xee);
    build_arp_frame(message, to, std::span<std::uint8_t, arp_frame_bytes>(out));
    return out;
}

std::optional<ArpMessage> parse_frame(const Bytes& bytes) {
    return parse_arp(std::span(bytes).subspan(sizeof(EthernetHeader)));
}

TEST(Arp, RequestAsRfc826DrawsIt) {
    EXPECT_EQ(test::to_hex(frame(arp_request(ours, our_ip, their_ip), broadcast_mac)),
              "ffffffffffff"
              "020000000001"
              "0806"
              "0001"
              "0800"
              "06"
              "04"
              "0001"
              "020000000001"
              "c0000201"
              "000000000000"
              "c0000202"
              "000000000000000000000000000000000000");
}

TEST(Arp, ReplyAnswersTheRequest) {
    const ArpMessage request = arp_request(theirs, their_ip, our_ip);
    const ArpMessage reply = arp_reply(request, ours);
    EXPECT_EQ(reply, (ArpMessage{ArpOperation::reply, ours, our_ip, theirs, their_ip}));
    const Bytes bytes = frame(reply, theirs);
    EXPECT_EQ(test::to_hex(std::span(bytes).first(14)), "0200000000020200000000010806");
    EXPECT_EQ(parse_frame(bytes), reply);
}

TEST(Arp, AnnouncementsAndProbes) {
    const ArpMessage announcement = arp_announcement(ours, our_ip);
    EXPECT_EQ(parse_frame(frame(announcement, broadcast_mac)), announcement);
    EXPECT_TRUE(announcement.is_gratuitous());
    EXPECT_FALSE(announcement.is_probe());
    const ArpMessage probe = arp_request(ours, V4Address{}, their_ip);
    EXPECT_TRUE(probe.is_probe());
    EXPECT_FALSE(probe.is_gratuitous());
}

TEST(Arp, ShortMessagesAreRefused) {
    const Bytes whole = frame(arp_request(ours, our_ip, their_ip), broadcast_mac);
    for (std::size_t length = 0; length < 28; ++length) {
        const Bytes cut(whole.begin() + 14,
                        whole.begin() + 14 + static_cast<std::ptrdiff_t>(length));
        EXPECT_FALSE(parse_arp(cut)) << length;
    }
    EXPECT_TRUE(parse_arp(std::span(whole).subspan(14, 28)));
}

TEST(Arp, WhatIsNotIpv4OverEthernetIsRefused) {
    const Bytes good = frame(arp_request(theirs, their_ip, our_ip), broadcast_mac);
    const auto accepted = [&](std::size_t at, std::uint8_t value) {
        Bytes bytes = good;
        bytes.at(14 + at) = value;
        return parse_frame(bytes).has_value();
    };
    EXPECT_TRUE(accepted(7, 1));
    EXPECT_TRUE(accepted(7, 2));
    EXPECT_FALSE(accepted(7, 0));
    EXPECT_FALSE(accepted(7, 3));
    EXPECT_FALSE(accepted(6, 1));
    EXPECT_FALSE(accepted(1, 6));
    EXPECT_FALSE(accepted(2, 0x86));
    EXPECT_FALSE(accepted(4, 8));
    EXPECT_FALSE(accepted(5, 16));
}

TEST(Arp, GroupAndZeroSendersAreRefused) {
    EXPECT_FALSE(parse_frame(frame(arp_request(broadcast_mac, their_ip, our_ip), ours)));
    EXPECT_FALSE(parse_frame(frame(arp_request({{1, 0, 0x5e, 0, 0, 1}}, their_ip, our_ip), ours)));
    EXPECT_FALSE(parse_frame(frame(arp_request({}, their_ip, our_ip), ours)));
}

TEST(Arp, MacAddressText) {
    EXPECT_EQ(to_string(MacAddress{{0, 0x1b, 0xff, 9, 0xa0, 5}}), "00:1b:ff:09:a0:05");
}

}  // namespace
}  // namespace noclash::nat::arp_test
