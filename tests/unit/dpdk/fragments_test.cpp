// SPDX-License-Identifier: Apache-2.0

// Reassembly and fragmenting on DPDK's buffers. Every test demands at its end that all buffers are
// back in their pool.

#include <gtest/gtest.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <vector>

#include "dpdk/datapath/fragmenter.hpp"
#include "dpdk/datapath/frame.hpp"
#include "dpdk/datapath/reassembly.hpp"
#include "dpdk/device/eal.hpp"
#include "dpdk/device/packet_pool.hpp"
#include "tests/unit/nat/packets.hpp"

namespace noclash::dpdk::fragments_test {
namespace {

using nat::DropReason;
using nat::test::Bytes;

constexpr std::size_t link_header = sizeof(nat::EthernetHeader);

Config config() {
    Config made;
    made.memory.huge_pages = HugePages::none;
    made.ports = {{"a", "tap:a", {}, 24, 1500, 64}};
    made.fragments = {256, 160, 1000};
    return made;
}

/// Cuts `packet`, whose header is 20 bytes long, at a multiple of 8 bytes of payload.
std::vector<Bytes> cut(const Bytes& packet, std::size_t step) {
    std::vector<Bytes> parts;
    for (std::size_t begin = 20; begin < packet.size(); begin += step) {
        const std::size_t end = std::min(begin + step, packet.size());
        Bytes part(20 + end - begin);
        std::copy_n(packet.begin(), 20, part.begin());
        std::copy(packet.begin() + static_cast<std::ptrdiff_t>(begin),
                  packet.begin() + static_cast<std::ptrdiff_t>(end), part.begin() + 20);
        nat::test::put16(part, 2, static_cast<unsigned>(part.size()));
        const unsigned more = end < packet.size() ? 0x2000 : 0;
        nat::test::put16(part, 6, static_cast<unsigned>((begin - 20) / 8) | more);
        nat::test::fix_ip_checksum(part);
        parts.push_back(part);
    }
    return parts;
}

Bytes bytes_of(rte_mbuf* frame) {
    const nat::PacketView view = ip_packet(frame);
    return {view.data, view.data + view.length};
}

class Fragments : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        static const Eal eal(config());
        static const PacketPool pool(eal.memory(), eal.pages());
        buffers_ = pool.get();
    }

    void TearDown() override {
        reassembly_.reset();
        EXPECT_EQ(rte_mempool_in_use_count(buffers_), 0U);
    }

    static rte_mbuf* frame_of(const Bytes& packet, std::size_t padding = 0) {
        rte_mbuf* frame = rte_pktmbuf_alloc(buffers_);
        char* room = rte_pktmbuf_append(
            frame, static_cast<std::uint16_t>(link_header + packet.size() + padding));
        std::memcpy(room + link_header, packet.data(), packet.size());
        return frame;
    }

    std::optional<Bytes> add(const Bytes& part, std::uint16_t port = 0, std::size_t padding = 0) {
        rte_mbuf* frame = frame_of(part, padding);
        const auto whole = reassembly_->add(frame, ip_packet(frame), port, now_ms_);
        if (!whole) return {};
        largest_ = whole->largest_fragment;
        const Bytes bytes = bytes_of(whole->frame);
        rte_pktmbuf_free(whole->frame);
        return bytes;
    }

    std::optional<Bytes> add_all(const std::vector<Bytes>& parts) {
        std::optional<Bytes> whole;
        for (const Bytes& part : parts) {
            EXPECT_FALSE(whole.has_value());
            whole = add(part);
        }
        return whole;
    }

    [[nodiscard]] std::uint64_t dropped(DropReason reason) const {
        return counters_.dropped(reason);
    }

    static inline rte_mempool* buffers_ = nullptr;
    WorkerCounters counters_;
    std::unique_ptr<Reassembly> reassembly_ =
        std::make_unique<Reassembly>(config(), buffers_, counters_);
    std::uint64_t now_ms_ = 5000;
    std::uint16_t largest_ = 0;
};

// [RFC 4787 REQ-14]
TEST_F(Fragments, AreOnePacketWhateverTheirOrder) {
    std::mt19937 random(1);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same test each time
    for (const std::size_t size : {17U, 100U, 2000U, 4000U, 11800U, 65507U}) {
        Bytes payload(size);
        std::generate(payload.begin(), payload.end(),
                      [&] { return static_cast<std::uint8_t>(random()); });
        const Bytes packet = nat::test::udp({}, payload);
        const std::size_t step =
            size > 60000 ? 552 : std::max<std::size_t>(8, (packet.size() / 8 + 8) / 8 * 8);
        for (int round = 0; round < 20; ++round) {
            std::vector<Bytes> parts = cut(packet, step);
            std::shuffle(parts.begin(), parts.end(), random);
            EXPECT_EQ(add_all(parts), packet);
            EXPECT_EQ(largest_, step + 20);
        }
    }
    EXPECT_EQ(reassembly_->waiting(), 0U);
    EXPECT_EQ(counters_.reassembled.value(), 120U);
}

