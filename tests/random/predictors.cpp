// SPDX-License-Identifier: Apache-2.0
#include "tests/random/predictors.hpp"

#include <utility>

namespace noclash::test {
namespace {

using Guess = std::optional<std::uint32_t>;

Guess next_in_a_row(const PortHistory& history) {
    if (history.allocations().empty()) return std::nullopt;
    return history.at_or_after((history.allocations().back() + 1) % history.ports());
}

Guess same_step_again(const PortHistory& history) {
    const auto& allocations = history.allocations();
    if (allocations.size() < 2) return std::nullopt;
    const std::uint32_t latest = allocations.back();
    const std::uint32_t step = latest + history.ports() - allocations[allocations.size() - 2];
    return history.at_or_after((latest + step) % history.ports());
}

/// The number whose product with `number` is 1 modulo `modulus`, when there is one (Euclid).
std::optional<std::uint64_t> inverse(std::uint64_t number, std::uint64_t modulus) {
    auto r0 = static_cast<std::int64_t>(modulus), r1 = static_cast<std::int64_t>(number);
    std::int64_t t0 = 0, t1 = 1;
    while (r1 != 0) {
        const std::int64_t quotient = r0 / r1;
        r0 = std::exchange(r1, r0 - quotient * r1);
        t0 = std::exchange(t1, t0 - quotient * t1);
    }
    if (r0 != 1) return std::nullopt;
    return static_cast<std::uint64_t>(t0 < 0 ? t0 + static_cast<std::int64_t>(modulus) : t0);
}

}  // namespace

void GeneratorGuess::look_for_one(const std::vector<std::uint32_t>& allocations) {
    if (allocations.size() < 4) return;
    const auto* latest = &allocations[allocations.size() - 4];
    const auto step = [&](int i) { return (latest[i + 1] + modulus_ - latest[i]) % modulus_; };
    const auto first = inverse(step(0), modulus_);
    if (!first) return;
    const std::uint64_t factor = step(1) * *first % modulus_;
    if (step(2) != factor * step(1) % modulus_) return;
    factor_ = factor;
    summand_ = (latest[1] + (modulus_ - factor) * latest[0]) % modulus_;
    wrong_ = 0;
}

void GeneratorGuess::judge(std::uint32_t latest) {
    if (wrong_ < most_wrong && guess_) wrong_ = *guess_ == latest ? 0 : wrong_ + 1;
}

Guess GeneratorGuess::operator()(const PortHistory& history) {
    constexpr int most_steps = 1000;
    if (history.allocations().empty()) return std::nullopt;
    judge(history.allocations().back());
    if (wrong_ == most_wrong) look_for_one(history.allocations());
    if (wrong_ == most_wrong) return std::nullopt;
    guess_.reset();
    std::uint64_t number = history.allocations().back();
    for (int step = 0; step < most_steps; ++step) {
        number = (factor_ * number + summand_) % modulus_;
        const auto port = static_cast<std::uint32_t>(number);
        if (port < history.ports() && history.is_free(port)) {
            guess_ = port;
            return guess_;
        }
    }
    ++wrong_;
    return std::nullopt;
}

std::vector<Predictor> all_predictors(std::uint32_t ports) {
    return {
        {"next in a row", next_in_a_row},
        {"same step again", same_step_again},
        {"free for longest", [](const PortHistory& history) { return history.longest_free(); }},
        {"just released", [](const PortHistory& history) { return history.latest_released(); }},
        {"after the longest run",
         [](const PortHistory& history) { return history.after_longest_run(); }},
        {"generator of the range", GeneratorGuess(ports)},
        {"generator of 16 bits", GeneratorGuess(65536)},
    };
}

}  // namespace noclash::test
