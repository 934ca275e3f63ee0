// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

#include "nat/policy/wait_histogram.hpp"

namespace noclash::nat {

/// How the openings of a backend went on: flows that were sent to it, until it has answered,
/// refused, or nobody waits any more. Each of them is counted once, as answered, refused or
/// unanswered, or not at all when its client took it back. Any thread may count.
struct OpeningResults {
    WaitHistogram answers;                  ///< from the first packet to the backend's answer
    std::atomic<std::uint64_t> late{0};     ///< of those: the client had to repeat its SYN or INIT
    std::atomic<std::uint64_t> late_ms{0};  ///< how long these took, all together
    /// Connections whose SYN-ACK came again though the client had acknowledged it.
    std::atomic<std::uint64_t> repeated_answers{0};
    std::atomic<std::uint64_t> refused{0};  ///< by a RST, an ABORT or an ICMP error
    std::atomic<std::uint64_t> reset{0};    ///< connections that it had answered, and ended by RST
    /// Openings that failed since the last one that the backend answered, and `on_probation`.
    std::atomic<std::uint32_t> failures{0};
    /// What openings that began before this come to is no failure any more, in ms of `now_ms()`.
    std::atomic<std::uint64_t> judged_since_ms{0};

    /// Of the thread that changes backends (nat/policy/inhibition.hpp).
    struct Inhibition {
        std::uint64_t until_ms = 0;  ///< 0: it is not inhibited
        std::uint32_t length_s = 0;  ///< of this inhibition, or the last one
    } inhibition;

    /// In `failures`: it was inhibited, and has answered nothing since. No number of failures comes
    /// near.
    static constexpr std::uint32_t on_probation = std::uint32_t{1} << 31U;

    void succeed() {
        if (failures.load(std::memory_order_relaxed) != 0)
            failures.store(0, std::memory_order_relaxed);
    }
    /// @param begun_ms  when the opening began
    void fail(std::uint64_t begun_ms) {
        if (begun_ms >= judged_since_ms.load(std::memory_order_relaxed))
            failures.fetch_add(1, std::memory_order_relaxed);
    }
};

/// Whether clients had to ask so often again that the backend's queue of connections overflows: it
/// drops SYNs then, or the acknowledgment of its SYN-ACK. Fewer may be losses on the way.
[[nodiscard]] constexpr bool queue_overflow_likely(std::uint64_t openings,
                                                   std::uint64_t asked_again) {
    constexpr std::uint64_t least = 10, least_percent = 1;
    return asked_again >= least && asked_again >= openings / 100 * least_percent;
}

}  // namespace noclash::nat
