// SPDX-License-Identifier: Apache-2.0
#include "tests/schedule/failure.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "tests/schedule/scheduler.hpp"

namespace noclash::schedule {
namespace {

/// Whether the check that `what` begins with is among those expected.
bool expected(std::string_view what) {
    const std::string_view check = what.substr(0, what.find(':'));
    std::string_view left = expected_checks;
    while (!left.empty() && left.substr(0, left.find(',')) != check)
        left.remove_prefix(std::min(left.find(','), left.size() - 1) + 1);
    return !left.empty();
}

[[noreturn]] void end(const char* what) {
    const Scheduler* scheduler = Scheduler::current;
    const bool running = scheduler != nullptr && scheduler->running() != nobody;
    const bool caught = expected(what);
    std::printf("%s: %s\n", caught ? "caught" : "FAILED", what);
    std::printf("  scenario %s, seed %llu", this_run.scenario,
                static_cast<unsigned long long>(this_run.seed));
    if (running)
        std::printf(", step %llu, worker %u, schedule '%s'",
                    static_cast<unsigned long long>(scheduler->steps()), scheduler->running(),
                    scheduler->strategy());
    std::printf("\n  the whole interleaving: %s --scenario %s --seed %llu\n", called_as.c_str(),
                this_run.scenario, static_cast<unsigned long long>(this_run.seed));
    if (!caught && !expected_checks.empty())
        std::printf("  expected was: %s\n", expected_checks.c_str());
    std::fflush(stdout);
    std::_Exit(caught ? 0 : 1);
}

void crashed(int signal) {
    end(signal == SIGABRT ? "no abort: the engine gave up" : "no crash: bad access to memory");
}

}  // namespace

void fail(const std::string& what) {
    end(what.c_str());
}

void catch_crashes() {
    for (const int signal : {SIGABRT, SIGSEGV, SIGBUS})
        std::signal(signal, crashed);
}

}  // namespace noclash::schedule
