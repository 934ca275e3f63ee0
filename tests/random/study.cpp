// SPDX-License-Identifier: Apache-2.0
#include "tests/random/study.hpp"

namespace noclash::test {
namespace {

constexpr std::size_t lags = 8;
constexpr std::uint32_t coarse_cells = 256;

}  // namespace

Study::Study(std::uint32_t ports, std::uint32_t free, std::size_t allocations)
    : free_(free),
      history_(ports, allocations),
      by_port_(free, free),
      by_distance_(free, coarse_cells),
      by_age_(free, coarse_cells),
      by_run_(free, coarse_cells),
      predictors_(all_predictors(ports)),
      records_(predictors_.size()) {
    ranks_.reserve(allocations);
}

void Study::allocated(std::uint32_t port) {
    if (started_) {
        if (history_.free() != free_) throw std::logic_error("the number of free ports changed");
        for (std::size_t i = 0; i < predictors_.size(); ++i) {
            const auto guess = predictors_[i].guess(history_);
            if (!guess) continue;
            ++records_[i].guesses;
            if (*guess == port) ++records_[i].hits;
        }
        ranks_.push_back(history_.rank(port));
        by_port_.add(ranks_.back());
        by_distance_.add(history_.rank_from_latest(port));
        by_age_.add(history_.rank_by_age(port));
        by_run_.add(history_.rank_by_run(port));
    }
    history_.allocated(port);
}

std::vector<Finding> Study::findings() const {
    std::vector<Finding> findings{
        by_port_.chi_square("chi-square by port"),
        by_distance_.chi_square("chi-square by distance from the latest"),
        by_age_.chi_square("chi-square by time since release"),
        by_run_.chi_square("chi-square by taken ports before"),
        runs(ranks_, free_),
    };
    for (std::size_t lag = 1; lag <= lags; ++lag)
        findings.push_back(serial_correlation(ranks_, free_, lag));
    for (std::size_t i = 0; i < predictors_.size(); ++i)
        findings.push_back(hits_finding("guess: " + predictors_[i].name, records_[i].hits,
                                        records_[i].guesses, 1.0 / free_));
    return findings;
}

}  // namespace noclash::test
