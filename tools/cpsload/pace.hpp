// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include "tools/cpsload/settings.hpp"

namespace noclash::cpsload {

/// How many connections a second are to be opened: from one rate to another within some time, and
/// then on at the second one.
struct Schedule {
    double from_cps = 0;
    double to_cps = 0;  ///< 0: as many as there is room for
    Time ramp = 0;      ///< 0: `to_cps` from the start

    [[nodiscard]] double rate_at(Time since_start) const {
        if (since_start >= ramp) return to_cps;
        const double share = static_cast<double>(since_start) / static_cast<double>(ramp);
        return from_cps + (to_cps - from_cps) * share;
    }
    [[nodiscard]] bool unlimited() const { return to_cps == 0; }
};

/// A token bucket over a schedule: says how many connections are due. Who comes late (the machine
/// had other things to do) catches up at twice the rate, so that the average is kept and no burst
/// hits the gateway; what is later than `depth` is left out, and counted. One thread.
class Pace {
  public:
    static constexpr Time depth = second / 5;
    /// Openings come in groups of so many nanoseconds' worth, so that there is time to sleep.
    static constexpr Time grain = 50'000;
    /// The longest time that is made up for in one call.
    static constexpr Time stride = millisecond;

    Pace(const Schedule& schedule, Time now) : schedule_(schedule), start_(now), last_(now) {}

    /// Connections to open now, at most `most`; the caller opens them, or calls `put_back`.
    [[nodiscard]] std::uint32_t due(Time now, std::uint32_t most) {
        if (schedule_.unlimited()) return most;
        const double per_ns = schedule_.rate_at(now - start_) / static_cast<double>(second);
        const Time lapsed = now - last_;
        last_ = now;
        tokens_ += per_ns * static_cast<double>(lapsed);
        allowed_ += 2 * per_ns * static_cast<double>(std::min(lapsed, stride));
        const double deepest = std::max(1.0, per_ns * static_cast<double>(depth));
        if (tokens_ > deepest) {
            missed_ += tokens_ - deepest;
            tokens_ = deepest;
        }
        allowed_ = std::min(allowed_, std::max(1.0, 2 * per_ns * static_cast<double>(stride)));
        const double group = std::max(1.0, per_ns * static_cast<double>(grain));
        const double ready = std::min(tokens_, allowed_);
        if (ready < group) return 0;
        const auto count = static_cast<std::uint32_t>(std::min<double>(ready, most));
        tokens_ -= count;
        allowed_ -= count;
        return count;
    }
    void put_back(std::uint32_t count) { tokens_ += count; }

    /// Connections that came due while the tester could not open them, and were left out.
    [[nodiscard]] std::uint64_t missed() const { return static_cast<std::uint64_t>(missed_); }

  private:
    Schedule schedule_;
    Time start_;
    Time last_;
    double tokens_ = 0;   // due
    double allowed_ = 0;  // of these, at once
    double missed_ = 0;
};

}  // namespace noclash::cpsload
