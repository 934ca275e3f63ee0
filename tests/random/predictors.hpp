// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tests/random/port_history.hpp"

namespace noclash::test {

/// Guesses the next allocation from all that came before; none when it has no opinion.
struct Predictor {
    std::string name;
    std::function<std::optional<std::uint32_t>(const PortHistory&)> guess;
};

/// A congruential generator that explains the latest allocations: the next is
/// `factor * latest + summand`, modulo `modulus`. Looked for in four allocations in a row, and
/// given up when it was wrong for a while.
class GeneratorGuess {
  public:
    explicit GeneratorGuess(std::uint32_t modulus) : modulus_(modulus) {}
    /// Goes on until it comes to a free port, as the generator's owner has to.
    std::optional<std::uint32_t> operator()(const PortHistory& history);

  private:
    static constexpr int most_wrong = 16;

    void judge(std::uint32_t latest);
    void look_for_one(const std::vector<std::uint32_t>& allocations);

    std::uint64_t modulus_;
    std::uint64_t factor_ = 0, summand_ = 0;
    std::optional<std::uint32_t> guess_;
    int wrong_ = most_wrong;  ///< guesses in a row; so many: there is no generator
};

/// Next in a row; the same step again; the port free for longest, and for shortest; the one that a
/// search from a random port on favours; a generator modulo the number of ports, and modulo 2^16.
[[nodiscard]] std::vector<Predictor> all_predictors(std::uint32_t ports);

}  // namespace noclash::test
