// SPDX-License-Identifier: Apache-2.0

// Connections that are flushed with a reset: what becomes of the segments for their ends, on their
// way from the thread that flushes to a worker that sends them.

#include "dpdk/control/flow_flush.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

#include "dpdk/config/config.hpp"
#include "dpdk/datapath/gateway.hpp"
#include "dpdk/datapath/worker.hpp"
#include "dpdk/device/eal.hpp"
#include "dpdk/device/packet_pool.hpp"
#include "engine/flow_worker.hpp"
#include "engine/reservation.hpp"
#include "nat/conntrack/tcp_tracking.hpp"
#include "nat/packet/parse.hpp"

namespace noclash::dpdk::flow_flush_test {
namespace {

constexpr std::string_view configuration = R"(
flows = 4096
workers = 2
[memory]
huge_pages = "none"
packet_buffers = 8192
[[port]]
name = "inside"
device = "null:inside"
address = "10.1.0.1/24"
[[port]]
name = "outside"
device = "null:outside"
address = "10.2.0.1/24"
[[rule]]
name = "outbound"
action = "masquerade"
in = "inside"
)";

/// DPDK, which starts once in a process.
struct Ground {
    Config config = parse_config(configuration, "flow_flush_test.toml");
    Eal eal{config};
    PacketPool pool{eal.memory(), eal.pages()};
    std::vector<std::unique_ptr<Port>> ports() const {
        std::vector<std::unique_ptr<Port>> made;
        for (std::size_t i = 0; i < config.ports.size(); ++i) {
            made.push_back(std::make_unique<Port>(config, i, pool.get()));
            made.back()->start();
        }
        return made;
    }
};

class FlowFlushTest : public testing::Test {
  protected:
    static constexpr std::uint16_t owner = 1;  ///< of all flows; worker 0 has none

    static void SetUpTestSuite() {
        static const Ground ground;
        static Gateway gateway(ground.config, ground.ports(), ground.pool.get(), 1);
        static FlowWorker<V4> flows(gateway.flows, owner, now_ms());
        gateway_ = &gateway;
        flows_ = &flows;
    }
    void TearDown() override {
        flush_.flush(
            {}, [](const FlowView&) { return Ending::silent; }, [] {});
        static_cast<void>(waiting());
        reclaim();
    }

    /// Connections 10.1.0.2:port -> 10.2.0.2:443, established: the client has sent 100 bytes, the
    /// server 200.
    static void set_up(std::uint16_t count, std::uint8_t protocol = nat::ip_protocol::tcp) {
        flows_->online();
        for (std::uint16_t i = 0; i < count; ++i) {
            const Be16 port = Be16::from_host(static_cast<std::uint16_t>(1024 + i));
            Reservation<V4> flow(*flows_, {client, server, port, https, 0, protocol, 0});
            ASSERT_EQ(flow.error(), SetupError::none);
            ASSERT_EQ(flow.reserve({server, outside, https, port, 0, protocol, 0}),
                      SetupError::none);
            auto& record = flow.record();
            using nat::flow_memory::tcp_acknowledged, nat::flow_memory::tcp_end;
            record.memory[tcp_end(Direction::original)] = 1100;
            record.memory[tcp_acknowledged(Direction::reply)] = 1100;
            record.memory[tcp_end(Direction::reply)] = 5200;
            record.memory[tcp_acknowledged(Direction::original)] = 5200;
            record.protocol_state = static_cast<std::uint8_t>(nat::TcpState::established);
            record.marks = 0;
            flow.publish(to_moment(now_ms() + 3'600'000), now_ms());
        }
        flows_->offline();
    }
    static void reclaim() {
        flows_->online();
        for (int grace_periods = 0; grace_periods < 3; ++grace_periods) {
            flows_->quiescent();
            flows_->maintain(now_ms(), 1U << 20U, [](const auto&) {});
        }
        flows_->offline();
    }
    template <class Between>
    Flushed reset(Between&& between) {
        return flush_.flush(
            {}, [](const FlowView&) { return Ending::resets; }, between);
    }
    /// Takes what waits for the owner, as it would.
    static std::vector<FlowReset> waiting() {
        std::vector<FlowReset> taken;
        gateway_->flow_resets[owner].drain([&](const FlowReset& one) { taken.push_back(one); });
        return taken;
    }
    /// Whether something of an end would be answered by a RST.
    static bool is_remembered(const Tuple<V4>& of_end) {
        return gateway_->reset_ends.has(gateway_->flows.index().hash(of_end), now_ms());
    }
    static std::uint32_t live() {
        std::uint32_t there = 0;
        for_each_flow(
            *gateway_, {}, [&](FlowReader&, const FlowView&) { ++there; }, [] {});
        return there;
    }

