// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "bench/limit.hpp"
#include "bench/scenario.hpp"
#include "bench/tables/table.hpp"
#include "bench/workers.hpp"

namespace noclash::bench {

/// One table from being filled to being emptied. Each step checks what the table did and returns
/// how many operations took how long.
///
/// Time is simulated: it advances with the flows that are created, so that a table of `flows` is in
/// a steady state when each of them lives `lifetime_ms`.
template <FlowTableUnderTest Table>
class Life {
  public:
    explicit Life(const Scenario& scenario)
        : scenario_(scenario),
          keys_(keys_of(scenario)),
          table_(scenario.capacity(), scenario.workers),
          flows_(scenario.flows + scenario.churned()),
          created_(scenario.workers) {
        for (unsigned worker = 0; worker < scenario.workers; ++worker)
            workers_.push_back(std::make_unique<Seat>(table_, static_cast<std::uint16_t>(worker)));
    }

    [[nodiscard]] const Scenario& scenario() const { return scenario_; }
    [[nodiscard]] bool filled() const { return created_[0].flows > 0; }

    /// Every worker its own share of the flows.
    Measured set_up() {
        const Timed timed = run([this](Worker& worker, unsigned number) {
            while (created_[number].flows < share(scenario_.flows) &&
                   create_burst(worker, number, share(scenario_.flows))) {
            }
        });
        for (unsigned worker = 0; worker < scenario_.workers; ++worker)
            expect_created(worker, share(scenario_.flows));
        expect(table_.live_flows() == set_up_flows(), "flows are missing after set-up");
        return {set_up_flows(), timed};
    }

    /// Every worker all flows, in the same order: one of them gets each.
    Measured set_up_contended() {
        std::vector<std::vector<FlowId>> made(scenario_.workers,
                                              std::vector<FlowId>(scenario_.flows));
        const Timed timed = run([&](Worker& worker, unsigned number) {
            for (std::uint32_t first = 0; first < scenario_.flows; first += burst_size) {
                const std::size_t size = std::min<std::size_t>(burst_size, scenario_.flows - first);
                worker.set_up({&keys_[first], size}, {&made[number][first], size}, 0);
                worker.end_burst(0);
            }
        });
        for (std::uint32_t i = 0; i < scenario_.flows; ++i) {
            for (const std::vector<FlowId>& mine : made) {
                expect(flows_[i] == no_flow || mine[i] == no_flow, "a tuple has two owners");
                if (mine[i] != no_flow) flows_[i] = mine[i];
            }
            expect(flows_[i] != no_flow, "a tuple that was asked for has no owner");
        }
        expect(table_.live_flows() == scenario_.flows, "flows are missing after contention");
        check(hits(keys_, flows_, scenario_.flows, scenario_.order));
        return {scenario_.flows, timed};
    }

    Measured find_hit() { return find(hits(keys_, flows_, set_up_flows(), scenario_.order)); }
    Measured find_miss() { return find(misses(scenario_)); }

    /// Flows begin and, oldest first, end. noclash ends those whose time has come.
    Measured churn() {
        const std::uint32_t target = share(scenario_.flows) + share(scenario_.churned());
        const Timed timed = run([this, target](Worker& worker, unsigned number) {
            for (std::uint32_t oldest = 0; created_[number].flows < target; oldest += burst_size) {
                if (!create_burst(worker, number, target)) return;
                if constexpr (!Table::expires_flows)
                    worker.release({&flows_[place(number, oldest)], burst_size});
            }
        });
        for (unsigned worker = 0; worker < scenario_.workers; ++worker)
            expect_created(worker, target);
        const std::uint64_t live = count_live();
        const std::uint64_t late = live - set_up_flows();
        expect(live >= set_up_flows(), "flows ended too early");
        expect(late <= (Table::expires_flows ? scenario_.flows / 10 : 0), "flows ended late");
        check_newest(scenario_.flows / 2, Expected::found);
        return {std::uint64_t{share(scenario_.churned())} * scenario_.workers - late, timed};
    }

    /// Three flows in four, the newest, are ended on request; their records are reclaimed.
    Measured release() {
        const std::uint32_t count = share(scenario_.flows) / 4 * 3 / burst_size * burst_size;
        const std::uint64_t live = count_live();
        const Timed timed = run([this, count](Worker& worker, unsigned number) {
            for (std::uint32_t back = burst_size; back <= count; back += burst_size) {
                worker.release({&flows_[place(number, created_[number].flows - back)], burst_size});
                worker.end_burst(now_ms(number));
            }
            worker.settle(now_ms(number));
        });
        const std::uint64_t released = std::uint64_t{count} * scenario_.workers;
        const std::uint64_t ended = live - table_.live_flows();
        expect(ended >= released, "released flows are still there");
        // Some whose time had come may have gone with them.
        expect(ended <= released + (Table::expires_flows ? scenario_.flows / 10 : 0),
               "flows ended that nobody has released");
        check_newest(count, Expected::gone);
        return {released, timed};
    }

  private:
    using Worker = typename Table::Worker;
    /// Cache lines of its own.
    struct alignas(64) Seat : Worker {
        using Worker::Worker;
    };
    /// The number of flows that a worker has set up. Two lines: they are fetched in pairs.
    struct alignas(128) Created {
        std::uint32_t flows = 0;
    };
    enum class Expected : std::uint8_t { found, gone };
    static constexpr std::chrono::seconds patience{30};
    static constexpr std::uint32_t most_checked = 100'000;