TEST_F(Fragments, LeaveTheirPaddingBehind) {
    const Bytes packet = nat::test::udp({}, Bytes(20));
    const std::vector<Bytes> parts = cut(packet, 16);
    EXPECT_FALSE(add(parts[0], 0, 10));
    EXPECT_EQ(add(parts[1], 0, 14), packet);
}

TEST_F(Fragments, TheLargestMayBeAny) {
    const Bytes packet = nat::test::udp({}, Bytes(1000));
    const std::vector<Bytes> fine = cut(packet, 104), coarse = cut(packet, 520);
    EXPECT_EQ(add_all({fine[0], fine[1], fine[2], fine[3], fine[4], coarse[1]}), packet);
    EXPECT_EQ(largest_, 20 + 1008 - 520);
    EXPECT_EQ(add_all({fine[9], coarse[0], fine[5], fine[6], fine[7], fine[8]}), packet);
    EXPECT_EQ(largest_, 20 + 520);
}

TEST_F(Fragments, OfOtherProtocolsAndPortsAreOthers) {
    const Bytes udp = nat::test::udp({}, Bytes(1000));
    const Bytes icmp = nat::test::icmp({}, 8, 0, 1, Bytes(1000));
    EXPECT_FALSE(add(cut(udp, 504)[0]));
    EXPECT_FALSE(add(cut(icmp, 504)[1]));
    EXPECT_FALSE(add(cut(udp, 504)[1], 1));
    EXPECT_EQ(add(cut(udp, 504)[1]), udp);
    EXPECT_EQ(add(cut(icmp, 504)[0]), icmp);
}

TEST_F(Fragments, ThatDoNotFitTogetherDieTogether) {
    const std::vector<Bytes> parts = cut(nat::test::udp({}, Bytes(1000)), 504);
    Bytes other = parts[0];
    other.back() ^= 1;
    EXPECT_FALSE(add_all({parts[0], other, parts[1]}));
    EXPECT_EQ(dropped(DropReason::fragment_overlap), 3U);
    EXPECT_EQ(reassembly_->waiting(), 0U);
}

TEST_F(Fragments, MayComeTwice) {
    const Bytes packet = nat::test::udp({}, Bytes(1000));
    const std::vector<Bytes> parts = cut(packet, 504);
    EXPECT_EQ(add_all({parts[0], parts[0], parts[1]}), packet);
    EXPECT_EQ(add_all({parts[1], parts[1], parts[0]}), packet);
    EXPECT_FALSE(add(parts[0]));
    now_ms_ += 1001;
    reassembly_->expire(now_ms_);
    EXPECT_EQ(counters_.fragment_copies.value(), 3U);
    EXPECT_EQ(dropped(DropReason::fragment_timeout), 0U);
}

TEST_F(Fragments, AreNoMoreThanSoManyOfAPacket) {
    const std::vector<Bytes> small = cut(nat::test::udp({}, Bytes(1200)), 8);
    EXPECT_FALSE(add_all({small.begin() + 1, small.begin() + 2 + nat::most_pieces}));
    EXPECT_EQ(dropped(DropReason::fragment_count), nat::most_pieces + 1U);
    EXPECT_EQ(reassembly_->waiting(), 0U);
}

// Any options may be in the header of the first fragment alone.
TEST_F(Fragments, MakeNoPacketThatIsTooLong) {
    const Bytes packet = nat::test::udp({}, Bytes(65507));
    std::vector<Bytes> parts = cut(packet, 1480);
    Bytes& first = parts[0];
    first.insert(first.begin() + 20, {1, 1, 1, 1});
    first[0] = 0x46;
    nat::test::put16(first, 2, static_cast<unsigned>(first.size()));
    nat::test::fix_ip_checksum(first);
    EXPECT_FALSE(add_all(parts));
    EXPECT_EQ(dropped(DropReason::fragment_too_big), 1U);
}

