// SPDX-License-Identifier: Apache-2.0

// A queue's frames, one burst ahead of who takes them: none is lost, none changes its place, and
// none waits when it could be taken.

#include "dpdk/datapath/rx_queue.hpp"

#include <gtest/gtest.h>
#include <rte_eth_ring.h>
#include <rte_mempool.h>
#include <rte_ring.h>

#include <vector>

#include "dpdk/device/eal.hpp"
#include "dpdk/device/packet_pool.hpp"

namespace noclash::dpdk::rx_queue_test {
namespace {

constexpr std::size_t burst = 8;

Config config() {
    Config made;
    made.memory.huge_pages = HugePages::none;
    made.ports = {{"a", "null:a", {}, 24, 1500, 64}};
    return made;
}

/// A port that receives from a ring.
class ArrivalsTest : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        static const Eal eal(config());
        static const PacketPool pool(eal.memory(), eal.pages());
        buffers_ = pool.get();
        ring_ = rte_ring_create("arrivals", 64, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
        ASSERT_NE(ring_, nullptr);
        const int port = rte_eth_from_ring(ring_);
        ASSERT_GE(port, 0);
        port_ = static_cast<std::uint16_t>(port);
        const rte_eth_conf plain{};
        ASSERT_EQ(rte_eth_dev_configure(port_, 1, 1, &plain), 0);
        constexpr auto anywhere = static_cast<unsigned>(SOCKET_ID_ANY);
        ASSERT_EQ(rte_eth_rx_queue_setup(port_, 0, 64, anywhere, nullptr, buffers_), 0);
        ASSERT_EQ(rte_eth_tx_queue_setup(port_, 0, 64, anywhere, nullptr), 0);
        ASSERT_EQ(rte_eth_dev_start(port_), 0);
    }
    void TearDown() override { EXPECT_EQ(rte_mempool_in_use_count(buffers_), 0U); }

    void send(std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            rte_mbuf* frame = rte_pktmbuf_alloc(buffers_);
            frame->pkt_len = ++sent_;  // its number
            ASSERT_EQ(rte_ring_enqueue(ring_, frame), 0);
        }
    }
    /// How many come, each of them the next one.
    std::size_t take(RxQueue<burst>& arrivals) {
        const std::span<rte_mbuf*> frames = arrivals.take(port_, 0);
        for (rte_mbuf* frame : frames) {
            EXPECT_EQ(frame->pkt_len, ++taken_);
            rte_pktmbuf_free(frame);
        }
        return frames.size();
    }

    static inline rte_mempool* buffers_ = nullptr;
    static inline rte_ring* ring_ = nullptr;
    static inline std::uint16_t port_ = 0;
    std::uint32_t sent_ = 0, taken_ = 0;
};

TEST_F(ArrivalsTest, AreOneBurstAheadWhileMoreComes) {
    RxQueue<burst> arrivals;
    send(2 * burst + 3);
    EXPECT_EQ(take(arrivals), burst);
    EXPECT_EQ(arrivals.ahead().size(), burst);
    send(burst);
    EXPECT_EQ(take(arrivals), burst);
    EXPECT_EQ(arrivals.ahead().size(), burst);
    for (const rte_mbuf* frame : arrivals.ahead())
        RxQueue<burst>::prefetch(frame);
    EXPECT_EQ(take(arrivals), burst);
    EXPECT_EQ(arrivals.ahead().size(), 3U);
    EXPECT_EQ(take(arrivals), 3U);
    EXPECT_TRUE(arrivals.ahead().empty());
    EXPECT_EQ(take(arrivals), 0U);
    EXPECT_EQ(taken_, sent_);
}

TEST_F(ArrivalsTest, WaitForNothingWhenFewCome) {
    RxQueue<burst> arrivals;
    for (std::size_t count = 0; count < burst; ++count) {
        send(count);
        EXPECT_EQ(take(arrivals), count);
        EXPECT_TRUE(arrivals.ahead().empty());
    }
}

TEST_F(ArrivalsTest, GiveBackWhatNobodyTook) {
    RxQueue<burst> arrivals;
    send(burst + 2);
    EXPECT_EQ(take(arrivals), burst);
    EXPECT_EQ(arrivals.ahead().size(), 2U);
}

}  // namespace
}  // namespace noclash::dpdk::rx_queue_test