    static inline const V4Address client = *parse_address<V4>("10.1.0.2"),
                                  server = *parse_address<V4>("10.2.0.2"),
                                  outside = *parse_address<V4>("10.2.0.1");
    static inline const Be16 https = Be16::from_host(443);
    static inline Gateway* gateway_ = nullptr;
    static inline FlowWorker<V4>* flows_ = nullptr;
    FlowFlush flush_{*gateway_};
};

TEST_F(FlowFlushTest, HandsAnExactResetForEachEndToTheOwnerOfTheFlow) {
    set_up(1);
    const Flushed done = reset([] {});
    EXPECT_EQ(std::pair(done.ended, done.reset), std::pair(1UL, 1UL));
    EXPECT_EQ(done.untold, 0U);
    EXPECT_EQ(live(), 0U);
    EXPECT_TRUE(gateway_->flow_resets[0].empty());
    std::vector<FlowReset> told = waiting();
    ASSERT_EQ(told.size(), 2U);
    const Be16 port = Be16::from_host(1024);
    const Tuple<V4> of_client{client, server, port, https, 0, nat::ip_protocol::tcp, 0};
    const Tuple<V4> of_server{server, outside, https, port, 0, nat::ip_protocol::tcp, 0};
    for (const auto& [packet, of_end, sequence] :
         {std::tuple(&told[0], of_client, 5200U), std::tuple(&told[1], of_server, 1100U)}) {
        nat::Parsed<V4> parsed;
        const auto bytes = packet->bytes();
        const nat::PacketView view{bytes.data(), static_cast<std::uint32_t>(bytes.size())};
        ASSERT_EQ(nat::parse<V4>(view, 0, parsed), nat::DropReason::none);
        EXPECT_EQ(parsed.tuple, of_end.inverse());
        EXPECT_EQ(nat::segment_of(view, parsed).sequence, sequence);
        EXPECT_TRUE(is_remembered(of_end));
        EXPECT_FALSE(is_remembered(of_end.inverse()));
    }
}

TEST_F(FlowFlushTest, KeepsAndEndsAsItIsTold) {
    set_up(30);
    const auto by_port = [](const FlowView& flow) {
        const unsigned rest = flow.original.source_port.host() % 3U;
        return rest == 0 ? Ending::none : rest == 1 ? Ending::silent : Ending::resets;
    };
    const Flushed done = flush_.flush({}, by_port, [] {});
    EXPECT_EQ(std::pair(done.ended, done.reset), std::pair(20UL, 10UL));
    EXPECT_EQ(live(), 10U);
    EXPECT_EQ(waiting().size(), 20U);
}

TEST_F(FlowFlushTest, TellsNobodyOfWhatIsNoTcp) {
    set_up(3, nat::ip_protocol::udp);
    const Flushed done = reset([] {});
    EXPECT_EQ(std::pair(done.ended, done.reset + done.untold), std::pair(3UL, 0UL));
    EXPECT_TRUE(waiting().empty());
}

TEST_F(FlowFlushTest, WaitsForRoomAndLosesNothing) {
    constexpr std::uint16_t many = 3000;
    set_up(many);
    std::size_t told = 0;
    std::set<std::vector<std::uint8_t>> others;
    const auto take = [&] {
        for (const FlowReset& one : waiting()) {
            others.emplace(one.bytes().begin(), one.bytes().end());
            ++told;
        }
    };
    const Flushed done = reset(take);
    take();
    EXPECT_EQ(done.reset, many);
    EXPECT_EQ(done.untold, 0U);
    EXPECT_EQ(told, 2U * many);
    EXPECT_EQ(others.size(), told) << "each is another one";
}

TEST_F(FlowFlushTest, EndsAllTheSameAndSaysSoWhenTheWorkerTakesNothing) {
    constexpr std::uint16_t many = 1000;
    set_up(many);
    const Flushed done = reset([] {});
    EXPECT_EQ(done.ended, many);
    EXPECT_EQ(done.reset + done.untold, many);
    EXPECT_EQ(waiting().size(), 2 * done.reset);
    EXPECT_GE(done.reset, FlowResets::room / nat::EndSegments::most);
    EXPECT_GT(done.untold, 0U);
    EXPECT_EQ(live(), 0U);
    const auto of_client = [](std::uint16_t port) {
        return Tuple<V4>{client, server, Be16::from_host(port), https, 0, nat::ip_protocol::tcp, 0};
    };
    EXPECT_TRUE(is_remembered(of_client(1024 + many - 1))) << "told when it sends something";
}

TEST_F(FlowFlushTest, NobodyIsWaitedForBeforeWorkersRun) {
    set_up(1000);
    const auto resets = [](const FlowView&) { return Ending::resets; };
    int looks = 0;  // one is made after each 4096 records in any case
    const Flushed done = flush_.flush(
        {}, resets, [&] { ++looks; }, Workers::not_yet);
    EXPECT_LE(looks, 2);
    EXPECT_EQ(done.ended, 1000U);
    EXPECT_GT(done.untold, 0U);
}

TEST_F(FlowFlushTest, AClientThatLeavesEndsIt) {
    set_up(1000);
    struct Gone : std::runtime_error {
        using runtime_error::runtime_error;
    };
    EXPECT_THROW(reset([&] { throw Gone("the client"); }), Gone);
    EXPECT_GT(live(), 0U);
    EXPECT_EQ(waiting().size(), 2U * (1000U - live())) << "whoever was told has ended";
}

TEST_F(FlowFlushTest, AWorkerSendsFewAtATime) {
    set_up(400);
    ASSERT_EQ(reset([] {}).reset, 400U);
    Worker worker(*gateway_, owner);
    worker.begin();
    const auto sent = [&] { return worker.counters().flow_resets_sent.value(); };
    const std::uint64_t now = now_ms();
    EXPECT_EQ(worker.round(now), flow_resets_a_round);
    EXPECT_EQ(sent(), flow_resets_a_round);
    for (int rounds = 0; rounds < 1000; ++rounds)
        static_cast<void>(worker.round(now));
    EXPECT_EQ(sent(), flow_resets_a_ms) << "in one millisecond";
    for (std::uint64_t ms = 1; ms < 5; ++ms)
        for (int rounds = 0; rounds < 100; ++rounds)
            static_cast<void>(worker.round(now + ms));
    EXPECT_EQ(sent(), 800U);
    EXPECT_EQ(worker.round(now + 5), 0U);
    worker.end();
}

}  // namespace
}  // namespace noclash::dpdk::flow_flush_test
