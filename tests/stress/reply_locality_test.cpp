// SPDX-License-Identifier: Apache-2.0

// Two of the daemon's workers, each on its lcore, behind ports whose frames are spread by DPDK's
// software RSS over their headers, as a NIC would. With `reply_locality` replies come to the worker
// that opened their flow; without it to either; and whatever the gateway believes of the NIC's key,
// every packet is translated right.

#include <gtest/gtest.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_thash.h>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <set>
#include <tuple>
#include <vector>

#include "bench/pipeline/bed.hpp"
#include "bench/pipeline/frames.hpp"
#include "dpdk/datapath/rss.hpp"
#include "engine/base/clock.hpp"
#include "engine/base/random.hpp"

namespace noclash::bench {
namespace {

constexpr unsigned workers = 2;
constexpr std::uint32_t at_once = 2048;  // frames under way
constexpr std::uint32_t flows_of_a_test = 16'384;

dpdk::Rss fresh_rss() {
    dpdk::Rss rss;
    rss.key.resize(40);
    random_bytes(rss.key.data(), rss.key.size());
    for (std::uint16_t i = 0; i < 128; ++i)
        rss.queues.push_back(i % workers);
    rss.fields = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP;
    return rss;
}

/// The queue that a device with this RSS puts a frame into. It reads headers, and knows nothing of
/// tuples.
unsigned queue_of(const dpdk::Rss& rss, const rte_mbuf* frame) {
    const auto* ip =
        rte_pktmbuf_mtod_offset(frame, const std::uint8_t*, sizeof(nat::EthernetHeader));
    const auto word = [ip](std::size_t offset) {
        return std::uint32_t{ip[offset]} << 24U | std::uint32_t{ip[offset + 1]} << 16U |
               std::uint32_t{ip[offset + 2]} << 8U | ip[offset + 3];
    };
    std::array<std::uint32_t, 3> input{word(12), word(16), word(20)};
    return rss.queues[rte_softrss(input.data(), 3, rss.key.data()) % rss.queues.size()];
}

Dpdk& dpdk_of_process() {
    static Dpdk dpdk(workers, dpdk::HugePages::none);
    return dpdk;
}

/// The gateway's information about the outside device's RSS.
enum class Told : std::uint8_t { nothing, truth, another_key };

/// A bed between two devices with RSS.
class Wire {
  public:
    explicit Wire(Told told)
        : bed_(dpdk_of_process(),
               {.flows = 4 * flows_of_a_test,
                .workers = workers,
                .general = told == Told::nothing ? "" : "reply_locality = true"}) {
        if (told == Told::nothing) return;
        bed_.gateway().steering.at(port_of(Side::outside)) =
            dpdk::steering_by(told == Told::truth ? outside_ : fresh_rss());
    }

    /// A frame on its way to the gateway.
    void send(Side side, const Tuple<V4>& tuple, const Content& content) {
        rte_mbuf* frame = rte_pktmbuf_alloc(bed_.buffers());
        ASSERT_NE(frame, nullptr);
        auto* room =
            reinterpret_cast<std::uint8_t*>(rte_pktmbuf_append(frame, std::uint16_t{frame_bytes}));
        write_frame(FrameBytes(room, frame_bytes), bed_.mac(side), Bed::neighbor_mac(side), tuple,
                    content);
        const unsigned queue = queue_of(side == Side::inside ? inside_ : outside_, frame);
        ASSERT_EQ(rte_ring_sp_enqueue(bed_.rx(side, queue), frame), 0);
        ++under_way_;
    }

    /// Lets both workers run until all that was sent has come out at `side`; `see(worker, sight)`
    /// is told of each frame.
    template <class See>
    void collect(Side side, See&& see) {
        std::atomic<std::uint32_t> left{under_way_};
        std::array<std::vector<rte_mbuf*>, workers> out;
        bed_.on_workers(workers, [&](unsigned number) {
            dpdk::Worker& worker = bed_.worker(number);
            const std::uint64_t give_up_ms = now_ms() + 60'000;
            worker.begin();
            while (left.load() > 0 && now_ms() < give_up_ms) {
                worker.round(now_ms());
                void* frame = nullptr;
                while (rte_ring_sc_dequeue(bed_.tx(side, number), &frame) == 0) {
                    out[number].push_back(static_cast<rte_mbuf*>(frame));
                    --left;
                }
            }
            worker.end();
        });
        EXPECT_EQ(left.load(), 0U) << "frames were lost";
        under_way_ = 0;
        for (unsigned number = 0; number < workers; ++number)
            for (rte_mbuf* frame : out[number]) {
                const Sight sight =
                    look_at(FrameBytes(rte_pktmbuf_mtod(frame, std::uint8_t*), frame_bytes),
                            rte_pktmbuf_data_len(frame));
                EXPECT_EQ(sight.fault, nullptr);
                see(number, sight);
                rte_pktmbuf_free(frame);
            }
    }