// [RFC 4787 REQ-14]
TEST_F(Fragments, OfOneSourceLeaveRoomForOthers) {
    const auto first_of = [](std::uint32_t source, unsigned id) {
        Bytes part = cut(nat::test::udp({source}, Bytes(1000)), 504)[0];
        nat::test::put16(part, 4, id);
        nat::test::fix_ip_checksum(part);
        return part;
    };
    for (unsigned id = 0; id < 164; ++id)
        EXPECT_FALSE(add(first_of(0x0a000009, id)));
    EXPECT_EQ(dropped(DropReason::fragment_source), 4U);
    const Bytes packet = nat::test::udp({}, Bytes(1000));
    EXPECT_EQ(add_all(cut(packet, 504)), packet);
    for (unsigned id = 0; id < 100; ++id)
        EXPECT_FALSE(add(first_of(0x0a000010 + id, id)));
    EXPECT_EQ(reassembly_->waiting(), 256U);
    EXPECT_EQ(dropped(DropReason::fragment_full), 4U);
    now_ms_ += 1001;
    reassembly_->expire(now_ms_);
    EXPECT_EQ(dropped(DropReason::fragment_timeout), 256U);
    EXPECT_EQ(add_all(cut(packet, 504)), packet);
}

TEST_F(Fragments, WaitUntilTheirTimeIsOver) {
    const Bytes packet = nat::test::udp({}, Bytes(1000));
    const std::vector<Bytes> parts = cut(packet, 504);
    EXPECT_FALSE(add(parts[0]));
    now_ms_ += 1000;
    EXPECT_EQ(add(parts[1]), packet);
    Bytes other = packet;
    nat::test::put16(other, 4, 77);  // its identification
    nat::test::fix_ip_checksum(other);
    const std::vector<Bytes> others = cut(other, 504);
    EXPECT_FALSE(add(others[0]));
    now_ms_ += 1001;
    EXPECT_FALSE(add(others[1]));
    EXPECT_EQ(dropped(DropReason::fragment_timeout), 1U);
    EXPECT_EQ(reassembly_->waiting(), 1U);
}

TEST_F(Fragments, ArePossibleNowhereWithoutRoom) {
    Config none = config();
    none.fragments.capacity = 0;
    reassembly_ = std::make_unique<Reassembly>(none, buffers_, counters_);
    EXPECT_FALSE(add(cut(nat::test::udp({}, Bytes(1000)), 504)[0]));
    EXPECT_EQ(dropped(DropReason::fragment), 1U);
}

// [RFC 4787 REQ-13]
TEST_F(Fragments, AreMadeAsTheyAreReassembled) {
    for (const std::uint16_t mtu : std::array<std::uint16_t, 4>{68, 576, 1400, 1500}) {
        for (const unsigned word : {0U, 0x4000U}) {
            Bytes packet = nat::test::udp({}, Bytes(1600));
            nat::test::put16(packet, 6, word);
            nat::test::fix_ip_checksum(packet);
            rte_mbuf* frame = frame_of(packet);
            std::array<rte_mbuf*, most_fragments> made{};
            const std::size_t count = fragment_packet(frame, mtu, buffers_, made);
            rte_pktmbuf_free(frame);
            const std::size_t step = (std::size_t{mtu} - 20) / 8 * 8;
            ASSERT_EQ(count, (1608 + step - 1) / step);
            std::vector<Bytes> parts;
            for (std::size_t i = 0; i < count; ++i) {
                parts.push_back(bytes_of(made[i]));
                EXPECT_LE(parts.back().size(), mtu);
                EXPECT_EQ(nat::test::get16(parts.back(), 6) & 0x4000U, word);
                EXPECT_EQ(nat::test::slow_sum(std::span(parts.back()).first(20)), 0xffff);
                rte_pktmbuf_free(made[i]);
            }
            EXPECT_EQ(add_all(parts), packet);
        }
    }
}

// The longest packet is longer, with its Ethernet header, than a buffer can say.
TEST_F(Fragments, AreMadeOfTheLongestPacket) {
    const Bytes packet = nat::test::udp({}, Bytes(65507, 7));
    const std::vector<Bytes> parts = cut(packet, 552);
    std::optional<Reassembly::Whole> whole;
    for (const Bytes& part : parts) {
        rte_mbuf* frame = frame_of(part);
        whole = reassembly_->add(frame, ip_packet(frame), 0, now_ms_);
    }
    ASSERT_TRUE(whole.has_value());
    std::array<rte_mbuf*, most_fragments> made{};
    const std::size_t count = fragment_packet(whole->frame, 576, buffers_, made);
    rte_pktmbuf_free(whole->frame);
    ASSERT_EQ(count, parts.size());
    for (std::size_t i = 0; i < count; ++i) {
        EXPECT_EQ(bytes_of(made[i]), parts[i]);
        rte_pktmbuf_free(made[i]);
    }
}

TEST_F(Fragments, AreAllMadeOrNone) {
    rte_mbuf* frame = frame_of(nat::test::udp({}, Bytes(1600)));
    std::array<rte_mbuf*, 2> room{};
    EXPECT_EQ(fragment_packet(frame, 576, buffers_, room), 0U);
    rte_pktmbuf_free(frame);
}

}  // namespace
}  // namespace noclash::dpdk::fragments_test
