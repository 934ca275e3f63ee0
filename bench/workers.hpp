// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sched.h>
#include <time.h>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

namespace noclash::bench {

/// The CPUs that this process may use.
[[nodiscard]] inline std::vector<unsigned> allowed_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (::sched_getaffinity(0, sizeof set, &set) != 0)
        throw std::runtime_error("sched_getaffinity failed");
    std::vector<unsigned> cpus;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    return cpus;
}

inline void pin_this_thread(unsigned cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (::sched_setaffinity(0, sizeof set, &set) != 0)
        throw std::runtime_error("sched_setaffinity failed");
}

struct Timed {
    double seconds = 0;    ///< from the first worker's start to the last one's end
    double cpu_share = 1;  ///< how much of its CPU the worker got that got least
};

[[nodiscard]] inline double thread_cpu_seconds() {
    timespec used{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
}

/// Runs `work(worker)` on `count` threads at a time, each on a CPU of its own.
template <class Work>
[[nodiscard]] Timed time_on_workers(unsigned count, const Work& work) {
    using Clock = std::chrono::steady_clock;
    const std::vector<unsigned> cpus = allowed_cpus();
    std::barrier ready(static_cast<std::ptrdiff_t>(count));
    std::vector<Clock::time_point> begun(count), ended(count);
    std::vector<double> cpu_seconds(count);
    std::vector<std::thread> threads;
    for (unsigned worker = 0; worker < count; ++worker) {
        threads.emplace_back([&, worker] {
            pin_this_thread(cpus[worker % cpus.size()]);
            ready.arrive_and_wait();
            const double cpu_before = thread_cpu_seconds();
            begun[worker] = Clock::now();
            work(worker);
            ended[worker] = Clock::now();
            cpu_seconds[worker] = thread_cpu_seconds() - cpu_before;
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    const auto seconds_between = [](Clock::time_point from, Clock::time_point to) {
        return std::chrono::duration<double>(to - from).count();
    };
    Timed timed{seconds_between(*std::min_element(begun.begin(), begun.end()),
                                *std::max_element(ended.begin(), ended.end()))};
    for (unsigned worker = 0; worker < count; ++worker)
        timed.cpu_share = std::min(
            timed.cpu_share, cpu_seconds[worker] / seconds_between(begun[worker], ended[worker]));
    return timed;
}

}  // namespace noclash::bench
