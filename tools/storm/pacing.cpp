// SPDX-License-Identifier: Apache-2.0
#include "tools/storm/pacing.hpp"

#include <immintrin.h>
#include <sched.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>
#include <thread>

#include "tools/storm/packet_socket.hpp"

namespace noclash::tools {
namespace {

using namespace std::chrono_literals;

/// A sleeping thread is back on its CPU by then, as a rule.
constexpr auto wake_up_allowance = 50us;
/// A partner that is not here after so many looks has lost its CPU: give it ours.
constexpr int looks_before_yield = 20'000;
/// The time that a number takes from one CPU to the other, and more.
constexpr auto time_to_agree = 1us;

}  // namespace

std::vector<int> allowed_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    std::vector<int> cpus;
    if (::sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    return cpus;
}

void pin_to_cpu(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (::sched_setaffinity(0, sizeof set, &set) != 0)
        throw EnvironmentError("cannot pin a thread to CPU " + std::to_string(cpu) + ": " +
                               std::generic_category().message(errno));
}

void sleep_precisely() {
    ::prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
}

void wait_for(Clock::time_point slot) {
    const auto wake_up = slot - wake_up_allowance;
    if (Clock::now() < wake_up) std::this_thread::sleep_until(wake_up);
    while (Clock::now() < slot)
        _mm_pause();
}

bool StepBarrier::await(const std::atomic<std::uint64_t>& progress, std::uint64_t step) const {
    for (int looks = 0; progress.load(std::memory_order_acquire) <= step; ++looks) {
        if (given_up_.load(std::memory_order_relaxed)) return false;
        if (looks < looks_before_yield) {
            _mm_pause();
        } else {
            std::this_thread::yield();
        }
    }
    return true;
}

bool StepBarrier::meet(std::size_t thread, std::uint64_t step, Clock::time_point slot) {
    sides_[thread].begun.store(step + 1, std::memory_order_release);
    if (thread == 0) {
        if (!await(sides_[1].begun, step)) return false;
        // Thread 1 has read the last agreement: it has begun the next step.
        agreement_.leave = std::max(slot, Clock::now() + time_to_agree);
        agreement_.steps.store(step + 1, std::memory_order_release);  // pairs with await's acquire
    } else if (!await(agreement_.steps, step)) {
        return false;
    }
    while (Clock::now() < agreement_.leave)
        _mm_pause();
    return true;
}

}  // namespace noclash::tools
