// SPDX-License-Identifier: Apache-2.0

// Workers of one gateway, more than there are cores, that get in step: copies of one first packet
// (same original tuple), and first packets of different flows that want the same pool port (same
// reply tuple). The whole protocol of claim, reserve, publish, park and adopt, with real threads;
// and policies that are replaced under them.

#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <memory>
#include <set>
#include <string>
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

/// Policies come and go while workers run: each is gone a grace period after another took its
/// place. A worker that goes by an old one, or limits that are not there yet, show in sanitizers'
/// builds.
TEST(PipelineRace, PoliciesAreReplacedUnderWorkers) {
    using Snapshot = PolicySnapshot<V4, TestRouter>;
    TestGateway gateway({masquerade()}, workers, 4 * steps);
    const auto make = [&](unsigned number, const Snapshot* previous) {
        LimitsConfig<V4> limits;
        if (number >= 3) limits.most[static_cast<std::size_t>(Quota::flows)] = 1000 + number;
        Rule<V4> service = node_port();
        service.to_port = PortRange{2000, static_cast<std::uint16_t>(2000 + number % 3)};
        service.name += std::to_string(number % 5);
        std::vector<Rule<V4>> rules{masquerade({2000, 60000})};
        if (number % 2 == 0) rules.insert(rules.begin(), service);
        if (gateway.limits.prepare(limits)) {
            const std::uint64_t token = gateway.table.quiescence().start();
            while (!gateway.table.quiescence().passed(token))
                std::this_thread::yield();
        }
        return std::make_unique<Snapshot>(PolicyConfig<V4>{{}, std::move(rules)}, Timeouts{},
                                          limits, gateway.identities, gateway.router, previous);
    };
    std::unique_ptr<Snapshot> now = make(0, nullptr);
    std::atomic<const Snapshot*> current{now.get()};
    std::atomic<int> refused{0}, last_reason{0};
    std::atomic<unsigned> running{workers};
    gateway.engines[0]->offline();
    std::vector<std::thread> threads;
    for (unsigned id = 0; id < workers; ++id) {
        threads.emplace_back([&, id] {
            gateway.engines[id]->online();
            for (int i = 0; i < steps; ++i) {
                const RoutedRound<V4, TestRouter> round{*current.load(std::memory_order_acquire),
                                                        gateway.now_ms};
                Bytes packet = tcp({host("10.1.0.7"), host("192.0.2.0") + static_cast<unsigned>(i),
                                    static_cast<std::uint16_t>(1024 + id), 80},
                                   tcp_flag::syn);
                PacketContext<V4> context{};
                context.packet = view(packet);
                context.ingress_port = 0;
                gateway.pipelines[id]->process({&context, 1}, round);
                if (context.verdict.outcome == Outcome::drop &&
                    context.verdict.reason != DropReason::subscriber_flows) {
                    ++refused;
                    last_reason = static_cast<int>(context.verdict.reason);
                }
                gateway.engines[id]->quiescent();
                gateway.pipelines[id]->maintain(round, 64);
            }
            gateway.engines[id]->offline();
            --running;
        });
    }
    unsigned replaced = 0;
    for (unsigned number = 1; running > 0 || replaced < 8; ++number, ++replaced) {
        std::unique_ptr<Snapshot> next = make(number, now.get());
        current.store(next.get(), std::memory_order_release);
        const std::uint64_t token = gateway.table.quiescence().start();
        while (!gateway.table.quiescence().passed(token))
            std::this_thread::yield();
        now = std::move(next);
    }
    for (auto& thread : threads)
        thread.join();
    EXPECT_EQ(refused, 0) << to_string(static_cast<DropReason>(last_reason.load()));
}

}  // namespace
}  // namespace noclash::nat::test
