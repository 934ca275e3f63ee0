// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>

#include "tools/cpsload/outcome.hpp"

struct rte_mempool;

namespace noclash::cpsload {

/// What is needed besides the two sides.
struct Bench {
    rte_mempool* packets;
    const Clock& clock;
    const std::atomic<bool>& stop;
    Progress::Mode progress = Progress::Mode::shown;
};

/// Connections a second that the tester does with nothing between its two sides: no result can be
/// higher. Takes half a second.
[[nodiscard]] double measure_ceiling(const Options& options, const Bench& bench);

/// Does what the options ask for between two sides that know their gateways.
[[nodiscard]] Outcome measure(const Options& options, const Bench& bench, Side client, Side server);

/// The same with both sides back to back.
[[nodiscard]] Outcome measure_back_to_back(const Options& options, const Bench& bench);

}  // namespace noclash::cpsload
