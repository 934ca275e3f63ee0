// SPDX-License-Identifier: Apache-2.0
#include "nat/conntrack/tcp_window.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>

#include "nat/packet/parse.hpp"
#include "tests/unit/nat/packets.hpp"

namespace noclash::nat::tcp_window_test {
namespace {

using namespace tcp_flag;

TcpSegment data(std::uint32_t sequence, std::uint32_t length, std::uint32_t acknowledgment) {
    return {sequence, sequence + length, acknowledgment, 1000, ack};
}
TcpSegment reset(std::uint32_t sequence) {
    return {sequence, sequence, 0, 0, rst};
}

TEST(TcpWindow, ComparesAcrossTheWrapOfSequenceNumbers) {
    EXPECT_TRUE(before(1, 2));
    EXPECT_FALSE(before(2, 2));
    EXPECT_FALSE(before(3, 2));
    EXPECT_TRUE(before(0xffff'ffff, 0));
    EXPECT_TRUE(before(0xffff'fff0, 0x7fff'ffef));
    EXPECT_FALSE(before(0x7fff'ffef, 0xffff'fff0));
}

/// The same path, wherever in the sequence space: S sent up to `base`, R acknowledged all but 1,000
/// bytes; R sent up to `base` + 77'000'000. Windows of 200,000 and 300,000 bytes.
class TcpPathAt : public testing::TestWithParam<std::uint32_t> {
  protected:
    std::uint32_t base = GetParam();
    std::uint32_t other = base + 77'000'000;
    TcpPath path{base, base - 1000, other, 200'000, 300'000, other - 2000};
};

TEST_P(TcpPathAt, WhatAReceiverCanExpectFits) {
    EXPECT_TRUE(path.fits_sequence(data(base, 1460, other))) << "the next";
    EXPECT_TRUE(path.fits_sequence(data(base - 1000, 500, other))) << "sent again";
    EXPECT_TRUE(path.fits_sequence(data(base + 100'000, 1460, other))) << "before earlier ones";
    EXPECT_TRUE(path.fits_sequence(data(base - 1, 0, other))) << "keep-alive";
    EXPECT_TRUE(path.fits_sequence(data(base - 1, 1, other))) << "keep-alive with a byte";
    EXPECT_TRUE(path.fits_sequence(data(base - 1'048'677, 100, other))) << "a late copy";
    EXPECT_TRUE(path.fits_sequence(data(base + 199'000, 1, other))) << "one beyond the window";
    EXPECT_TRUE(path.fits_acknowledgment(data(base, 0, other)));
    EXPECT_TRUE(path.fits_acknowledgment(data(base, 0, other - 1'199'000))) << "an old one";
}

TEST_P(TcpPathAt, WhatItCannotExpectDoesNot) {
    EXPECT_FALSE(path.fits_sequence(data(base + 199'001, 1460, other)));
    EXPECT_FALSE(path.fits_sequence(data(base - 1'060'000, 1460, other)));
    EXPECT_FALSE(path.fits_sequence(data(base + 0x7000'0000, 0, other)));
    EXPECT_FALSE(path.fits_sequence(data(base - 0x7000'0000, 0, other)));
    EXPECT_FALSE(path.fits_acknowledgment(data(base, 0, other + 1))) << "of what was never sent";
    EXPECT_FALSE(path.fits_acknowledgment(data(base, 0, other - 1'200'001)));
}

// [field h]
TEST_P(TcpPathAt, OnlyAnExactResetIsExact) {
    unsigned exact = 0;
    unsigned challenged = 0;
    for (std::uint32_t offset = 0; offset < 600'000; ++offset) {
        const TcpSegment guess = reset(base - 300'000 + offset);
        exact += path.is_exact(guess) ? 1 : 0;
        challenged += path.may_challenge(guess) ? 1 : 0;
    }
    EXPECT_EQ(exact, 2U);
    EXPECT_EQ(challenged, 499'001U);
    EXPECT_TRUE(path.is_exact(reset(base)));
    EXPECT_TRUE(path.is_exact(reset(base - 1000)));
    EXPECT_FALSE(path.may_challenge(reset(base - 1'049'577)));
}

TEST_P(TcpPathAt, AFinIsTheLastOfItsSide) {
    TcpSegment last = data(base - 1000, 1001, other);
    last.flags |= fin;
    EXPECT_TRUE(path.fits_sequence(last));
    --last.end;
    EXPECT_TRUE(path.fits_sequence(last)) << "a copy";
    --last.end;
    EXPECT_FALSE(path.fits_sequence(last));
}

TEST_P(TcpPathAt, AClosedWindowLetsProbesThrough) {
    const TcpPath closed{base, base, other, 0, 300'000, other};
    EXPECT_TRUE(closed.fits_sequence(data(base - 1, 0, other))) << "Linux probes with nothing";
    EXPECT_TRUE(closed.fits_sequence(data(base, 1, other))) << "RFC 9293, section 3.8.6.1";
    EXPECT_FALSE(closed.fits_sequence(data(base + 1, 1, other)));
}

INSTANTIATE_TEST_SUITE_P(Wraps, TcpPathAt,
                         testing::Values(0U, 1U, 500U, 100'000U, 0x7fff'ffffU, 0x8000'0000U,
                                         0xffff'ffffU, 0xffff'0000U, 0u - 77'000'000U));

TEST(TcpSegment, CountsDataSynAndFin) {
    test::Bytes packet = test::tcp({}, syn, {1, 2, 3}, {1, 1, 1, 1});
    test::put32(packet, 24 + 4, 0xffff'fffe);
    test::put32(packet, 24 + 8, 5);
    Parsed<V4> parsed;
    test::fix_l4_checksum(packet);
    ASSERT_EQ(parse<V4>(test::view(packet), 0, parsed), DropReason::none);
    TcpSegment segment = segment_of(test::view(packet), parsed);
    EXPECT_EQ(segment.sequence, 0xffff'fffe);
    EXPECT_EQ(segment.end, 2U) << "across the wrap, SYN and three bytes";
    EXPECT_EQ(segment.acknowledgment, 5U);
    EXPECT_EQ(segment.window, 0xfaf0);
    for (const std::uint8_t flags : {ack, std::uint8_t(fin | ack), rst}) {
        packet[24 + 13] = flags;
        EXPECT_EQ(segment_of(test::view(packet), parsed).end, (flags & fin) != 0 ? 2U : 1U);
    }
    packet.resize(packet.size() + 20);  // link-layer padding
    EXPECT_EQ(segment_of(test::view(packet), parsed).end, 1U);
}

// The words plainly written into a flow that nobody else has equal those that would be put beside
// another side's.
TEST(TcpWords, AFirstSynIsRememberedAsOneThatReopens) {
    struct Memory {
        std::array<std::atomic<std::uint32_t>, 7> memory{};
        std::atomic<std::uint8_t> protocol_detail{0};
    };
    for (const Direction sender : {Direction::original, Direction::reply}) {
        for (const std::uint16_t window : std::array<std::uint16_t, 4>{0, 1, 1000, 65535}) {
            for (const std::uint8_t scale :
                 {std::uint8_t{0}, std::uint8_t{7}, most_window_scale, no_window_scale}) {
                const TcpSegment segment{0xffff'fff0, 0xffff'fff1, 5, window, syn};
                Memory fresh;
                Memory shared;
                TcpWords(fresh, sender, TcpWindow::liberal).begin(segment, scale);
                TcpWords(shared, sender, TcpWindow::liberal).open(segment, scale);
                for (std::size_t i = 0; i < fresh.memory.size(); ++i)
                    EXPECT_EQ(fresh.memory[i].load(), shared.memory[i].load()) << i;
                EXPECT_EQ(fresh.protocol_detail.load(), shared.protocol_detail.load());
            }
        }
    }
}

}  // namespace
}  // namespace noclash::nat::tcp_window_test
