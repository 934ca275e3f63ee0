// SPDX-License-Identifier: Apache-2.0
#include "nat/conntrack/sctp_state.hpp"
#include "nat/packet/sctp_chunks.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>

#include "nat/packet/crc32c.hpp"
#include "nat/packet/parse.hpp"
#include "nat/packet/rewrite.hpp"
#include "tests/unit/nat/packets.hpp"

namespace noclash::nat::sctp_test {
namespace {

using test::Bytes;
using test::Ends;

constexpr Ends ends;
constexpr std::uint8_t data = 0, init = 1, sack = 3, abort_chunk = 6, shutdown = 7, cookie_ack = 11,
                       shutdown_complete = 14;
const Bytes init_chunk = test::sctp_chunk(init, Bytes(16));

DropReason reason(Bytes packet) {
    Parsed<V4> parsed;
    return parse<V4>(test::view(packet), 0, parsed);
}

TEST(Crc32c, KnownMessages) {  // RFC 3720, appendix B.4
    Bytes ascending(32);
    for (std::uint8_t i = 0; i < 32; ++i)
        ascending[i] = i;
    const auto crc = [](const Bytes& bytes) {
        return crc32c::finish(crc32c::add(crc32c::start, bytes));
    };
    EXPECT_EQ(crc(Bytes(32)), 0x8a9136aaU);
    EXPECT_EQ(crc(Bytes(32, 0xff)), 0x62a8ab43U);
    EXPECT_EQ(crc(ascending), 0x46dd794eU);
    EXPECT_EQ(crc32c::to_wire(0x01020304), (crc32c::Bytes{4, 3, 2, 1}));
    EXPECT_EQ(crc32c::from_wire({4, 3, 2, 1}), 0x01020304U);
}

TEST(Crc32c, AChangeOfAFewBytesIsTheDifferenceOfTheWholes) {
    std::mt19937 random(1);
    for (const std::size_t length : {4U, 5U, 19U, 20U, 260U, 1480U, 4100U, 65515U}) {
        Bytes message(length);
        for (auto& byte : message)
            byte = static_cast<std::uint8_t>(random());
        const std::uint32_t before = test::slow_crc32c(message);
        std::array<std::uint8_t, 4> difference{};
        for (std::size_t i = 0; i < difference.size(); ++i) {
            difference[i] = static_cast<std::uint8_t>(random());
            message[i] ^= difference[i];
        }
        const auto behind = static_cast<std::uint16_t>(length - difference.size());
        EXPECT_EQ(before ^ crc32c::change(difference, behind), test::slow_crc32c(message))
            << length;
    }
}

TEST(Sctp, ChunksAreToldInTcpsWords) {
    using namespace tcp_flag;
    const auto flags = [](const Bytes& chunks) {
        Bytes packet = test::sctp(ends, 7, chunks);
        Parsed<V4> parsed;
        EXPECT_EQ(parse<V4>(test::view(packet), 0, parsed), DropReason::none);
        EXPECT_EQ(parsed.kind, PacketKind::sctp);
        EXPECT_EQ(parsed.tuple, test::tuple(ends, 132));
        EXPECT_TRUE(l4_checksum_ok<V4>(test::view(packet), parsed));
        return parsed.tcp_flags;
    };
    EXPECT_EQ(flags(test::sctp_chunk(data, Bytes(13))), 0);
    EXPECT_EQ(flags(test::sctp_chunk(cookie_ack)), ack);
    EXPECT_EQ(flags(test::sctp_chunk(abort_chunk)), rst);
    EXPECT_EQ(flags(test::sctp_chunk(shutdown_complete)), rst);
    Bytes bundle = test::sctp_chunk(sack, Bytes(12));
    const Bytes last = test::sctp_chunk(shutdown, Bytes(4));
    bundle.insert(bundle.end(), last.begin(), last.end());
    EXPECT_EQ(flags(bundle), fin);
    Bytes many;  // what stands behind so many is not looked at
    for (int i = 0; i < 16; ++i)
        many.insert(many.end(), 4, 0), many.end()[-4] = sack, many.end()[-1] = 4;
    many.insert(many.end(), last.begin(), last.end());
    EXPECT_EQ(flags(many), 0);
    Bytes packet = test::sctp(ends, 0, init_chunk);
    Parsed<V4> parsed;
    ASSERT_EQ(parse<V4>(test::view(packet), 0, parsed), DropReason::none);
    EXPECT_EQ(parsed.tcp_flags, syn);
}

TEST(Sctp, WhatIsNoPacketOfItIsRefused) {
    EXPECT_EQ(reason(test::sctp(ends, 0, {})), DropReason::bad_l4_header);
    EXPECT_EQ(reason(test::sctp(ends, 0, {data, 0, 0})), DropReason::bad_l4_header);
    EXPECT_EQ(reason(test::sctp(ends, 0, {data, 0, 0, 3})), DropReason::bad_l4_header);
    EXPECT_EQ(reason(test::sctp(ends, 0, {data, 0, 0, 9, 0, 0, 0, 0})), DropReason::bad_l4_header);
    EXPECT_EQ(reason(test::sctp(ends, 0, {data, 0, 0, 8, 0, 0, 0, 0})), DropReason::none);
    EXPECT_EQ(reason(test::sctp(ends, 1, init_chunk)), DropReason::bad_l4_header);
    Bytes two = init_chunk;
    two.insert(two.end(), {sack, 0, 0, 4});
    EXPECT_EQ(reason(test::sctp(ends, 0, two)), DropReason::bad_l4_header);
    Bytes late(4 + init_chunk.size());
    late[0] = sack;
    late[3] = 4;
    std::copy(init_chunk.begin(), init_chunk.end(), late.begin() + 4);
    EXPECT_EQ(reason(test::sctp(ends, 0, late)), DropReason::bad_l4_header);
}

TEST(Sctp, TranslationKeepsARightChecksumRightAndAWrongOneWrong) {
    for (const std::size_t payload : {1U, 2U, 3U, 64U, 1400U}) {
        for (const bool damaged : {false, true}) {
            Bytes packet = test::sctp(ends, 7, test::sctp_chunk(data, Bytes(payload, 0xa5)));
            if (damaged) packet.at(36) ^= 4;
            Parsed<V4> parsed;
            ASSERT_EQ(parse<V4>(test::view(packet), 0, parsed), DropReason::none);
            EXPECT_EQ(l4_checksum_ok<V4>(test::view(packet), parsed), !damaged);
            Tuple<V4> to = parsed.tuple;
            to.source = V4Address::from_host(0xc6336407);
            to.source_port = Be16::from_host(61234);
            translate_any<V4>(test::view(packet), parsed, to.inverse());
            EXPECT_EQ(test::get16(packet, 20), 61234);
            EXPECT_EQ(test::sctp_crc_ok(packet), !damaged) << payload;
        }
    }
}

TEST(Sctp, States) {
    using namespace tcp_flag;
    using S = SctpState;
    EXPECT_EQ(next_state(S::none, syn), S::opening);
    EXPECT_EQ(next_state(S::opening, 0), S::opening);
    EXPECT_EQ(next_state(S::opening, ack), S::established);
    EXPECT_EQ(next_state(S::established, 0), S::established);
    EXPECT_EQ(next_state(S::established, syn), S::established);  // a restarted peer
    EXPECT_EQ(next_state(S::established, fin), S::closing);
    EXPECT_EQ(next_state(S::opening, rst), S::closing);
    EXPECT_EQ(next_state(S::closing, ack), S::closing);
    EXPECT_EQ(next_state(S::closing, syn), S::opening);
    Timeouts timeouts;
    timeouts.sctp_established_s = 5;
    timeouts.sctp_transitory_s = 3;
    EXPECT_EQ(timeout_s(timeouts, S::established), 5U);
    EXPECT_EQ(timeout_s(timeouts, S::opening), 3U);
    EXPECT_EQ(timeout_s(timeouts, S::closing), 3U);
}

}  // namespace
}  // namespace noclash::nat::sctp_test
