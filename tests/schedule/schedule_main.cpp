// SPDX-License-Identifier: Apache-2.0

// Runs the scenarios under schedules that follow from seeds, and says which seed fails.

#include <sys/prctl.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "tests/schedule/failure.hpp"
#include "tests/schedule/scenario.hpp"
#include "tests/schedule/seeded_random_bytes.hpp"

namespace noclash::schedule {
namespace {

constexpr const char* help =
    "schedule: the flow engine under schedules that follow from a seed\n"
    "\n"
    "  schedule [--seeds N] [--seeds-from K] [--scenario NAME]   run seeds K .. K+N-1 (default: 1 "
    ".. 2000)\n"
    "  schedule --scenario NAME --seed S                         run one seed and print each step\n"
    "  schedule --expect-failure CHECK[,CHECK] ...               exit 0 only if one of the checks "
    "fails\n"
    "  schedule --list                                           the scenarios\n";

struct Options {
    std::uint64_t seeds = 2000;
    std::uint64_t seeds_from = 1;
    std::optional<std::uint64_t> seed;
    std::string_view scenario;
    bool list = false;
};

[[noreturn]] void misuse(const std::string& what) {
    std::fprintf(stderr, "schedule: %s\n\n%s", what.c_str(), help);
    std::exit(2);
}

std::uint64_t number(std::string_view option, std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size())
        misuse(std::string(option) + " wants a number, not '" + std::string(text) + "'");
    return value;
}

Options parse(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; ++i) {
        const std::string_view option = argv[i];
        const auto value = [&]() -> std::string_view {
            if (++i == argc) misuse(std::string(option) + " wants a value");
            return argv[i];
        };
        if (option == "--seeds")
            options.seeds = number(option, value());
        else if (option == "--seeds-from")
            options.seeds_from = number(option, value());
        else if (option == "--seed")
            options.seed = number(option, value());
        else if (option == "--scenario")
            options.scenario = value();
        else if (option == "--expect-failure")
            expected_checks = value();
        else if (option == "--list")
            options.list = true;
        else if (option == "--help") {
            std::fputs(help, stdout);
            std::exit(0);
        } else
            misuse("unknown option '" + std::string(option) + "'");
    }
    return options;
}

RunReport run(const Scenario& scenario, std::uint64_t seed, Tracing tracing) {
    this_run = {scenario.name, seed};
    seed_random_bytes(seed);
    return scenario.run(seed, tracing);
}

/// The same seed has to give the same run, else none of this can be reproduced.
void check_repeatable(const Scenario& scenario, std::uint64_t from) {
    for (std::uint64_t seed = from; seed < from + 8; ++seed) {
        const RunReport one = run(scenario, seed, Tracing::off);
        const RunReport two = run(scenario, seed, Tracing::off);
        if (one.fingerprint != two.fingerprint || one.steps != two.steps)
            fail("the same seed gave two different runs");
    }
}

void report(const Scenario& scenario, std::uint64_t seeds, std::uint64_t steps,
            std::size_t schedules, const Events& events) {
    std::printf("%-20s %7llu seeds %7zu schedules %6llu steps each;", scenario.name,
                static_cast<unsigned long long>(seeds), schedules,
                static_cast<unsigned long long>(steps / seeds));
    for (std::size_t i = 0; i < event_names.size(); ++i)
        if (const auto times = events[static_cast<Event>(i)]; times > 0)
            std::printf(" %s %llu,", event_names[i], static_cast<unsigned long long>(times));
    std::printf("\n");
}

void run_seeds(const Scenario& scenario, const Options& options) {
    check_repeatable(scenario, options.seeds_from);
    constexpr std::uint64_t enough = 500;  // seeds, for everything that may happen to happen
    const std::uint64_t seeds = std::max<std::uint64_t>(options.seeds * scenario.share / 4, 1);
    std::uint64_t steps = 0;
    std::set<std::uint64_t> schedules;
    Events events;
    for (std::uint64_t seed = options.seeds_from; seed < options.seeds_from + seeds; ++seed) {
        const RunReport one = run(scenario, seed, Tracing::off);
        steps += one.steps;
        schedules.insert(one.fingerprint);
        events.add(one.events);
    }
    if (!expected_checks.empty()) return;
    report(scenario, seeds, steps, schedules.size(), events);
    if (seeds < enough) return;
    for (const Event event : scenario.has_to_see)
        if (events[event] == 0)
            fail(std::string("no run came to '") + event_names[static_cast<std::size_t>(event)] +
                 "': the scenario checks less than it claims");
}

int run_all(const Options& options) {
    bool any = false;
    for (auto* list : {&engine_scenarios, &nat_scenarios, &mapping_scenarios, &limits_scenarios,
                       &adoption_scenarios, &syn_proxy_scenarios}) {
        if (list == nullptr) {
            // One scenario is asked of a mutant; whoever asks for all, gets all.
            if (options.scenario.empty()) fail("a file of scenarios is not linked");
            continue;
        }
        for (const Scenario& scenario : (*list)()) {
            if (!options.scenario.empty() && options.scenario != scenario.name) continue;
            any = true;
            if (options.list) {
                std::printf("%-20s %s\n", scenario.name, scenario.idea);
            } else if (options.seed) {
                const RunReport one = run(scenario, *options.seed, Tracing::on);
                std::printf(
                    "seed %llu: %llu steps, schedule '%s', fingerprint %016llx, nothing wrong\n",
                    static_cast<unsigned long long>(*options.seed),
                    static_cast<unsigned long long>(one.steps), one.strategy,
                    static_cast<unsigned long long>(one.fingerprint));
            } else {
                run_seeds(scenario, options);
            }
        }
    }
    if (!any) misuse("no scenario '" + std::string(options.scenario) + "'; see --list");
    if (expected_checks.empty()) return 0;
    std::printf("NOT caught: no seed failed, though one of '%s' has to\n", expected_checks.c_str());
    return 1;
}

}  // namespace
}  // namespace noclash::schedule

int main(int argc, char** argv) {
    using namespace noclash::schedule;
    called_as = argv[0];
    catch_crashes();
    // Each run makes a small table: without huge pages of zeros that is much faster.
    ::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    const Options options = parse(argc, argv);
    if (options.seed && options.scenario.empty()) misuse("--seed wants a --scenario");
    return run_all(options);
}
