// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "bench/racelab/contestant.hpp"

namespace noclash::racelab {

/// How the threads of the storm keep time, as in tools/storm.
enum class Schedule : std::uint8_t {
    in_step,       ///< all meet before each connection: worst case of a load balancer
    free_running,  ///< each opens its next connection at any moment of that one's share of time
};

/// A load balancer's storm: threads open connections to one service with the same sequence of
/// source ports, from addresses of their own (tools/storm's `storm_probe`, for any number).
///
/// The defaults are the live storm's, and three times that were measured in it (Linux 6.18,
/// `masquerade`, two CPUs of a virtual machine, 40,000 connections) by `perf record -k mono` on the
/// tracepoints fib:fib_table_lookup, which stands shortly before the choice, and net:net_dev_queue:
///
/// * `jitter_ns`. At the routing decision, a quarter of the pairs of one step are less than 170 ns
///   apart, half of them 408, three quarters 930. Two exponential times of mean 600 ns differ by
///   173, 416 and 832.
/// * `distance_ns`. Of pairs so far apart there, 86 % clash below 200 ns, 66 % at 500, 39 % at 700,
///   17 % at 900, 4 % at 1,300: it falls through one half of what it was at some 600 ns. So long a
///   choice goes unseen: from the look at the confirmed entries to the insertion.
/// * `distance_spread_percent`. It falls within some 200 ns to either side: a third.
///
/// The distance is read from *which* pairs clashed there; how many packets are lost over all was
/// not used, and follows. Tracing itself cost each packet some hundred ns.
struct StormOptions {
    std::uint8_t protocol = protocol::tcp;
    Schedule schedule = Schedule::in_step;
    unsigned threads = 2;  ///< 1 .. 16
    Instant distance_ns = 600;
    std::uint32_t distance_spread_percent = 33;  ///< of each packet's, uniformly, to either side
    Instant jitter_ns = 600;          ///< mean of the time from a step's begin to the choice
    Instant service_ns = 7000;        ///< a thread's, for one connection: bounds its rate
    std::uint32_t rate_cps = 10'000;  ///< connections per second, all threads together
    std::uint32_t connections = 40'000;
    std::uint32_t burst_steps = 64;  ///< in step: that follow one another without a pause
    std::uint64_t seed = 1;

    friend bool operator==(const StormOptions&, const StormOptions&) = default;
};

inline constexpr unsigned most_threads = 16;
/// One service, one gateway address: there are no more ports. (1024 .. 65535)
inline constexpr std::uint32_t most_connections = 64'512;

/// Who takes part.
enum class Gateway : std::uint8_t { masquerade, random, fully_random, noclash };
inline constexpr Gateway all_gateways[] = {Gateway::masquerade, Gateway::random,
                                           Gateway::fully_random, Gateway::noclash};
[[nodiscard]] std::string name_of(Gateway gateway);

/// The storm as it reaches the gateway; the same for every contestant. Ids are steps times threads
/// plus the thread's number.
/// @throws std::invalid_argument when `options` are out of range.
[[nodiscard]] std::vector<Passage> storm_passages(const StormOptions& options);

/// The fates of the connections.
struct StormResult {
    std::uint64_t connections = 0;
    std::uint64_t delivered = 0;  ///< exactly once
    std::uint64_t lost = 0;
    std::uint64_t duplicated = 0;
    std::uint64_t tuple_collisions = 0;  ///< delivered with the tuple of another connection
    Counts counts;
};

[[nodiscard]] StormResult run_storm(const StormOptions& options, Gateway gateway);

}  // namespace noclash::racelab
