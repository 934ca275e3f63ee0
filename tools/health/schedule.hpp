// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
#include <random>
#include <unordered_map>
#include <utility>
#include <vector>

namespace noclash::health {

/// Never given to another target again.
using TargetId = std::uint64_t;

/// What all checks together may take.
struct Ceilings {
    std::uint32_t checks_per_s = 10'000;
    std::uint32_t in_flight = 4096;
};

/// Says which target is to be checked next, and when. Each target has a rhythm of its own: the
/// first check comes at random within one interval, each further one an interval after the one
/// before it was due, give or take the jitter. So the mean is the interval, however long checks
/// take. A target is checked by one check at a time. All moments are nanoseconds of a clock that
/// the caller reads.
class Schedule {
  public:
    /// @param seed  of the random delays
    Schedule(Ceilings ceilings, std::uint64_t seed);

    /// @param interval_ns  at least 1
    /// @param jitter_percent  of the interval, at most 100
    void add(TargetId id, std::uint64_t interval_ns, std::uint32_t jitter_percent,
             std::uint64_t now_ns);
    /// No further check of it begins; one that is in flight still has to end.
    void remove(TargetId id);

    /// The target whose check begins now; nothing when none is due, or a ceiling is reached.
    [[nodiscard]] std::optional<TargetId> next(std::uint64_t now_ns);
    /// The check that `next` had begin is over.
    void ended(TargetId id, std::uint64_t now_ns);

    /// When `next` may have one, unless a check ends earlier; UINT64_MAX: no sooner than that.
    [[nodiscard]] std::uint64_t wake_ns();
    [[nodiscard]] std::size_t in_flight() const { return in_flight_; }
    /// Checks that have begun, and those of them that did so later than due by more than a tenth of
    /// their interval.
    [[nodiscard]] std::uint64_t begun() const { return begun_; }
    [[nodiscard]] std::uint64_t late() const { return late_; }

  private:
    struct Rhythm {
        std::uint64_t interval_ns;
        std::uint64_t jitter_ns;
        std::uint64_t due_ns;
    };
    using Due = std::pair<std::uint64_t, TargetId>;

    /// The first of the queue that was not removed meanwhile; null: none.
    Rhythm* front();

    Ceilings ceilings_;
    std::mt19937_64 random_;
    std::unordered_map<TargetId, Rhythm> rhythms_;
    std::priority_queue<Due, std::vector<Due>, std::greater<>>
        queue_;                     ///< of what is not in flight
    std::uint64_t allowed_ns_ = 0;  ///< the ceiling of checks a second lets one begin from then on
    std::size_t in_flight_ = 0;
    std::uint64_t begun_ = 0;
    std::uint64_t late_ = 0;
};

}  // namespace noclash::health
