// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <array>
#include <atomic>
#include <chrono>
#include <exception>
#include <thread>

#include "bench/pipeline/cases.hpp"
#include "bench/pipeline/pairs.hpp"
#include "bench/pipeline/rule_mix.hpp"
#include "dpdk/device/background.hpp"

namespace noclash::bench {
namespace {

constexpr std::array<std::uint32_t, 5> rules_in_turn{10, 300, 50, 100, 200};

/// Replaces the policy of a bed's gateway again and again, as a reload does: a thread of the lowest
/// priority makes a snapshot of the configuration, which takes the place of the one in force, and
/// the old one is freed after a grace period. It runs on the last CPU, the worker on the first.
class Reloads {
  public:
    Reloads(Bed& bed, const std::vector<dpdk::Config>& configs)
        : gateway_(bed.gateway()), configs_(configs), thread_([this] { run(); }) {}
    Reloads(const Reloads&) = delete;
    Reloads& operator=(const Reloads&) = delete;
    ~Reloads() { join(); }

    /// Ends them.
    /// @return how many there were
    unsigned end() {
        join();
        if (failed_) std::rethrow_exception(failed_);
        return done_;
    }

  private:
    static constexpr std::chrono::milliseconds apart{3};

    void join() {
        ended_.store(true, std::memory_order_relaxed);
        if (thread_.joinable()) thread_.join();
    }
    void run() {
        try {
            pin_this_thread(allowed_cpus().back());
            for (; !ended_.load(std::memory_order_relaxed); ++done_) {
                const auto begun = std::chrono::steady_clock::now();
                reload(configs_[done_ % configs_.size()]);
                std::this_thread::sleep_until(begun + apart);
            }
        } catch (...) {
            failed_ = std::current_exception();
        }
    }
    void reload(const dpdk::Config& config) {
        const auto before = gateway_.policy.hold();
        std::shared_ptr<const dpdk::Snapshot> next;
        const auto make = [&] {
            next = std::make_shared<const dpdk::Snapshot>(config, gateway_.identities, before.get(),
                                                          before->router.own_addresses());
        };
        dpdk::in_background(make, [] {});
        const auto old = gateway_.policy.replace(std::move(next));
        auto& quiescence = gateway_.flows.quiescence();
        const std::uint64_t token = quiescence.start();
        while (!quiescence.passed(token))
            std::this_thread::sleep_for(std::chrono::microseconds(50));
    }

    dpdk::Gateway& gateway_;
    const std::vector<dpdk::Config>& configs_;
    std::atomic<bool> ended_{false};
    std::exception_ptr failed_;
    unsigned done_ = 0;
    std::thread thread_;
};

}  // namespace

void reloads(Dpdk& dpdk, const Options& options, PipelineReport& report) {
    PipelineReport::progress("established flows while policies are replaced");
    Bed bed(dpdk, {.flows = 128 * thousand, .rules = rule_mix(rules_in_turn.front() - 1)});
    std::vector<dpdk::Config> configs;
    for (const std::uint32_t rules : rules_in_turn)
        configs.push_back(bed.with_rules(rule_mix(rules - 1)));
    Translations translations({}, 64 * thousand, bed.gateway());
    Trial trial(bed, translations);
    establish(trial, translations);
    for (const std::uint32_t flows : {thousand, 64 * thousand}) {
        const Traffic traffic = established(translations, flows, Way::out);
        const std::uint64_t count = options.packets / 2;
        unsigned replaced = 0;
        double seconds = 0;
        constexpr unsigned turns = 7;
        const std::vector<Pair> pairs = undisturbed(turns, 2 * turns, [&](unsigned) {
            Pair pair;
            trial.calibrate(1, traffic);
            // The mean: most parts of a batch meet no new policy, and the median would not see one.
            pair.first = trial.time(1, count, traffic, Central::mean);
            const auto begun = std::chrono::steady_clock::now();
            Reloads going_on(bed, configs);
            pair.second = trial.time(1, count, traffic, Central::mean);
            trial.verify(1, count, traffic);
            replaced += going_on.end();
            seconds +=
                std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
            return pair;
        });
        const std::string what = fmt::format("established, {} flows", count_words(flows));
        report.rate(what + ", the policy stays", median_of(pairs, &Pair::first));
        report.rate(what + ", the policy is replaced", median_of(pairs, &Pair::second));
        report.row(what + ", the policy is replaced / stays", median_ratio(pairs), "x", 0.95);
        report.row(what + ": policies", replaced / seconds, "1/s");
    }
    expect(bed.dropped() == 0, "packets were dropped");
}

}  // namespace noclash::bench
