// SPDX-License-Identifier: Apache-2.0
#include "nat/packet/icmp.hpp"

#include <gtest/gtest.h>

#include "nat/packet/parse.hpp"
#include "tests/unit/nat/packets.hpp"

namespace noclash::nat::icmp_test {
namespace {

using test::Bytes;
using test::Ends;

constexpr V4Address router = V4Address::from_host(0xc6336401);

Bytes build(Bytes offending, IcmpError error, std::size_t room = icmp_error_bytes) {
    Parsed<V4> parsed;
    EXPECT_EQ(parse<V4>(test::view(offending), 0, parsed), DropReason::none);
    Bytes out(room, 0xee);
    out.resize(build_icmp_error<V4>(test::view(offending), parsed, error, router, out));
    return out;
}

TEST(IcmpError, QuotesAShortPacketWhole) {
    const Bytes offending = test::udp({}, Bytes{1, 2, 3});
    Bytes padded = offending;
    padded.resize(60);  // Link-layer padding is not the packet's.
    const Bytes error = build(padded, icmp_error::ttl_exceeded);
    Bytes expected = test::icmp({router.value.host(), Ends{}.source}, 11, 0, 0, offending);
    expected[1] = 0xc0;
    test::put16(expected, 4, 0);
    expected[6] = 0x40;
    expected[8] = 64;
    test::fix_ip_checksum(expected);
    EXPECT_EQ(test::to_hex(error), test::to_hex(expected));
}

TEST(IcmpError, QuotesWhatFits) {  // RFC 1812, section 4.3.2.3.
    const Bytes offending = test::tcp({}, tcp_flag::ack, Bytes(1400, 0x5a));
    Bytes error = build(offending, icmp_error::fragmentation_needed(1280));
    ASSERT_EQ(error.size(), 576U);
    EXPECT_EQ(test::get16(error, 2), 576);
    EXPECT_EQ(error[20], 3);
    EXPECT_EQ(error[21], 4);
    EXPECT_EQ(test::get16(error, 24), 0);
    EXPECT_EQ(test::get16(error, 26), 1280);
    EXPECT_TRUE(std::equal(error.begin() + 28, error.end(), offending.begin()));
    Parsed<V4> parsed;
    EXPECT_EQ(parse<V4>(test::view(error), 0, parsed), DropReason::none);
    EXPECT_EQ(parsed.kind, PacketKind::icmp_error);
    EXPECT_EQ(parsed.tuple, test::tuple({}, 6));
    EXPECT_TRUE(l4_checksum_ok<V4>(test::view(error), parsed));
}

TEST(IcmpError, NoErrorAboutAnError) {  // RFC 1812, section 4.3.2.7.
    EXPECT_TRUE(build(test::icmp({}, 3, 1, 0, test::udp({})), icmp_error::ttl_exceeded).empty());
    EXPECT_FALSE(build(test::icmp({}, 8, 0, 0), icmp_error::ttl_exceeded).empty());
}

TEST(IcmpError, TooLittleRoom) {
    const Bytes offending = test::udp({}, Bytes(10));
    EXPECT_TRUE(build(offending, icmp_error::net_unreachable, 65).empty());
    EXPECT_EQ(build(offending, icmp_error::net_unreachable, 66).size(), 66U);
}

TEST(IcmpError, Codes) {
    const auto type_and_code = [](IcmpError error) {
        return test::get16(build(test::udp({}), error), 20);
    };
    EXPECT_EQ(type_and_code(icmp_error::net_unreachable), 0x0300);
    EXPECT_EQ(type_and_code(icmp_error::host_unreachable), 0x0301);
    EXPECT_EQ(type_and_code(icmp_error::port_unreachable), 0x0303);
    EXPECT_EQ(type_and_code(icmp_error::admin_prohibited), 0x030d);
    EXPECT_EQ(type_and_code(icmp_error::ttl_exceeded), 0x0b00);
}

TEST(EchoReply, EqualsThePacketMadeAnew) {
    const Ends ends;
    for (const std::uint32_t rest : {0U, 0x12340001U, 0xfffefffdU}) {
        for (const Bytes& payload : {Bytes{}, Bytes(56, 0), Bytes(57, 0x61)}) {
            Bytes packet = test::icmp(ends, 8, 0, rest, payload, Bytes{1, 1, 1, 1});
            Parsed<V4> parsed;
            ASSERT_EQ(parse<V4>(test::view(packet), 0, parsed), DropReason::none);
            make_echo_reply<V4>(test::view(packet), parsed);
            Bytes expected =
                test::icmp({ends.destination, ends.source}, 0, 0, rest, payload, Bytes{1, 1, 1, 1});
            expected[8] = 64;
            test::fix_ip_checksum(expected);
            EXPECT_EQ(test::to_hex(packet), test::to_hex(expected)) << rest;
        }
    }
}

}  // namespace
}  // namespace noclash::nat::icmp_test
