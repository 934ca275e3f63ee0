// SPDX-License-Identifier: Apache-2.0
#include "nat/packet/rewrite.hpp"

#include <gtest/gtest.h>

#include <random>

#include "nat/packet/parse.hpp"
#include "tests/unit/nat/packets.hpp"

namespace noclash::nat::rewrite_test {
namespace {

using test::Bytes;
using test::Ends;

/// Translates as the pipeline does.
void translate_to(const Tuple<V4>& to, Bytes& packet, const Parsed<V4>& parsed) {
    translate(test::view(packet), parsed, to.inverse(), translation(parsed.tuple, to));
}

/// `packet`, a hop further.
Bytes a_hop_further(Bytes packet) {
    decrement_ttl<V4>(test::view(packet));
    return packet;
}

class RewriteTest : public ::testing::Test {
  protected:
    std::uint16_t random16() { return static_cast<std::uint16_t>(random_()); }

    Bytes random_bytes(std::size_t limit) {
        Bytes bytes(random_() % limit);
        for (auto& byte : bytes)
            byte = static_cast<std::uint8_t>(random_());
        return bytes;
    }

    Ends random_ends() {
        const auto address = [this] {
            return static_cast<std::uint32_t>(0x01000000U + random_() % 0x7e000000U);
        };
        return {address(), address(), random16(), random16()};
    }

    /// One of TCP, UDP, echo request and echo reply; only addresses and ports depend on `ends`.
    struct Recipe {
        int kind;
        std::uint16_t sequence;
        Bytes payload, options;

        [[nodiscard]] Bytes cook(const Ends& ends) const {
            if (kind == 0) return test::tcp(ends, tcp_flag::ack, payload, options);
            if (kind == 1) return test::udp(ends, payload, options);
            const std::uint8_t type = kind == 2 ? 8 : 0;
            const std::uint16_t id = kind == 2 ? ends.source_port : ends.destination_port;
            Bytes packet =
                test::icmp(ends, type, 0, std::uint32_t{id} << 16 | sequence, payload, options);
            // A reply's checksum may be one of two zeros, both right: rewriting sends this one.
            const std::size_t checksum = test::l4_offset(packet) + 2;
            if (kind == 3 && test::get16(packet, checksum) == 0) {
                test::put16(packet, checksum, 0xffff);
            }
            return packet;
        }
        [[nodiscard]] std::uint8_t protocol() const {
            return std::array<std::uint8_t, 4>{6, 17, 1, 1}.at(static_cast<std::size_t>(kind));
        }
    };

    Recipe random_recipe() {
        // NOPs only: what options say is no matter here, their length is.
        return {static_cast<int>(random_() % 4), random16(), random_bytes(100),
                Bytes(random_() % 20, 1)};
    }

