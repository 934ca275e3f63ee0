// SPDX-License-Identifier: Apache-2.0

// The race, in process: netfilter's order of steps and noclash's under the same schedules.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <iterator>

#include "bench/racelab/progress.hpp"
#include "bench/racelab/report.hpp"

namespace noclash::racelab {
namespace {

enum Exit : int { fine = 0, fault = 1, usage = 2 };

constexpr auto description =
    R"(Who loses connections to a tuple clash, and when: models of netfilter and noclash's own
engine, in virtual time, under the same schedules.

Nothing here runs in parallel. Each packet has a moment at which it chooses its tuple and one, a
"distance" later, at which it confirms it; all these steps are carried out in order against one
table. So a run is exact for any number of threads, and --seed reproduces it (save for which ports
noclash and the policies of the exhaustion draw from the kernel's random numbers).

scenarios:
  storm       a load balancer opens connections to one service from several addresses with the
              same source ports, by several threads, in step or free-running
  dns         A and AAAA from one socket at the same moment, to a service with several backends,
              through kernels of three ages
  exhaustion  connections to one destination most of whose ports are taken)";

constexpr auto footer = R"(
the storm's cases:
  first the options given, for TCP and UDP; then around them numbers of threads against distances,
  in step, and against rates, in step and free-running. The defaults are the live storm's and what
  was measured of it on Linux 6.18 (bench/racelab/storm.hpp says how).

--json prints one object:
  storm[]       contestant protocol schedule threads distance_ns jitter_ns rate_cps connections
                delivered lost duplicated insert_failed gave_up clash_resolved
                tuple_collisions
  dns[]         contestant backends distance_ns jitter_ns pairs queries delivered lost duplicated
                split_pairs insert_failed clash_resolved
  exhaustion[]  contestant occupancy_percent attempts succeeded tries_mean
  seed

examples:
  race_models --quick
  race_models --scenario storm --distance-ns 2000
  race_models --json > models.json

netfilter's losses are of two kinds. Those in gave_up are no race: its search ends after 248 ports,
and where clients' own ports fill a long stretch, all 248 may be taken while others are free.

exit status:
  0  all figures agree with themselves, and noclash lost and duplicated nothing
  1  they do not: what is wrong stands on standard error
  2  usage)";

struct CommandLine {
    std::string scenario = "all";
    std::string schedule = "in-step";
    Extent extent = Extent::full;
    std::uint64_t seed = 1;
    StormOptions storm;
    DnsOptions dns;
    ExhaustionOptions exhaustion;

    [[nodiscard]] bool asks_for(const std::string& one) const {
        return scenario == "all" || scenario == one;
    }
};

void run_storms(const CommandLine& line, Results& results) {
    StormOptions base = line.storm;
    base.seed = line.seed;
    base.schedule = line.schedule == "in-step" ? Schedule::in_step : Schedule::free_running;
    const auto cases = storm_cases(base, line.extent);
    Progress progress("storm", cases.size() * std::size(all_gateways));
    for (const StormOptions& options : cases) {
        for (const Gateway gateway : all_gateways) {
            results.storm.push_back({options, gateway, run_storm(options, gateway)});
            progress.step();
        }
    }
}

void run_dns_pairs(const CommandLine& line, Results& results) {
    DnsOptions options = line.dns;
    options.seed = line.seed;
    Progress progress("dns", std::size(all_resolvers));
    for (const Resolver resolver : all_resolvers) {
        results.dns.push_back({options, resolver, run_dns(options, resolver)});
        progress.step();
    }
}

void run_exhaustions(const CommandLine& line, Results& results) {
    ExhaustionOptions options = line.exhaustion;
    options.seed = line.seed;
    if (line.extent == Extent::quick) options.attempts = std::min(options.attempts, 300U);
    Progress progress("exhaustion", std::size(all_allocators) * std::size(occupancies_percent));
    for (const Allocator allocator : all_allocators) {
        for (const double occupancy : occupancies_percent) {
            results.exhaustion.push_back(
                {allocator, occupancy, run_exhaustion(options, allocator, occupancy)});
            progress.step();
        }
    }
}

Results run(const CommandLine& line) {
    Results results;
    results.seed = line.seed;
    if (line.asks_for("storm")) run_storms(line, results);
    if (line.asks_for("dns")) run_dns_pairs(line, results);
    if (line.asks_for("exhaustion")) run_exhaustions(line, results);
    return results;
}

void add_options(CLI::App& app, CommandLine& line) {
    const auto option = [&app](const std::string& name, auto& value, const std::string& help) {
        return app.add_option(name, value, help)->capture_default_str();
    };
    option("--scenario", line.scenario, "which one")
        ->check(CLI::IsMember({"all", "storm", "dns", "exhaustion"}));
    option("--seed", line.seed, "of the schedules and of netfilter's ports");
    option("--schedule", line.schedule, "storm: how threads keep time")
        ->check(CLI::IsMember({"in-step", "free-running"}));
    option("--threads", line.storm.threads, "storm: CPUs")->check(CLI::Range(1U, most_threads));
    option("--distance-ns", line.storm.distance_ns, "storm: from the choice to the confirmation")
        ->check(CLI::Range(0U, 1'000'000U));
    option("--distance-spread", line.storm.distance_spread_percent,
           "storm: by which a packet's distance differs, % to either side")
        ->check(CLI::Range(0U, 100U));
    option("--jitter-ns", line.storm.jitter_ns,
           "storm: mean time from a step's begin to the choice")
        ->check(CLI::Range(0U, 1'000'000U));
    option("--rate", line.storm.rate_cps, "storm: connections per second, of all threads")
        ->check(CLI::Range(1U, 100'000'000U));
    option("--connections", line.storm.connections, "storm: all threads together")
        ->check(CLI::Range(1U, most_connections));
    option("--pairs", line.dns.pairs, "dns: of an A and an AAAA query")
        ->check(CLI::Range(1U, most_pairs));
    option("--backends", line.dns.backends, "dns: of the service")->check(CLI::Range(1U, 200U));
    option("--dns-distance-ns", line.dns.distance_ns, "dns: from the look-up to the confirmation")
        ->check(CLI::Range(0U, 1'000'000U));
    option("--dns-jitter-ns", line.dns.jitter_ns, "dns: mean time from the pair's begin to it")
        ->check(CLI::Range(0U, 1'000'000U));
    option("--attempts", line.exhaustion.attempts, "exhaustion: connections a case")
        ->check(CLI::Range(1U, 10'000'000U));
}

int main_of(int argc, char** argv) {
    CLI::App app{description};
    app.footer(footer);
    CommandLine line;
    bool quick = false;
    bool json = false;
    app.add_flag("--quick", quick, "fewer and shorter cases: done within 10 s");
    app.add_flag("--json", json, "print JSON, not tables");
    add_options(app, line);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? fine : usage;
    }
    if (quick) line.extent = Extent::quick;

    const Results results = run(line);
    if (json) {
        fmt::print("{}\n", to_json(results));
    } else {
        print_tables(results);
    }
    const auto faults = faults_of(results);
    for (const std::string& text : faults)
        fmt::print(stderr, "race_models: {}\n", text);
    return faults.empty() ? fine : fault;
}

}  // namespace
}  // namespace noclash::racelab

int main(int argc, char** argv) {
    try {
        return noclash::racelab::main_of(argc, argv);
    } catch (const std::exception& error) {
        fmt::print(stderr, "race_models: {}\n", error.what());
        return 1;
    }
}
