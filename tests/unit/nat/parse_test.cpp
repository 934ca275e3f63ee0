// SPDX-License-Identifier: Apache-2.0
#include "nat/packet/parse.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>

#include "tests/unit/nat/packets.hpp"

namespace noclash::nat::parse_test {
namespace {

using namespace tcp_flag;
using test::Bytes;
using test::Ends;

constexpr Ends ends;

DropReason reason(Bytes packet) {
    Parsed<V4> parsed;
    return parse<V4>(test::view(packet), 0, parsed);
}

/// The answer after `byte` at `at` became `value`, the header checksum being right.
DropReason reason_with(Bytes packet, std::size_t at, std::uint8_t value) {
    packet.at(at) = value;
    test::fix_ip_checksum(packet);
    return reason(std::move(packet));
}

TEST(Parse, Tcp) {
    Bytes packet = test::tcp(ends, syn | psh, Bytes(5), Bytes{1, 1, 1});
    packet[6] = 0x40;
    test::fix_ip_checksum(packet);
    packet.resize(packet.size() + 6);  // Ethernet padding.
    Parsed<V4> parsed;
    ASSERT_EQ(parse<V4>(test::view(packet), 7, parsed), DropReason::none);
    EXPECT_EQ(parsed.tuple, test::tuple(ends, 6, 7));
    EXPECT_EQ(parsed.length, 49U);
    EXPECT_EQ(parsed.l4_offset, 24);
    EXPECT_EQ(parsed.kind, PacketKind::tcp);
    EXPECT_EQ(parsed.tcp_flags, syn | psh);
    EXPECT_EQ(parsed.ttl, 63);
    EXPECT_TRUE(l4_checksum_ok<V4>(test::view(packet), parsed));
}

/// `parse_fast` against `parse_any`, on packets of which bytes were changed: what the first takes
/// is what the second takes, and they read the same.
TEST(Parse, TheShortWayIsTheLongWay) {
    std::mt19937 random(1);
    const auto byte = [&] { return static_cast<std::uint8_t>(random()); };
    std::array<unsigned, 2> taken{};
    for (int i = 0; i < 200'000; ++i) {
        const bool tcp = random() % 2 == 0;
        const Bytes payload(random() % 40);
        Bytes packet = tcp ? test::tcp(ends, ack, payload) : test::udp(ends, payload);
        for (auto changes = random() % 3; changes > 0; --changes)
            packet[random() % std::min<std::size_t>(packet.size(), 40)] = byte();
        const bool has_header = test::l4_offset(packet) <= packet.size();
        if (has_header && random() % 8 != 0) test::fix_ip_checksum(packet);
        PacketView view = test::view(packet);
        view.length -= random() % 16 == 0 ? std::min<std::uint32_t>(view.length, byte()) : 0U;
        view.ip_checksum = static_cast<Checked>(random() % 3);
        view.l4_checksum = static_cast<Checked>(random() % 3);
        Parsed<V4> short_way, long_way;
        if (!parse_fast<V4>(view, 3, short_way)) continue;
        ++taken.at(tcp ? 0 : 1);
        ASSERT_EQ(parse_any<V4>(view, 3, long_way), DropReason::none) << test::to_hex(packet);
        ASSERT_EQ(short_way.tuple, long_way.tuple);
        ASSERT_EQ(short_way.length, long_way.length);
        ASSERT_EQ(short_way.l4_offset, long_way.l4_offset);
        ASSERT_EQ(short_way.kind, long_way.kind);
        ASSERT_EQ(short_way.tcp_flags, long_way.tcp_flags);
        ASSERT_EQ(short_way.ttl, long_way.ttl);
    }
    // All packets that are as they should be go the short way.
    EXPECT_GT(taken[0], 10'000U);
    EXPECT_GT(taken[1], 5'000U);
}

TEST(Parse, Udp) {
    Bytes packet = test::udp(ends, Bytes(3));
    Parsed<V4> parsed;
    ASSERT_EQ(parse<V4>(test::view(packet), 0, parsed), DropReason::none);
    EXPECT_EQ(parsed.tuple, test::tuple(ends, 17));
    EXPECT_EQ(parsed.kind, PacketKind::udp);
    EXPECT_EQ(parsed.tcp_flags, 0);
}

TEST(Parse, EchoRequestAndReplyAreInverse) {
    Bytes request = test::icmp(ends, 8, 0, 0xbeef0001);
    Bytes reply = test::icmp({ends.destination, ends.source}, 0, 0, 0xbeef0001);
    Parsed<V4> there;
    Parsed<V4> back;
    ASSERT_EQ(parse<V4>(test::view(request), 0, there), DropReason::none);
    ASSERT_EQ(parse<V4>(test::view(reply), 0, back), DropReason::none);
    EXPECT_EQ(there.kind, PacketKind::icmp_request);
    EXPECT_EQ(back.kind, PacketKind::icmp_reply);
    EXPECT_EQ(there.tuple, test::tuple({ends.source, ends.destination, 0xbeef, 0}, 1));
    EXPECT_EQ(back.tuple, there.tuple.inverse());
}

TEST(Parse, NothingIsReadBeyondTheView) {
    // Whole allocations of each length: the address sanitizer sees one byte too much.
    for (const Bytes& whole :
         {test::tcp(ends, syn, Bytes(8), Bytes{7, 3, 4}), test::udp(ends, Bytes(8)),
          test::icmp(ends, 3, 1, 0, test::udp(ends, Bytes(8)))}) {
        for (std::size_t length = 0; length < whole.size(); ++length) {
            const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
            EXPECT_EQ(reason(cut), DropReason::truncated) << length;
        }
        EXPECT_EQ(reason(whole), DropReason::none);
    }
}

TEST(Parse, IpHeader) {
    const Bytes packet = test::udp(ends, Bytes(30));
    EXPECT_EQ(reason_with(packet, 0, 0x65), DropReason::bad_ip_header);
    EXPECT_EQ(reason_with(packet, 0, 0x44), DropReason::bad_ip_header);
    EXPECT_EQ(reason_with(packet, 3, 19), DropReason::bad_ip_header);
    EXPECT_EQ(reason_with(packet, 2, 1), DropReason::truncated);
    constexpr std::array<std::uint8_t, 4> never_forwarded{0, 2, 58, 255};
    for (const std::uint8_t protocol : never_forwarded)
        EXPECT_EQ(reason_with(packet, 9, protocol), DropReason::protocol) << int{protocol};
    EXPECT_EQ(reason_with(packet, 6, 0x20), DropReason::fragment);
    EXPECT_EQ(reason_with(packet, 7, 1), DropReason::fragment);
}

TEST(Parse, HeaderChecksumIsSummedUnlessTheDeviceDid) {
    Bytes packet = test::udp(ends);
    Parsed<V4> parsed;
    PacketView view = test::view(packet);
    view.ip_checksum = Checked::bad;
    EXPECT_EQ(parse<V4>(view, 0, parsed), DropReason::bad_ip_checksum);
    packet[10] ^= 1;
    view.ip_checksum = Checked::unknown;
    EXPECT_EQ(parse<V4>(view, 0, parsed), DropReason::bad_ip_checksum);
    view.ip_checksum = Checked::good;
    EXPECT_EQ(parse<V4>(view, 0, parsed), DropReason::none);
}

TEST(Parse, Options) {
    const auto with = [](const Bytes& options) { return reason(test::udp(ends, {}, options)); };
    EXPECT_EQ(with({1, 7, 7, 4, 0, 0, 0, 0}), DropReason::none);  // NOP, record route
    EXPECT_EQ(with({148, 4, 0, 0}), DropReason::none);            // router alert
    EXPECT_EQ(with({0, 131, 1, 1}), DropReason::none);            // nothing counts after the end
    EXPECT_EQ(with({131, 7, 4, 1, 2, 3, 4}), DropReason::source_route);
    EXPECT_EQ(with({1, 137, 7, 4, 1, 2, 3, 4}), DropReason::source_route);
    EXPECT_EQ(with({7, 0, 0, 0}), DropReason::bad_ip_header);
    EXPECT_EQ(with({7, 1, 0, 0}), DropReason::bad_ip_header);
    EXPECT_EQ(with({7, 5, 0, 0}), DropReason::bad_ip_header);
    EXPECT_EQ(with({1, 1, 1, 7}), DropReason::bad_ip_header);
}

TEST(Parse, TcpHeader) {
    const Bytes packet = test::tcp(ends, ack, Bytes(4));
    EXPECT_EQ(reason_with(packet, 32, 0x40), DropReason::bad_l4_header);
    EXPECT_EQ(reason_with(packet, 32, 0x60), DropReason::none);
    EXPECT_EQ(reason_with(packet, 32, 0x70), DropReason::bad_l4_header);
    EXPECT_EQ(reason_with(packet, 3, 39), DropReason::bad_l4_header);
}

TEST(Parse, TcpFlags) {
    const std::vector<int> sound{syn,       syn | ack, syn | urg,      rst, rst | ack, ack,
                                 ack | urg, fin | ack, fin | ack | urg};
    const Bytes packet = test::tcp(ends, 0);
    for (int flags = 0; flags < 256; ++flags) {
        const bool is_sound = std::find(sound.begin(), sound.end(), flags & 0x37) != sound.end();
        EXPECT_EQ(reason_with(packet, 33, static_cast<std::uint8_t>(flags)),
                  is_sound ? DropReason::none : DropReason::bad_l4_header)
            << flags;
    }
}

TEST(Parse, UdpLength) {
    const Bytes packet = test::udp(ends, Bytes(4));
    EXPECT_EQ(reason_with(packet, 25, 7), DropReason::bad_l4_header);
    EXPECT_EQ(reason_with(packet, 25, 8), DropReason::none);
    EXPECT_EQ(reason_with(packet, 25, 13), DropReason::bad_l4_header);
    EXPECT_EQ(reason_with(packet, 3, 27), DropReason::bad_l4_header);
}

TEST(Parse, IcmpTypes) {
    for (int type = 0; type < 256; ++type) {
        DropReason expected = DropReason::protocol;
        if (type == 0 || type == 3 || type == 4 || type == 8 || type == 11 || type == 12 ||
            type == 13 || type == 14) {
            expected = DropReason::none;
        }
        if (type == 5) expected = DropReason::icmp_unrelated;
        EXPECT_EQ(reason(test::icmp(ends, static_cast<std::uint8_t>(type), 0, 0, test::udp(ends))),
                  expected)
            << type;
    }
    EXPECT_EQ(reason(test::ipv4(ends, 1, Bytes(7))), DropReason::bad_l4_header);
}

TEST(Parse, IcmpErrorAnswersTheQuotedTuple) {
    const Ends router{0xc6336401, ends.source};
    for (const Bytes& quoted : {test::tcp(ends, ack), test::udp(ends, Bytes(40), Bytes{1, 1}),
                                test::icmp(ends, 8, 0, 0x04d20001)}) {
        Bytes cut = quoted;
        cut.resize(test::l4_offset(quoted) + 8);
        Bytes packet = test::icmp(router, 11, 0, 0, cut, Bytes{1});
        Parsed<V4> parsed;
        ASSERT_EQ(parse<V4>(test::view(packet), 3, parsed), DropReason::none);
        EXPECT_EQ(parsed.kind, PacketKind::icmp_error);
        const bool echo = quoted[9] == 1;
        EXPECT_EQ(parsed.tuple, test::tuple({ends.source, ends.destination, ends.source_port,
                                             echo ? std::uint16_t{0} : ends.destination_port},
                                            quoted[9], 3));
        EXPECT_EQ(parsed.l4_offset, 24);
        EXPECT_EQ(parsed.inner_offset, 32);
        EXPECT_EQ(parsed.inner_l4_offset, 32 + test::l4_offset(quoted));

        cut.pop_back();
        EXPECT_EQ(reason(test::icmp(router, 11, 0, 0, cut)), DropReason::bad_l4_header);
    }
}

// [RFC 5508 REQ-3]
TEST(Parse, QuotesThatAreOfNoFlow) {
    const auto quoting = [](Bytes quoted, std::size_t at, std::uint8_t value) {
        quoted.at(at) = value;
        test::fix_ip_checksum(quoted);
        return reason(test::icmp(ends, 3, 1, 0, quoted));
    };
    const Bytes udp = test::udp(ends);
    EXPECT_EQ(quoting(udp, 0, 0x55), DropReason::bad_l4_header);
    EXPECT_EQ(quoting(udp, 0, 0x44), DropReason::bad_l4_header);
    EXPECT_EQ(quoting(udp, 3, 1), DropReason::none);  // The quoted length tells nothing.
    EXPECT_EQ(quoting(udp, 7, 1), DropReason::icmp_unrelated);
    EXPECT_EQ(quoting(udp, 6, 0x20), DropReason::none);
    EXPECT_EQ(quoting(udp, 9, 2), DropReason::icmp_unrelated);
    EXPECT_EQ(quoting(udp, 9, 47), DropReason::none);
    EXPECT_EQ(quoting(test::icmp(ends, 3, 1, 0, Bytes(28)), 1, 0), DropReason::icmp_unrelated);
    Bytes damaged = udp;
    damaged[8] ^= 1;
    EXPECT_EQ(reason(test::icmp(ends, 3, 1, 0, damaged)), DropReason::none);  // as routers leave it
}

TEST(Parse, WhatTheDeviceSaysOfTheTransport) {
    for (const Bytes& bytes : {test::tcp(ends, syn), test::udp(ends), test::icmp(ends, 8, 0, 0)}) {
        Bytes packet = bytes;
        Parsed<V4> parsed;
        PacketView view = test::view(packet);
        view.l4_checksum = Checked::bad;
        EXPECT_EQ(parse<V4>(view, 0, parsed), DropReason::bad_l4_checksum);
    }
    Bytes without = test::udp(ends);
    test::put16(without, 26, 0);
    PacketView view = test::view(without);
    view.l4_checksum = Checked::bad;
    Parsed<V4> parsed;
    EXPECT_EQ(parse<V4>(view, 0, parsed), DropReason::none);
    EXPECT_TRUE(l4_checksum_ok<V4>(view, parsed));
}

TEST(Parse, TransportChecksumSeesEveryBit) {
    for (const Bytes& whole : {test::tcp(ends, syn, Bytes(3)), test::udp(ends, Bytes(3)),
                               test::icmp(ends, 8, 0, 5, Bytes(3))}) {
        Bytes packet = whole;
        Parsed<V4> parsed;
        ASSERT_EQ(parse<V4>(test::view(packet), 0, parsed), DropReason::none);
        EXPECT_TRUE(l4_checksum_ok<V4>(test::view(packet), parsed));
        for (std::size_t bit = std::size_t{20} * 8; bit < packet.size() * 8; ++bit) {
            if (packet[9] == 17 && (bit / 8 == 24 || bit / 8 == 25)) continue;  // UDP's length
            packet[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
            EXPECT_FALSE(l4_checksum_ok<V4>(test::view(packet), parsed)) << bit;
            PacketView good = test::view(packet);
            good.l4_checksum = Checked::good;
            EXPECT_TRUE(l4_checksum_ok<V4>(good, parsed));
            packet[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
        }
    }
}

// The packets' checksums are summed by the definition, word by word.
TEST(Parse, TransportChecksumIsSummedAtEveryLength) {
    std::mt19937 random(5);
    const auto payload = [&](std::size_t size) {
        Bytes bytes(size);
        for (auto& byte : bytes)
            byte = static_cast<std::uint8_t>(random());
        return bytes;
    };
    for (std::size_t size = 0; size <= 1460; size += size < 160 ? 1 : 13) {
        for (Bytes packet : {test::tcp(ends, syn, payload(size)), test::udp(ends, payload(size))}) {
            Parsed<V4> parsed;
            ASSERT_EQ(parse<V4>(test::view(packet), 0, parsed), DropReason::none);
            EXPECT_TRUE(l4_checksum_ok<V4>(test::view(packet), parsed)) << size;
            ++packet.back();  // without payload, it is of the checksum or the urgent pointer
            EXPECT_FALSE(l4_checksum_ok<V4>(test::view(packet), parsed)) << size;
        }
    }
}

TEST(Parse, UdpChecksumEndsWithTheDatagram) {
    Bytes packet = test::udp(ends, Bytes{1, 2, 3});
    packet.push_back(99);  // Within the IP packet, behind the datagram.
    test::put16(packet, 2, static_cast<unsigned>(packet.size()));
    test::fix_ip_checksum(packet);
    Parsed<V4> parsed;
    ASSERT_EQ(parse<V4>(test::view(packet), 0, parsed), DropReason::none);
    EXPECT_TRUE(l4_checksum_ok<V4>(test::view(packet), parsed));
}

}  // namespace
}  // namespace noclash::nat::parse_test
