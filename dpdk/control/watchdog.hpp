// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace noclash::dpdk {

/// Decides when a service manager's watchdog is fed: only when every worker has begun a round since
/// the last time. One thread's own.
///
///     fed                a quarter                half                     the deadline
///      |---- nothing ----|---- fed as soon as ----|---- workers that have ----|  the service
///                          all have begun a round   not are stalled              manager ends us
///
/// A worker is known by the time at which its last round began. So a worker that naps is alive, for
/// it makes a round after each nap, and one that does not come back from a nap is not.
class Watchdog {
  public:
    /// What a look found. Workers are told of once when they stall, and once when they go on.
    struct Finding {
        bool feed = false;
        std::vector<std::size_t> stalled;
        std::vector<std::size_t> resumed;
    };

    /// @param deadline_ms  the service manager acts when it was not fed for so long
    /// @param rounds_ms    as `look` has it. The watchdog counts as fed `now_ms`.
    Watchdog(std::uint64_t deadline_ms, std::span<const std::uint64_t> rounds_ms,
             std::uint64_t now_ms);

    /// @param rounds_ms  of each worker, when its last round began; as many as at construction
    [[nodiscard]] Finding look(std::span<const std::uint64_t> rounds_ms, std::uint64_t now_ms);

    /// `look` has to be called as often. Twice as often as it feeds: what is a moment late then
    /// still comes before half of the deadline.
    [[nodiscard]] std::uint64_t look_every_ms() const {
        return std::max<std::uint64_t>(deadline_ms_ / 8, 1);
    }

  private:
    struct Worker {
        std::uint64_t round_ms;  ///< when the watchdog was fed
        bool stalled;            ///< and told of
    };

    std::uint64_t deadline_ms_;
    std::uint64_t fed_ms_;
    std::vector<Worker> workers_;
};

}  // namespace noclash::dpdk
