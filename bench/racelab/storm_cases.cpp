// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "bench/racelab/results.hpp"

namespace noclash::racelab {
namespace {

struct Axes {
    std::vector<unsigned> threads;
    std::vector<Instant> distances_ns;
    std::vector<std::uint32_t> rates_cps;
    std::uint32_t connections;  ///< of each case but the first two
};

Axes axes_of(const StormOptions& base, Extent extent) {
    if (extent == Extent::quick)
        return {{2, 4, 16},
                {0, 100, 600, 2000, 10'000, 100'000},
                {1000, 10'000, 100'000},
                std::min(base.connections, 6000U)};
    return {{2, 4, 8, 16},
            {0, 100, 200, 400, 600, 1000, 2000, 5000, 10'000, 20'000, 50'000, 100'000},
            {1000, 3000, 10'000, 30'000, 100'000, 300'000},
            std::min(base.connections, 20'000U)};
}

}  // namespace

std::vector<StormOptions> storm_cases(const StormOptions& base, Extent extent) {
    const Axes axes = axes_of(base, extent);
    std::vector<StormOptions> cases;
    const auto add = [&](const StormOptions& options) {
        if (std::ranges::find(cases, options) == cases.end()) cases.push_back(options);
    };
    for (const std::uint8_t number : {protocol::tcp, protocol::udp}) {
        StormOptions first = base;
        first.protocol = number;
        add(first);
    }
    for (const std::uint8_t number : {protocol::tcp, protocol::udp}) {
        for (const unsigned threads : axes.threads) {
            // A clash of different connections is a drop for UDP too: one count will show it.
            if (number == protocol::udp && threads != axes.threads.front()) continue;
            StormOptions around = base;
            around.protocol = number;
            around.threads = threads;
            around.connections = axes.connections;
            around.schedule = Schedule::in_step;
            for (const Instant distance : axes.distances_ns) {
                around.distance_ns = distance;
                add(around);
            }
            around.distance_ns = base.distance_ns;
            for (const Schedule schedule : {Schedule::in_step, Schedule::free_running}) {
                around.schedule = schedule;
                for (const std::uint32_t rate : axes.rates_cps) {
                    around.rate_cps = rate;
                    add(around);
                }
            }
        }
    }
    return cases;
}

}  // namespace noclash::racelab
