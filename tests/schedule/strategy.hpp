// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "tests/schedule/seeded_random.hpp"

namespace noclash::schedule {

inline constexpr unsigned nobody = ~0U;

/// Decides which worker makes the next step.
class Strategy {
  public:
    Strategy() = default;
    Strategy(const Strategy&) = delete;
    Strategy& operator=(const Strategy&) = delete;
    virtual ~Strategy() = default;

    /// @param runnable  bit i: worker i has not ended; not 0
    /// @param running   who made the last step, or `nobody`
    /// @return one of the runnable workers, or `nobody` when all of them are stalled
    virtual unsigned next(unsigned runnable, unsigned running) = 0;
    /// Lets stalled workers run again.
    virtual void wake() {}
    [[nodiscard]] virtual const char* name() const = 0;
};

/// One of the strategies, with parameters; all drawn from `random`.
std::unique_ptr<Strategy> draw_strategy(unsigned workers, SeededRandom& random);

}  // namespace noclash::schedule
