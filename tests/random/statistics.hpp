// SPDX-License-Identifier: Apache-2.0
#pragma once

// Statistics with bounds on how probable they are by chance.
//
// The random numbers are the kernel's, so a test that is right may fail by chance: each statistic
// must be so improbable before it counts that all of a run together raise a false alarm less often
// than once in 10^9 runs. There are about 150 of them. Each counts when a Chernoff bound on its
// probability is below 10^-13: 150 times that is 1.5 * 10^-11, which leaves a factor of 60 for what
// is only asymptotically distributed as said (chi-square with 15 expected in a cell, correlations
// and runs of a million numbers).

#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace noclash::test {

/// The value of a statistic, and a bound on the probability of a value as far off as that.
struct Finding {
    std::string name;
    double value = 0;
    double log10_probability = 0;

    static constexpr double limit = -13;
    [[nodiscard]] bool alarming() const { return log10_probability < limit; }
};

/// "name = value, probability below 10^x".
[[nodiscard]] std::string to_string(const Finding& finding);

/// Numbers that ought to be uniform below `below`, counted in cells.
class UniformCount {
  public:
    UniformCount(std::uint32_t below, std::uint32_t most_cells);
    void add(std::uint32_t number) { ++counts_[cell(number)]; }
    /// Pearson's chi-square; too even a distribution is as alarming as one too uneven.
    [[nodiscard]] Finding chi_square(const std::string& name) const;

  private:
    [[nodiscard]] std::size_t cell(std::uint32_t number) const {
        return static_cast<std::size_t>(std::uint64_t{number} * counts_.size() / below_);
    }
    std::uint32_t below_;
    std::vector<std::uint64_t> counts_;
};

/// The finding when `hits` of `trials` independent trials, each with chance `chance`, succeeded.
[[nodiscard]] Finding hits_finding(const std::string& name, std::uint64_t hits,
                                   std::uint64_t trials, double chance);

/// The correlation of numbers, uniform below `below`, with those `lag` later.
[[nodiscard]] Finding serial_correlation(std::span<const std::uint32_t> numbers,
                                         std::uint32_t below, std::size_t lag);

/// How often numbers, uniform below `below`, change between its halves (Wald and Wolfowitz 1940).
[[nodiscard]] Finding runs(std::span<const std::uint32_t> numbers, std::uint32_t below);

}  // namespace noclash::test