    std::mt19937 random_{2};
};

// [RFC 4787 REQ-10]
TEST_F(RewriteTest, EqualsThePacketMadeAnew) {
    for (int i = 0; i < 50'000; ++i) {
        const Recipe recipe = random_recipe();
        const Ends to = random_ends();
        Bytes packet = recipe.cook(random_ends());
        Parsed<V4> parsed;
        ASSERT_EQ(parse<V4>(test::view(packet), 0, parsed), DropReason::none);
        translate_to(test::tuple(to, recipe.protocol()), packet, parsed);
        ASSERT_EQ(test::to_hex(packet), test::to_hex(a_hop_further(recipe.cook(to)))) << i;
    }
}

TEST_F(RewriteTest, ADamagedSegmentStaysDamaged) {
    for (int i = 0; i < 10'000; ++i) {
        const Recipe recipe = random_recipe();
        Bytes packet = recipe.cook(random_ends());
        if (recipe.payload.empty()) continue;
        packet.back() ^= static_cast<std::uint8_t>(1 + random_() % 255);
        Parsed<V4> parsed;
        ASSERT_EQ(parse<V4>(test::view(packet), 0, parsed), DropReason::none);
        translate_to(test::tuple(random_ends(), recipe.protocol()), packet, parsed);
        ASSERT_EQ(parse<V4>(test::view(packet), 0, parsed), DropReason::none);
        ASSERT_FALSE(l4_checksum_ok<V4>(test::view(packet), parsed));
    }
}

TEST_F(RewriteTest, WhatIsForwardedIsTheSameByEitherWay) {
    for (int i = 0; i < 20'000; ++i) {
        const Recipe recipe = random_recipe();
        const Ends before = random_ends();
        const Ends after = random_() % 8 == 0 ? before : random_ends();
        Bytes packet = recipe.cook(before);
        // Any checksum, right or wrong; and those of which there are two.
        const std::size_t checksum = test::l4_offset(packet) + (recipe.kind == 0 ? 16 : 6);
        if (recipe.kind < 2 && random_() % 4 == 0)
            test::put16(packet, checksum, random_() % 2 == 0 ? 0U : 0xffffU);
        Bytes other = packet;
        Parsed<V4> parsed;
        ASSERT_EQ(parse<V4>(test::view(packet), 0, parsed), DropReason::none);
        const Tuple<V4> to = test::tuple(after, recipe.protocol());
        if (recipe.kind >= 2) continue;
        translate(test::view(packet), parsed, to.inverse(), translation(parsed.tuple, to));
        translate_any<V4>(test::view(other), parsed, to.inverse());
        ASSERT_EQ(test::to_hex(packet), test::to_hex(other));
    }
}

TEST_F(RewriteTest, AFlowTranslatesBothWaysAndBackAgain) {
    struct {
        std::array<std::uint16_t, 2> sum_changes{};
    } flow;
    for (int i = 0; i < 20'000; ++i) {
        const Recipe recipe = random_recipe();
        if (recipe.kind >= 2) continue;
        const Ends before = random_ends();
        Ends after = random_ends();
        // Both ends' addresses change places, as far as their sum can tell.
        if (i % 4 == 0)
            after = {before.destination, before.source, before.source_port,
                     before.destination_port};
        if (i % 4 == 1) after = before;
        const Tuple<V4> from = test::tuple(before, recipe.protocol());
        const Tuple<V4> to = test::tuple(after, recipe.protocol());
        keep(flow, translation(from, to));
        Bytes packet = recipe.cook(before);
        Parsed<V4> parsed;
        ASSERT_EQ(parse<V4>(test::view(packet), 0, parsed), DropReason::none);
        translate(test::view(packet), parsed, to.inverse(),
                  translation_of(flow, Direction::original));
        Bytes expected = recipe.cook(after);
        decrement_ttl<V4>(test::view(expected));
        ASSERT_EQ(test::to_hex(packet), test::to_hex(expected)) << i;

        packet = recipe.cook(after);
        ASSERT_EQ(parse<V4>(test::view(packet), 0, parsed), DropReason::none);
        translate(test::view(packet), parsed, from.inverse(),
                  translation_of(flow, Direction::reply));
        expected = recipe.cook(before);
        decrement_ttl<V4>(test::view(expected));
        ASSERT_EQ(test::to_hex(packet), test::to_hex(expected)) << i;
    }
}

TEST_F(RewriteTest, UdpWithoutChecksumStaysWithout) {
    const Ends to = random_ends();
    Bytes packet = test::udp(random_ends(), Bytes(4));
    test::put16(packet, 26, 0);
    Bytes expected = test::udp(to, Bytes(4));
    test::put16(expected, 26, 0);
    Parsed<V4> parsed;
    ASSERT_EQ(parse<V4>(test::view(packet), 0, parsed), DropReason::none);
    translate_to(test::tuple(to, 17), packet, parsed);
    EXPECT_EQ(packet, a_hop_further(expected));
}

TEST_F(RewriteTest, UdpChecksumNeverBecomesZero) {
    // Every source port in turn: the sum passes through both zeros.
    Ends ends;
    for (unsigned port = 0; port < 65536; ++port) {
        Bytes packet = test::udp(ends);
        Parsed<V4> parsed;
        ASSERT_EQ(parse<V4>(test::view(packet), 0, parsed), DropReason::none);
        Ends to = ends;
        to.source_port = static_cast<std::uint16_t>(port);
        translate_to(test::tuple(to, 17), packet, parsed);
        ASSERT_NE(test::get16(packet, 26), 0) << port;
        ASSERT_EQ(packet, a_hop_further(test::udp(to))) << port;
    }
}

TEST_F(RewriteTest, AnEchoReplyOfZerosKeepsARightChecksum) {
    Bytes packet = test::icmp({}, 0, 0, 0x12340000);
    Parsed<V4> parsed;
    ASSERT_EQ(parse<V4>(test::view(packet), 0, parsed), DropReason::none);
    translate_to(test::tuple({1, 2, 0, 0}, 1), packet, parsed);
    EXPECT_EQ(test::get16(packet, 24), 0);
    EXPECT_TRUE(l4_checksum_ok<V4>(test::view(packet), parsed));
}

TEST_F(RewriteTest, TtlEqualsThePacketMadeAnew) {
    for (unsigned ttl = 1; ttl < 256; ++ttl) {
        Bytes packet = random_recipe().cook(random_ends());
        packet[8] = static_cast<std::uint8_t>(ttl);
        test::fix_ip_checksum(packet);
        Bytes expected = packet;
        expected[8] = static_cast<std::uint8_t>(ttl - 1);
        test::fix_ip_checksum(expected);
        decrement_ttl<V4>(test::view(packet));
        ASSERT_EQ(packet, expected) << ttl;
    }
}

// [RFC 5508 REQ-4]
TEST_F(RewriteTest, IcmpErrorEqualsThePacketMadeAnew) {
    for (int i = 0; i < 50'000; ++i) {
        const Recipe recipe = random_recipe();
        const Ends outer = random_ends();
        const Ends new_outer = random_ends();
        const Ends new_inner = random_ends();
        Bytes before = recipe.cook(random_ends());
        Bytes after = recipe.cook(new_inner);
        const std::size_t segment = before.size() - test::l4_offset(before);
        std::size_t quoted = 8 + random_() % (segment - 7);
        if (quoted == 17) quoted = 16;  // Half a TCP checksum is left as it is.
        const std::size_t cut = test::l4_offset(before) + quoted;
        before.resize(cut);
        after.resize(cut);
        Bytes packet = test::icmp(outer, 3, 4, 1400, before);
        Parsed<V4> parsed;
        ASSERT_EQ(parse<V4>(test::view(packet), 0, parsed), DropReason::none);
        rewrite_icmp_error<V4>(
            test::view(packet), parsed, test::tuple(new_inner, recipe.protocol()),
            V4Address::from_host(new_outer.source), V4Address::from_host(new_outer.destination));
        ASSERT_EQ(test::to_hex(packet), test::to_hex(test::icmp(new_outer, 3, 4, 1400, after)))
            << i;
    }
}

TEST_F(RewriteTest, ADamagedIcmpErrorStaysDamaged) {
    Bytes packet = test::icmp(random_ends(), 11, 0, 0, test::udp(random_ends(), Bytes(20)));
    packet.back() ^= 0x10;
    Parsed<V4> parsed;
    ASSERT_EQ(parse<V4>(test::view(packet), 0, parsed), DropReason::none);
    rewrite_icmp_error<V4>(test::view(packet), parsed, test::tuple(random_ends(), 17),
                           V4Address::from_host(0x05060708), V4Address::from_host(0x01020304));
    ASSERT_EQ(parse<V4>(test::view(packet), 0, parsed), DropReason::none);
    EXPECT_FALSE(l4_checksum_ok<V4>(test::view(packet), parsed));
}

}  // namespace
}  // namespace noclash::nat::rewrite_test
