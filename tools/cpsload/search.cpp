// SPDX-License-Identifier: Apache-2.0
#include "tools/cpsload/search.hpp"

#include <algorithm>

namespace noclash::cpsload {

namespace {

/// A tester that was short of CPU has measured nothing: so many trials of a rate are not counted.
constexpr std::uint32_t most_starved = 2;

}  // namespace

double search(const SearchOptions& options,
              const std::function<std::optional<Trial>(double)>& attempt) {
    double passed = 0;
    double reached = 0;
    std::optional<double> failed;
    double rate = std::min(options.from_cps, options.to_cps);
    for (;;) {
        auto trial = attempt(rate);
        std::uint32_t lossy = 1;
        std::uint32_t starved = 0;
        while (trial && !trial->passed) {
            if (trial->attained ? lossy++ >= options.attempts : starved++ >= most_starved) break;
            trial = attempt(rate);
        }
        if (!trial) return reached;
        if (trial->passed) {
            passed = rate;
            reached = trial->opened_cps;
        } else {
            failed = rate;
        }
        if (!failed) {
            if (passed >= options.to_cps) return reached;
            rate = std::min(rate * 2, options.to_cps);
            continue;
        }
        // Below one connection a second there is nothing to find.
        if (*failed - passed <= std::max(options.precision * *failed, 1.0)) return reached;
        rate = (passed + *failed) / 2;
    }
}

bool limited_by_tester(const std::vector<Trial>& trials) {
    double passed = 0;
    for (const Trial& trial : trials)
        if (trial.passed) passed = std::max(passed, trial.wanted_cps);
    const Trial* bound = nullptr;
    for (const Trial& trial : trials)
        if (trial.wanted_cps > passed &&
            (bound == nullptr || trial.wanted_cps <= bound->wanted_cps))
            bound = &trial;
    return bound != nullptr && !bound->attained && bound->lost_by_tester > 0;
}

}  // namespace noclash::cpsload