    /// Each worker's part of `flows`, in whole bursts.
    [[nodiscard]] std::uint32_t share(std::uint32_t flows) const {
        return flows / scenario_.workers / burst_size * burst_size;
    }
    [[nodiscard]] std::uint32_t set_up_flows() const {
        return share(scenario_.flows) * scenario_.workers;
    }
    /// Where the worker's n-th flow and its keys lie. Bursts are contiguous.
    [[nodiscard]] std::size_t place(unsigned worker, std::uint32_t n) const {
        const std::uint32_t first = share(scenario_.flows);
        return n < first ? std::size_t{worker} * first + n
                         : std::size_t{set_up_flows()} +
                               std::size_t{worker} * share(scenario_.churned()) + (n - first);
    }
    [[nodiscard]] std::uint64_t now_ms(unsigned worker) const {
        return std::uint64_t{created_[worker].flows} * lifetime_ms / share(scenario_.flows);
    }

    /// False when a flow cannot be set up: the worker's next one in `created_`.
    bool create_burst(Worker& worker, unsigned number, std::uint32_t last) {
        const std::size_t at = place(number, created_[number].flows);
        const std::size_t size = std::min<std::size_t>(burst_size, last - created_[number].flows);
        const std::uint64_t now = now_ms(number);
        worker.set_up({&keys_[at], size}, {&flows_[at], size}, now);
        worker.end_burst(now);
        for (std::size_t i = at; i < at + size; ++i)
            if (flows_[i] == no_flow && !set_up_later(worker, i, now)) return false;
        created_[number].flows += static_cast<std::uint32_t>(size);
        return true;
    }

    /// When another worker has lost its CPU for a while, no grace period ends, and the records that
    /// wait for one may be all that are left. As a gateway's packet, the flow waits, too.
    bool set_up_later(Worker& worker, std::size_t at, std::uint64_t now) {
        const auto begun = std::chrono::steady_clock::now();
        do {
            std::this_thread::yield();
            worker.end_burst(now);
            worker.set_up({&keys_[at], 1}, {&flows_[at], 1}, now);
            if (flows_[at] != no_flow) return true;
        } while (scenario_.workers > 1 && std::chrono::steady_clock::now() - begun < patience);
        return false;
    }

    template <class Work>
    [[nodiscard]] Timed run(const Work& work) {
        return time_on_workers(scenario_.workers, [&](unsigned number) {
            workers_[number]->online();
            work(*workers_[number], number);
            workers_[number]->offline();
        });
    }

    /// The number of live flows. Waits for the end of grace periods if the table counts such flows.
    [[nodiscard]] std::uint64_t count_live() {
        if constexpr (!Table::expires_flows)
            static_cast<void>(
                run([this](Worker& worker, unsigned number) { worker.settle(now_ms(number)); }));
        return table_.live_flows();
    }

    Measured find(const Probes& probes) {
        std::atomic<std::uint64_t> wrong{0};
        const std::size_t part = probes.tuples.size() / scenario_.workers / burst_size * burst_size;
        const std::size_t passes = std::max<std::size_t>(1, lookups / probes.tuples.size());
        const Timed timed = run([&](Worker& worker, unsigned number) {
            std::array<Found, burst_size> found;
            std::uint64_t bad = 0;
            for (std::size_t pass = 0; pass < passes; ++pass) {
                for (std::size_t at = number * part; at < (number + 1) * part; at += burst_size) {
                    worker.find({&probes.tuples[at], burst_size}, found);
                    for (std::size_t i = 0; i < burst_size; ++i)
                        bad += found[i] == probes.expected[at + i] ? 0U : 1U;
                    worker.end_burst(now_ms(number));
                }
            }
            wrong += bad;
        });
        expect(wrong == 0, "a lookup gave a wrong answer");
        return {std::uint64_t{part} * scenario_.workers * passes, timed};
    }
    void check(const Probes& probes) { static_cast<void>(find(probes)); }

    /// Lookups of each worker's `count` newest flows, a few at least.
    void check_newest(std::uint32_t count, Expected expected) {
        std::vector<FlowKeys> keys;
        std::vector<FlowId> flows;
        count = std::min({count, share(scenario_.flows) / 2, most_checked});
        for (unsigned worker = 0; worker < scenario_.workers; ++worker) {
            for (std::uint32_t back = 1; back <= count; ++back) {
                const std::size_t at = place(worker, created_[worker].flows - back);
                keys.push_back(keys_[at]);
                flows.push_back(flows_[at]);
            }
        }
        Probes probes = hits(keys, flows, static_cast<std::uint32_t>(keys.size()), Order::key);
        if (expected == Expected::gone)
            std::fill(probes.expected.begin(), probes.expected.end(), Found{});
        check(probes);
    }

    void expect_created(unsigned worker, std::uint32_t wanted) const {
        expect(created_[worker].flows == wanted, "a flow could not be set up");
    }

    Scenario scenario_;
    const std::vector<FlowKeys>& keys_;
    Table table_;
    std::vector<std::unique_ptr<Seat>> workers_;
    std::vector<FlowId> flows_;     ///< by place
    std::vector<Created> created_;  ///< by worker
};

}  // namespace noclash::bench
