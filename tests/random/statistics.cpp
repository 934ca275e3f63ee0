// SPDX-License-Identifier: Apache-2.0
#include "tests/random/statistics.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <numbers>

namespace noclash::test {
namespace {

/// P(|Z| > z) <= 2 exp(-z^2 / 2) for a standard normal Z.
double log10_of_normal(double z) {
    return std::min(0.0, (std::numbers::ln2 - z * z / 2) / std::numbers::ln10);
}

/// P(X >= x) above the mean and P(X <= x) below it, both at most
/// exp(-k/2 (x/k - 1 - ln(x/k))) for X of chi-square with k degrees of freedom.
double log10_of_chi_square(double x, double k) {
    const double ratio = std::max(x / k, 1e-300);
    return -k / 2 * (ratio - 1 - std::log(ratio)) / std::numbers::ln10;
}

}  // namespace

std::string to_string(const Finding& finding) {
    return fmt::format("{} = {:.6g}, probability below 10^{:.1f}", finding.name, finding.value,
                       finding.log10_probability);
}

UniformCount::UniformCount(std::uint32_t below, std::uint32_t most_cells)
    : below_(below), counts_(std::min(below, most_cells)) {}

Finding UniformCount::chi_square(const std::string& name) const {
    std::vector<std::uint32_t> numbers(counts_.size());  // that fall into a cell
    for (std::uint32_t number = 0; number < below_; ++number)
        ++numbers[cell(number)];
    std::uint64_t total = 0;
    for (const std::uint64_t count : counts_)
        total += count;
    if (counts_.size() < 2 || total == 0) return {name, 0, 0};
    double sum = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
        const double expected = static_cast<double>(total) * numbers[i] / below_;
        const double off = static_cast<double>(counts_[i]) - expected;
        sum += off * off / expected;
    }
    return {name, sum, log10_of_chi_square(sum, static_cast<double>(counts_.size() - 1))};
}

Finding hits_finding(const std::string& name, std::uint64_t hits, std::uint64_t trials,
                     double chance) {
    // Chernoff's bound in Poisson's form, which holds for the binomial distribution too.
    const double mean = static_cast<double>(trials) * chance;
    const auto x = static_cast<double>(hits);
    const double log = hits == 0 ? -mean : x - mean - x * std::log(x / mean);
    return {name, x, chance >= 1 || trials == 0 ? 0 : log / std::numbers::ln10};
}

Finding serial_correlation(std::span<const std::uint32_t> numbers, std::uint32_t below,
                           std::size_t lag) {
    const double mean = (below - 1.0) / 2;
    const double variance = (static_cast<double>(below) * below - 1) / 12;
    double sum = 0;
    for (std::size_t i = lag; i < numbers.size(); ++i)
        sum += (numbers[i] - mean) * (numbers[i - lag] - mean);
    const auto pairs = static_cast<double>(numbers.size() - lag);
    const double correlation = below > 1 ? sum / variance / pairs : 0;
    return {fmt::format("serial correlation, lag {}", lag), correlation,
            log10_of_normal(correlation * std::sqrt(pairs))};
}

Finding runs(std::span<const std::uint32_t> numbers, std::uint32_t below) {
    const auto high = [&](std::uint32_t number) { return 2 * number >= below; };
    double highs = 0, found = 1;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        highs += high(numbers[i]) ? 1 : 0;
        if (i > 0 && high(numbers[i]) != high(numbers[i - 1])) found += 1;
    }
    const auto all = static_cast<double>(numbers.size());
    const double mean = 2 * highs * (all - highs) / all + 1;
    const double variance = (mean - 1) * (mean - 2) / (all - 1);
    if (variance <= 0) return {"runs", found, below > 1 ? -1e9 : 0};
    return {"runs", found, log10_of_normal((found - mean) / std::sqrt(variance))};
}

}  // namespace noclash::test
