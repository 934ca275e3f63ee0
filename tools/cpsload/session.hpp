// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>

#include "tools/cpsload/losses.hpp"
#include "tools/cpsload/outcome.hpp"

struct rte_mempool;

namespace noclash::cpsload {

/// The means of a session besides the two sides.
struct Bench {
    rte_mempool* packets;
    const Clock& clock;
    const std::atomic<bool>& stop;
    Progress::Mode progress = Progress::Mode::shown;
    LossMeter losses = {};  ///< empty: the tester cannot lose anything
};

/// The options of a run that finds out how many connections a second the tester does with nothing
/// between its two sides, in half a second.
[[nodiscard]] Options ceiling_options(const Options& options);
/// Connections a second that such a run found.
/// @throws std::runtime_error it found faults
[[nodiscard]] double ceiling_of(const Outcome& outcome);

/// Does what the options ask for between two sides that know their gateways.
[[nodiscard]] Outcome measure(const Options& options, const Bench& bench, Side client, Side server);

/// The same with both sides back to back.
[[nodiscard]] Outcome measure_back_to_back(const Options& options, const Bench& bench);

}  // namespace noclash::cpsload
