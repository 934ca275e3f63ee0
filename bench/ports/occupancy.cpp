// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <cmath>

#include "bench/ports/cases.hpp"

namespace noclash::bench {
namespace {

constexpr std::array shares{0.0, 50.0, 80.0, 90.0, 95.0, 99.0, 99.9, 100.0};

/// The results of one policy that are needed beyond the table.
struct Summary {
    double at_99_9_ns = 0;
    double at_100_ns = 0;
    std::size_t falsely_exhausted = 0;
};

template <class P>
Summary one_policy(const std::string& name, const Options& options, Report& report) {
    Summary summary;
    for (const double share : shares) {
        Gateway<P> gateway(options.flows);
        Destination destination(0, {1024, 65535});
        const auto used =
            static_cast<std::uint32_t>(std::lround(share / 100 * destination.range().size()));
        // noclash by its own means, which leaves its maps as a filling destination does.
        Cost filling;
        if constexpr (std::same_as<P, Noclash>) {
            fill(gateway, destination, used, filling);
        } else {
            occupy(gateway, destination, used);
        }
        const Effort warm_up{options.effort.flows / 10, options.effort.time / 10};
        static_cast<void>(steady<P>(gateway, {&destination, 1}, warm_up));
        const Cost cost = steady<P>(gateway, {&destination, 1}, options.effort);
        report.cost(name, fmt::format("{} % taken", share), cost);
        if (share == 99.9) summary.at_99_9_ns = cost.typical_mean_ns();
        if (share == 100.0) summary.at_100_ns = cost.typical_mean_ns();
        summary.falsely_exhausted += cost.falsely_exhausted() + filling.falsely_exhausted();
    }
    return summary;
}

}  // namespace

void against_occupancy(const Options& options, Report& report) {
    Report::heading("One destination, 64,512 ports: one flow opened, one ended");
    const Summary ours = one_policy<Noclash>("noclash", options, report);
    one_policy<RandomTries>("10 random tries", options, report);
    one_policy<NetfilterProbes>("248 probes", options, report);
    one_policy<WorkerSlices>("1/16 a worker", options, report);
    one_policy<LinearScan>("linear scan", options, report);
    report.row("mean port cost at 99.9 % occupancy", ours.at_99_9_ns / 1000, "us", 2);
    report.row("false exhaustions", static_cast<double>(ours.falsely_exhausted), "count", 0);
    report.row("find exhausted at 100 %", ours.at_100_ns / 1000, "us", std::nullopt);
}

}  // namespace noclash::bench
