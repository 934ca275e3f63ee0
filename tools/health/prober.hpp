// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>

#include "tools/health/check.hpp"
#include "tools/health/schedule.hpp"

namespace noclash::health {

/// Told of the end of each check, once, possibly before `start` returns.
using OnEnd = std::function<void(TargetId id, Outcome outcome)>;

/// Carries checks of some kinds out, any number at a time. Of the thread of its event loop.
class Prober {
  public:
    Prober() = default;
    Prober(const Prober&) = delete;
    Prober& operator=(const Prober&) = delete;
    virtual ~Prober() = default;

    /// Begins a check. It ends by itself, `timeout_ms` later at the latest. `check` outlives it.
    virtual void start(TargetId id, const Check& check, const Endpoint& endpoint) = 0;
    /// When `on_time` has to be called, though nothing is ready; UINT64_MAX: never.
    [[nodiscard]] virtual std::uint64_t wake_ns() const = 0;
    virtual void on_time(std::uint64_t now_ns) = 0;
};

}  // namespace noclash::health
