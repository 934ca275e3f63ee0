// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <random>
#include <stdexcept>

#include "bench/racelab/addresses.hpp"
#include "bench/racelab/storm.hpp"

namespace noclash::racelab {
namespace {

constexpr std::uint32_t first_source_port = 20'000;
constexpr std::uint32_t sources = 16;

Packet storm_packet(const StormOptions& options, unsigned thread, std::uint32_t step) {
    const std::uint32_t own_sources = sources / options.threads;
    const std::uint32_t space = 65'536 - first_source_port;
    const std::uint32_t of_each = space - space % own_sources;
    const std::uint32_t address = thread * own_sources + (step + step / of_each) % own_sources;
    Packet packet;
    packet.original = {
        V4Address::from_host(first_source.value.host() + address),
        service,
        Be16::from_host(static_cast<std::uint16_t>(first_source_port + step % of_each)),
        Be16::from_host(service_port),
        0,
        options.protocol,
        0};
    packet.backend = pod;
    packet.backend_port = pod_port;
    packet.source_nat = SourceNat::masquerade;
    return packet;
}

void check(const StormOptions& options) {
    if (options.threads < 1 || options.threads > most_threads)
        throw std::invalid_argument("a storm has 1 to 16 threads");
    if (options.connections < 1 || options.connections > most_connections)
        throw std::invalid_argument("a storm has 1 to 64512 connections: there are no more ports");
    if (options.rate_cps < 1 || options.burst_steps < 1 || options.distance_spread_percent > 100)
        throw std::invalid_argument(
            "a storm's rate and bursts are 1 at least, its spread 100 % at most");
}

/// The threads' clocks, and what a step costs them.
class Threads {
  public:
    explicit Threads(const StormOptions& options)
        : options_(options), free_(options.threads), random_(options.seed) {}

    /// When the thread may begin the step, had it nothing else to do.
    Instant due(std::uint32_t step) {
        const std::uint64_t share_ns = options_.threads * second_ns / options_.rate_cps;
        if (options_.schedule == Schedule::free_running)
            return step * share_ns + random_() % (share_ns + 1);
        return std::uint64_t{step - step % options_.burst_steps} * share_ns;
    }
    [[nodiscard]] Instant free(unsigned thread) const { return free_[thread]; }
    [[nodiscard]] Instant all_free() const { return std::ranges::max(free_); }

    void take_step(Passage& passage, Instant begin) {
        passage.choose = begin + jitter();
        passage.confirm = passage.choose + distance();
        free_[passage.thread] = std::max(begin + options_.service_ns, passage.confirm);
    }

  private:
    Instant jitter() {
        if (options_.jitter_ns == 0) return 0;
        std::exponential_distribution<double> time(1.0 / static_cast<double>(options_.jitter_ns));
        return static_cast<Instant>(std::llround(time(random_)));
    }
    Instant distance() {
        const Instant spread = options_.distance_ns * options_.distance_spread_percent / 100;
        return options_.distance_ns - spread + random_() % (2 * spread + 1);
    }

    const StormOptions& options_;
    std::vector<Instant> free_;  ///< by thread: when it has done with its latest connection
    std::mt19937_64 random_;
};

}  // namespace

std::vector<Passage> storm_passages(const StormOptions& options) {
    check(options);
    Threads threads(options);
    std::vector<Passage> passages;
    passages.reserve(options.connections);
    const bool in_step = options.schedule == Schedule::in_step;
    for (std::uint32_t step = 0; passages.size() < options.connections; ++step) {
        const Instant together = in_step ? std::max(threads.due(step), threads.all_free()) : 0;
        for (unsigned thread = 0; thread < options.threads && passages.size() < options.connections;
             ++thread) {
            Passage& passage = passages.emplace_back();
            passage.id = step * options.threads + thread;
            passage.thread = thread;
            passage.packet = storm_packet(options, thread, step);
            threads.take_step(
                passage, in_step ? together : std::max(threads.due(step), threads.free(thread)));
        }
    }
    return passages;
}

}  // namespace noclash::racelab
