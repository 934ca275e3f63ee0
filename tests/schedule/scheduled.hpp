// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "engine/tuple.hpp"
#include "tests/schedule/scheduled_atomic.hpp"
#include "tests/schedule/scheduled_quiescence.hpp"

namespace noclash::schedule {

/// Where tuples fall in the index.
enum class Collisions : std::uint8_t {
    spread,       ///< as a good hash has it
    one_bucket,   ///< all in the first bucket, with tags of their own
    equal,        ///< all in one bucket, with the same tag: only the records tell them apart
    two_buckets,  ///< by the zone: in the first or the last bucket
};

/// The collisions of tables that are made from now on.
inline Collisions collisions = Collisions::spread;

/// A hash without a secret, so that a run follows from its seed.
class ScheduledHash {
  public:
    template <class Family>
    [[nodiscard]] std::uint64_t operator()(const Tuple<Family>& tuple) const {
        std::uint64_t mixed = 0;
        for (std::size_t at = 0; at < sizeof tuple; at += sizeof mixed) {
            std::uint64_t word = 0;
            std::memcpy(&word, reinterpret_cast<const char*>(&tuple) + at, sizeof word);
            mixed = SeededRandom::mix(mixed ^ word);
        }
        switch (mode_) {
            case Collisions::one_bucket:
                return mixed >> 16U;  // the bucket is in the top bits
            case Collisions::equal:
                return 0;
            case Collisions::two_buckets: {
                const std::uint64_t last = tuple.zone % 2 != 0 ? ~0ULL << 48U : 0;
                return last | mixed >> 16U;
            }
            case Collisions::spread:
                break;
        }
        return mixed;
    }

  private:
    Collisions mode_ = collisions;
};

/// The engine's traits under the scheduler.
struct Scheduled {
    template <class T>
    using Atomic = ScheduledAtomic<T>;
    using Quiescence = ScheduledQuiescence;
    using Hash = ScheduledHash;
    /// Two windows of places: a scenario has two or three destinations, or means to fill one
    /// window.
    static constexpr std::size_t occupancy_maps = 16;
};

}  // namespace noclash::schedule
