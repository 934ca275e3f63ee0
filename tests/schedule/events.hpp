// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace noclash::schedule {

/// The events that runs are meant to bring about. A scenario says which it must have seen, over all
/// its seeds: else it checks less than it claims.
enum class Event : std::uint8_t {
    published,
    claim_lost,    ///< the original tuple was taken
    reserve_lost,  ///< a proposal was taken
    gave_up,       ///< a reservation was rolled back
    found_setup,   ///< a lookup found a flow that was not live yet
    found_ending,  ///< ... or no longer
    release_lost,  ///< another one released the flow first
    reused,        ///< a record was given out again
    scan_again,    ///< an insert found its bucket changed and scanned again
    busy,
    bucket_full,
    shared_slot,  ///< more entries than a bucket has slots of its own
    expired,
    refreshed,
    exhausted,
    map_gone,
    over_limit,
    succeeded,         ///< a flow took over another's reply tuple
    revived,           ///< one that had begun to end another let it live
    client_came_back,  ///< a finished connection was opened anew before another could have its
                       ///< tuple
    killed,            ///< all workers stopped for ever before they had ended
    adopted,           ///< a flow lives on in the next world
    rolled_back,       ///< ... was being set up, and does not
    brought_back,      ///< ... was ending, and lives on
    had_ended,         ///< ... was ending, and another has one of its tuples
    killed_again,      ///< the adoption was killed, too
    count
};

class Events {
  public:
    void saw(Event event, std::uint64_t times = 1) { of(event) += times; }
    [[nodiscard]] std::uint64_t operator[](Event event) const {
        return counts_[static_cast<std::size_t>(event)];
    }
    void add(const Events& other) {
        for (std::size_t i = 0; i < counts_.size(); ++i)
            counts_[i] += other.counts_[i];
    }

  private:
    std::uint64_t& of(Event event) { return counts_[static_cast<std::size_t>(event)]; }
    std::array<std::uint64_t, static_cast<std::size_t>(Event::count)> counts_{};
};

inline constexpr std::array<const char*, static_cast<std::size_t>(Event::count)> event_names = {
    "published",    "claim lost",   "reserve lost", "gave up",      "found in setup",
    "found ending", "release lost", "reused",       "scan again",   "busy",
    "bucket full",  "shared slot",  "expired",      "refreshed",    "exhausted",
    "map gone",     "over limit",   "succeeded",    "revived",      "client came back",
    "killed",       "adopted",      "rolled back",  "brought back", "had ended",
    "killed again"};

}  // namespace noclash::schedule
