// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

#include "bench/keys.hpp"
#include "engine/flow_table.hpp"

namespace noclash::bench {

/// Flows and lookups come in bursts of so many, as packets do.
inline constexpr std::uint32_t burst_size = 32;

/// How long flows live, in simulated ms.
inline constexpr std::uint32_t lifetime_ms = 4000;

/// A table of flows that can be found by each of their two tuples. What is asked of all alike:
///
/// * both tuples of a flow are inserted if absent, atomically towards any number of other threads,
///   and a lookup never waits for them: what a gateway needs;
/// * flows have a record of 128 bytes (tuples, timeout, counters), filled in at set-up;
/// * a record is not used again while a reader may still look at it.
///
/// Each thread has a `Worker`. noclash ends flows when their time has come; the others, to whom
/// that gives an advantage, have no timers at all and are told which flows to release.
template <class Table>
concept FlowTableUnderTest = requires(const Table table) {
    { Table::name } -> std::convertible_to<const char*>;
    { Table::expires_flows } -> std::convertible_to<bool>;
    { table.live_flows() } -> std::same_as<std::uint64_t>;  // counted; nobody else at work
}
&&std::constructible_from<Table, std::uint32_t /* capacity */, unsigned /* workers */>&&
    std::constructible_from<typename Table::Worker, Table&, std::uint16_t /* number */>&& requires(
        typename Table::Worker worker, std::span<const FlowKeys> keys,
        std::span<const Tuple<V4>> tuples, std::span<FlowId> made, std::span<Found> found,
        std::span<const FlowId> flows, std::uint64_t now_ms) {
    worker.online();   // before anything else, by the worker's thread
    worker.offline();  // when it has finished
    // Claim, reserve, publish. `no_flow` for one whose tuples are taken.
    worker.set_up(keys, made, now_ms);
    worker.find(tuples, found);
    worker.release(flows);
    worker.end_burst(now_ms);  // quiescent; reclaims, and ends flows whose time has come
    worker.settle(now_ms);     // until every released flow has been reclaimed
};

}  // namespace noclash::bench
