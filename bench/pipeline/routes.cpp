// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <chrono>

#include "bench/pipeline/cases.hpp"
#include "bench/pipeline/pairs.hpp"
#include "bench/pipeline/route_mix.hpp"

namespace noclash::bench {
namespace {

constexpr std::uint32_t many = 100'000;
constexpr std::uint32_t routes_flows = 64 * thousand;

template <class Work>
double seconds_of(const Work& work) {
    const auto begun = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

void times_to_load(const std::string& routes, PipelineReport& report) {
    const auto row = [&](const char* what, double seconds) {
        report.row(fmt::format("{} routes: {}", many, what), seconds, "s", 2,
                   PipelineReport::Goal::at_most);
    };
    dpdk::Config config;
    row("to read and check the file",
        seconds_of([&] { config = bench_config({.routes = routes}); }));
    row("to fill the table", seconds_of([&] { const dpdk::RouteTable table(config); }));
}

/// To servers all over 203.0.0.0/8, each in a /24 of its own.
constexpr Flows spread{.servers = 65536, .apart = 251};

Cost opening_by_routes(Dpdk& dpdk, const Options& options, const std::string& routes) {
    Bed bed(dpdk, {.flows = 128 * thousand, .routes = routes});
    Translations translations(spread, routes_flows, bed.gateway());
    Trial trial(bed, translations);
    trial.calibrate(1, opening(spread));
    const Cost cost = creation_cost(bed, trial, translations, spread, options);
    expect(bed.dropped() == 0, "packets were dropped");
    return cost;
}

Cost established_by_routes(Dpdk& dpdk, const Options& options, const std::string& routes) {
    Bed bed(dpdk, {.flows = 128 * thousand, .routes = routes});
    Translations translations(spread, routes_flows, bed.gateway());
    Trial trial(bed, translations);
    establish(trial, translations);
    const Cost cost =
        established_cost(trial, options, established(translations, routes_flows, Way::out));
    expect(bed.dropped() == 0, "packets were dropped");
    return cost;
}

Cost untracked_by_routes(Dpdk& dpdk, const Options& options, const std::string& routes) {
    Bed bed(dpdk, {.flows = 128 * thousand,
                   .action = "action = \"forward\"\ntrack = false",
                   .routes = routes});
    Translations translations(spread, routes_flows, bed.gateway());
    Trial trial(bed, translations);
    const Cost cost =
        established_cost(trial, options, established(translations, routes_flows, Way::out));
    expect(bed.live_flows() == 0, "what was forwarded was tracked");
    expect(bed.dropped() == 0, "packets were dropped");
    return cost;
}

struct RoutesCase {
    const char* name;
    Cost (*cost)(Dpdk&, const Options&, const std::string& routes);
    double target;  ///< of the rate with few routes
};

}  // namespace

void routes_by_number(Dpdk& dpdk, const Options& options, PipelineReport& report) {
    const std::string few = few_routes(), routes = many_routes(many);
    PipelineReport::progress(fmt::format("{} routes", many));
    times_to_load(routes, report);
    for (const RoutesCase& what :
         {RoutesCase{"new TCP flows to 64 k servers", opening_by_routes, 0.85},
          RoutesCase{"established, 64 k flows to 64 k servers", established_by_routes, 0.9},
          RoutesCase{"untracked packets to 64 k servers", untracked_by_routes, 0.8}}) {
        PipelineReport::progress(fmt::format("{}, {} routes", what.name, many));
        constexpr unsigned turns = 3;
        const std::vector<Pair> pairs = undisturbed(turns, 2 * turns, [&](unsigned) {
            Pair pair;
            pair.first = what.cost(dpdk, options, few);
            pair.second = what.cost(dpdk, options, routes);
            return pair;
        });
        report.rate(fmt::format("{}, 6 routes", what.name), median_of(pairs, &Pair::first));
        report.rate(fmt::format("{}, {} routes", what.name, many), median_of(pairs, &Pair::second));
        report.row(fmt::format("{}, {} routes / 6 routes", what.name, many), median_ratio(pairs),
                   "x", what.target);
    }
}

}  // namespace noclash::bench
