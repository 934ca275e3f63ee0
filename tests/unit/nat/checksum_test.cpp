// SPDX-License-Identifier: Apache-2.0
#include "nat/packet/checksum.hpp"

#include <gtest/gtest.h>
#include <rte_ip.h>

#include <random>

#include "tests/unit/nat/packets.hpp"

namespace noclash::nat::checksum::checksum_test {
namespace {

using test::Bytes;

class ChecksumTest : public ::testing::Test {
  protected:
    Bytes random_bytes(std::size_t size) {
        Bytes bytes(size);
        for (auto& byte : bytes)
            byte = static_cast<std::uint8_t>(random_());
        return bytes;
    }

    std::mt19937 random_{1};
};

TEST_F(ChecksumTest, SumAgreesWithDpdkAndWithTheDefinitionAtEveryLength) {
    for (std::size_t size = 0; size < 300; ++size) {
        const Bytes bytes = random_bytes(size);
        EXPECT_EQ(fold(sum(bytes)), rte_raw_cksum(bytes.data(), size)) << size;
        EXPECT_EQ(Be16::from_wire(fold(sum(bytes))).host(), test::slow_sum(bytes)) << size;
        constexpr std::uint64_t more = 0xfedc'ba98'7654'3210;
        EXPECT_EQ(fold(sum(bytes, more)), fold(sum(bytes) + fold(more))) << size;
    }
}

TEST_F(ChecksumTest, SumOfOnesDoesNotOverflow) {
    const Bytes bytes(65535, 0xff);
    EXPECT_EQ(Be16::from_wire(fold(sum(bytes))).host(), test::slow_sum(bytes));
    EXPECT_EQ(fold(~std::uint64_t{0}), 0xffff);
    EXPECT_EQ(fold(0), 0);
}

TEST_F(ChecksumTest, GoodIsWhatFoldsToAllOnes) {
    std::mt19937_64 random{1};
    for (const std::uint64_t near :
         {std::uint64_t{0}, std::uint64_t{0xffff}, std::uint64_t{1} << 32U,
          std::uint64_t{0xffff} << 20U, ~std::uint64_t{0}, random()})
        for (std::uint64_t off = 0; off < 0x3'0000; ++off)
            for (const std::uint64_t total : {near + off, near - off}) {
                ASSERT_EQ(good(total), fold(total) == 0xffff) << total;
                ASSERT_EQ(good_nonzero(total), total == 0 || good(total)) << total;
            }
}

TEST_F(ChecksumTest, TcpAndUdpChecksumsAgreeWithDpdk) {
    for (std::size_t size = 20; size < 200; ++size) {
        Bytes packet = test::tcp(
            {static_cast<std::uint32_t>(random_()), static_cast<std::uint32_t>(random_()), 7, 9},
            tcp_flag::ack, random_bytes(size));
        test::put16(packet, 36, 0);
        rte_ipv4_hdr ip;
        std::memcpy(&ip, packet.data(), sizeof ip);
        const auto segment = std::span(packet).subspan(20);
        const std::uint64_t total =
            sum(segment) + pseudo_header<V4>(V4Address{Be32::from_wire(ip.src_addr)},
                                             V4Address{Be32::from_wire(ip.dst_addr)}, 6,
                                             static_cast<std::uint32_t>(segment.size()));
        EXPECT_EQ(finish(total).wire(), rte_ipv4_udptcp_cksum(&ip, segment.data()));
    }
}

TEST_F(ChecksumTest, Ipv6PseudoHeaderAgreesWithDpdk) {
    for (int i = 0; i < 100; ++i) {
        rte_ipv6_hdr ip{};
        const Bytes addresses = random_bytes(32);
        std::memcpy(&ip.src_addr, addresses.data(), 16);
        std::memcpy(&ip.dst_addr, addresses.data() + 16, 16);
        const Bytes segment = random_bytes(57);
        ip.payload_len = Be16::from_host(57).wire();
        ip.proto = 17;
        V6Address source;
        V6Address destination;
        std::memcpy(&source, addresses.data(), 16);
        std::memcpy(&destination, addresses.data() + 16, 16);
        EXPECT_EQ(finish(sum(segment) + pseudo_header<V6>(source, destination, 17, 57)).wire(),
                  rte_ipv6_udptcp_cksum(&ip, segment.data()));
    }
}

TEST_F(ChecksumTest, UpdateAgreesWithFullComputation) {
    for (int i = 0; i < 100'000; ++i) {
        Bytes bytes = random_bytes(20);
        const Be16 before = finish(sum(bytes));
        Delta delta;
        const std::size_t at = random_() % 9 * 2;
        Be32 old_word;
        std::memcpy(&old_word, bytes.data() + at, 4);
        const Be32 new_word = Be32::from_wire(static_cast<std::uint32_t>(random_()));
        std::memcpy(bytes.data() + at, &new_word, 4);
        delta.replace(old_word, new_word);
        ASSERT_EQ(delta.apply(before), finish(sum(bytes)));
    }
}

TEST_F(ChecksumTest, TheExampleOfRfc1624) {
    // Section 4: equation 2 would give 0xffff here, which is wrong.
    Delta delta;
    delta.replace(Be16::from_host(0x5555), Be16::from_host(0x3285));
    EXPECT_EQ(delta.apply(Be16::from_host(0xdd2f)).host(), 0x0000);
    EXPECT_EQ(delta.apply_nonzero(Be16::from_host(0xdd2f)).host(), 0xffff);
}

TEST_F(ChecksumTest, AWrongChecksumStaysWrongByTheSameDifference) {
    Bytes bytes = random_bytes(20);
    const std::uint16_t right = finish(sum(bytes)).host();
    for (unsigned error = 1; error < 0xffff; error += 251) {
        const auto wrong = static_cast<std::uint16_t>((right + error) % 0xffff);
        Delta delta;
        delta.replace(Be16::from_host(1), Be16::from_host(500));
        const std::uint16_t right_after = delta.apply(Be16::from_host(right)).host();
        const std::uint16_t wrong_after = delta.apply(Be16::from_host(wrong)).host();
        EXPECT_EQ((wrong_after + 0xffff - right_after) % 0xffff, error);
    }
}

}  // namespace
}  // namespace noclash::nat::checksum::checksum_test
