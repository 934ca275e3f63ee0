// SPDX-License-Identifier: Apache-2.0

// Workers of one gateway, more than there are cores, that get in step: copies of one first packet
// (same original tuple), and first packets of different flows that want the same pool port (same
// reply tuple). The whole protocol of claim, reserve, publish, park and adopt, with real threads.

#include <gtest/gtest.h>

#include <barrier>
#include <set>
#include <thread>
#include <vector>

#include "tests/unit/nat/pipeline_fixture.hpp"

namespace noclash::nat::test {
namespace {

constexpr unsigned workers = 6;
constexpr int steps = 3000;

/// Processes a packet as a worker does: parked ones again, until there is another verdict.
Verdict until_decided(TestGateway& gateway, unsigned worker, Bytes& packet) {
    for (;;) {
        const Verdict verdict = gateway.pass(packet, 0, worker);
        if (verdict.outcome != Outcome::park) return verdict;
        gateway.engines[worker]->quiescent();
        std::this_thread::yield();
    }
}

/// Runs `act(worker, step)` on all workers, each step begun by all at once.
template <class Act>
void in_step(TestGateway& gateway, Act&& act) {
    gateway.keep_policy();
    std::barrier step(workers);
    std::vector<std::thread> threads;
    for (unsigned id = 0; id < workers; ++id) {
        threads.emplace_back([&, id] {
            FlowWorker<V4>& engine = *gateway.engines[id];
            for (int i = 0; i < steps; ++i) {
                engine.offline();
                step.arrive_and_wait();
                engine.online();
                act(id, i);
                engine.quiescent();
                gateway.maintain(64, id);
            }
            engine.offline();
        });
    }
    for (auto& thread : threads)
        thread.join();
}

// [field b]
TEST(PipelineRace, CopiesOfOneFirstPacketGetOneMapping) {
    TestGateway gateway({masquerade()}, workers, 4 * steps);
    std::vector<std::vector<Tuple<V4>>> sent(workers, std::vector<Tuple<V4>>(steps));
    std::atomic<int> dropped{0};
    in_step(gateway, [&](unsigned id, int i) {
        Bytes packet =
            tcp({host("10.1.0.7"), client.destination, static_cast<std::uint16_t>(1024 + i), 80},
                tcp_flag::syn);
        if (until_decided(gateway, id, packet).outcome != Outcome::transmit)
            ++dropped;
        else
            sent[id][static_cast<std::size_t>(i)] = read(packet).tuple;
    });
    EXPECT_EQ(dropped, 0);
    for (unsigned id = 1; id < workers; ++id)
        EXPECT_EQ(sent[id], sent[0]) << "worker " << id << " translated differently";
    EXPECT_EQ(gateway.table.index().occupancy().entries, 2U * steps);
}

// [field a]
TEST(PipelineRace, FlowsThatWantOnePortNeverShareIt) {
    // As many ports as workers, to a destination that is new in each step: the last ones always
    // meet, and all must be served.
    TestGateway gateway({masquerade({5000, 5000 + workers - 1})}, workers, 2 * workers * steps);
    std::vector<std::vector<std::uint16_t>> ports(workers, std::vector<std::uint16_t>(steps));
    std::atomic<int> refused{0};
    in_step(gateway, [&](unsigned id, int i) {
        Bytes packet =
            tcp({host("10.1.0.7") + id, host("192.0.2.0") + static_cast<unsigned>(i), 40000, 80},
                tcp_flag::syn);
        if (until_decided(gateway, id, packet).outcome != Outcome::transmit)
            ++refused;
        else
            ports[id][static_cast<std::size_t>(i)] = read(packet).tuple.source_port.host();
    });
    // A map may be in building by one worker while another gives up; that is what the linear probe
    // behind it is for: nobody is refused.
    EXPECT_EQ(refused, 0);
    for (std::size_t i = 0; i < steps; ++i) {
        std::set<std::uint16_t> different;
        for (unsigned id = 0; id < workers; ++id)
            different.insert(ports[id][i]);
        ASSERT_EQ(different.size(), workers) << "step " << i;
    }
}

}  // namespace
}  // namespace noclash::nat::test
