// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace noclash::nat {

/// The steps of a burst, in order. Each is a loop of its own over the whole burst.
enum class Step : std::uint8_t {
    receive,   ///< take frames from the device; sort out what is not an IP packet for us
    parse,     ///< bytes to tuple
    look_up,   ///< tuple to flow
    hit,       ///< state, timeout, route of packets with a flow; they are rewritten
    plan,      ///< policy, route and a first proposal for those without one
    set_up,    ///< of new flows; likewise
    transmit,  ///< neighbour's address, queues, hand to the device
    between,   ///< waiting packets, timers, reclamation, random numbers
    count
};

inline constexpr std::array<std::string_view, static_cast<std::size_t>(Step::count)> step_names{
    "receive", "parse", "look up", "hit", "plan", "set up", "transmit", "between bursts"};

/// The processor's clock: TSC cycles on x86-64, nanoseconds elsewhere.
[[nodiscard]] inline std::uint64_t cycles_now() {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
#endif
}

/// Collects how long each step takes. One worker's own; for who measures, not for production.
class StepCycles {
  public:
    void begin() { last_ = cycles_now(); }
    void end(Step step) {
        const std::uint64_t now = cycles_now();
        if (now - last_ < interrupted) {
            cycles_[static_cast<std::size_t>(step)] += now - last_;
            ++readings_[static_cast<std::size_t>(step)];
        }
        last_ = now;
    }
    [[nodiscard]] std::uint64_t cycles(std::size_t step) const { return cycles_[step]; }
    /// How often the clock was read for it.
    [[nodiscard]] std::uint64_t readings(std::size_t step) const { return readings_[step]; }

  private:
    /// No step of a burst takes so long; something else ran, and it is left out.
    static constexpr std::uint64_t interrupted = 200'000;
    static constexpr std::size_t steps = static_cast<std::size_t>(Step::count);

    std::uint64_t last_ = 0;
    std::array<std::uint64_t, steps> cycles_{};
    std::array<std::uint64_t, steps> readings_{};
};

}  // namespace noclash::nat