    [[nodiscard]] std::uint64_t dropped() const { return bed_.dropped(); }

  private:
    dpdk::Rss inside_ = fresh_rss(), outside_ = fresh_rss();
    Bed bed_;
    std::uint32_t under_way_ = 0;
};

struct Opened {
    unsigned worker = workers;  ///< that opened it
    Tuple<V4> sent{};           ///< its first packet, translated
};

/// Opens flows, answers them, and returns the share of answers that came to their flow's worker.
double local_share(Told told, const Flows& flows) {
    Wire wire(told);
    std::vector<Opened> opened(flows_of_a_test);
    std::set<std::tuple<std::uint32_t, std::uint16_t, std::uint32_t>> translations;
    for (std::uint32_t first = 0; first < flows_of_a_test; first += at_once) {
        for (std::uint32_t number = first; number < first + at_once; ++number)
            wire.send(Side::inside, flows.original(number), {number, nat::tcp_flag::syn});
        wire.collect(Side::outside, [&](unsigned worker, const Sight& sight) {
            opened.at(sight.content.number) = {worker, sight.tuple};
        });
    }
    for (std::uint32_t number = 0; number < flows_of_a_test; ++number) {
        const Tuple<V4>& sent = opened[number].sent;
        const Tuple<V4> original = flows.original(number);
        EXPECT_EQ(sent.destination, original.destination);
        EXPECT_EQ(sent.destination_port, original.destination_port);
        EXPECT_EQ(sent.source.value.host() & ~63U, 0xc6336400U) << "not of the pool";
        EXPECT_TRUE(translations
                        .emplace(sent.source.value.host(), sent.source_port.host(),
                                 sent.destination.value.host())
                        .second)
            << "two flows share a tuple";
    }

    std::uint32_t local = 0;
    for (std::uint32_t first = 0; first < flows_of_a_test; first += at_once) {
        for (std::uint32_t number = first; number < first + at_once; ++number)
            wire.send(Side::outside, opened[number].sent.inverse(),
                      {number, nat::tcp_flag::syn | nat::tcp_flag::ack});
        wire.collect(Side::inside, [&](unsigned worker, const Sight& sight) {
            const std::uint32_t number = sight.content.number;
            EXPECT_EQ(sight.tuple, flows.original(number).inverse());
            local += worker == opened.at(number).worker ? 1 : 0;
        });
    }
    EXPECT_EQ(wire.dropped(), 0U);
    return static_cast<double>(local) / flows_of_a_test;
}

constexpr Flows tcp{nat::ip_protocol::tcp};
constexpr Flows udp{nat::ip_protocol::udp};
/// Half of all tuples of one server, so that most first proposals of some flows are taken.
constexpr Flows crowd{nat::ip_protocol::tcp, 1};

// A share of a half is 0.06 off in 15 standard deviations.

TEST(ReplyLocality, RepliesComeToTheWorkerThatOwnsTheirFlow) {
    EXPECT_GE(local_share(Told::truth, tcp), 0.99);
    EXPECT_GE(local_share(Told::truth, udp), 0.99);
    EXPECT_GE(local_share(Told::truth, crowd), 0.99);
}

TEST(ReplyLocality, OffTheyComeToEither) {
    EXPECT_NEAR(local_share(Told::nothing, tcp), 0.5, 0.06);
}

TEST(ReplyLocality, AGatewayThatIsWrongTranslatesRight) {
    EXPECT_NEAR(local_share(Told::another_key, tcp), 0.5, 0.06);
    EXPECT_NEAR(local_share(Told::another_key, udp), 0.5, 0.06);
}

}  // namespace
}  // namespace noclash::bench
