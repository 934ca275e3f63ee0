// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <vector>

namespace noclash::tools {

using Clock = std::chrono::steady_clock;

/// CPUs that this process may run on, in order.
[[nodiscard]] std::vector<int> allowed_cpus();

/// Binds the calling thread to one CPU.
/// @throws EnvironmentError when the machine does not let it.
void pin_to_cpu(int cpu);

/// Lets the calling thread sleep with the precision that the machine has, not with 50 us of slack.
void sleep_precisely();

/// Returns at `slot`: sleeps until shortly before it, so that others get the CPU, then spins.
/// Returns at once when the slot is past: who is late catches up, and the schedule stays bounded.
void wait_for(Clock::time_point slot);

/// Two threads meet here before each step, and leave at the same moment of the clock.
class StepBarrier {
  public:
    /// Called by thread 0 and thread 1 with the same steps, ascending, and the same `slot`: the
    /// moment to leave at, or a later one when either comes late.
    /// @returns false when the other one gave up.
    [[nodiscard]] bool meet(std::size_t thread, std::uint64_t step, Clock::time_point slot);
    /// Releases the other thread for good.
    void give_up() { given_up_.store(true, std::memory_order_relaxed); }

  private:
    /// Spins until `progress` exceeds `step`; false when the other thread gave up.
    bool await(const std::atomic<std::uint64_t>& progress, std::uint64_t step) const;

    struct alignas(64) Side {
        std::atomic<std::uint64_t> begun{0};  // steps; written by its own thread, read by the other
    };
    std::array<Side, 2> sides_;
    struct alignas(64) Agreement {
        std::atomic<std::uint64_t> steps{0};  // agreed on; written by thread 0, read by thread 1
        Clock::time_point leave;              // of the last of them; written before `steps`
    };
    Agreement agreement_;
    alignas(64) std::atomic<bool> given_up_{false};
};

}  // namespace noclash::tools
