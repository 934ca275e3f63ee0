// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "bench/limit.hpp"
#include "bench/scenario.hpp"
#include "bench/tables/table.hpp"
#include "bench/workers.hpp"
#include "engine/base/huge_array.hpp"

namespace noclash::bench {

/// The limit of the machine itself: independent random reads of cache lines, prefetched in bursts,
/// by each worker from the same 512 MiB. Two workers can be no more than so much faster than one at
/// anything that is bound by memory.
class RandomReads final : public Limit {
  public:
    RandomReads() : lines_(std::size_t{1} << 23U) {
        for (std::size_t i = 0; i < lines_.size(); ++i)
            lines_[i].number = i;
    }

    /// `reads_of_a_worker` reads each.
    Measured run(unsigned workers) override {
        std::atomic<std::uint64_t> wrong{0};
        const Timed timed = time_on_workers(workers, [&](unsigned worker) {
            std::uint64_t state = 0x9e3779b97f4a7c15ULL * (worker + 1), bad = 0;
            std::array<std::size_t, burst_size> at{};
            for (std::uint64_t done = 0; done < reads_of_a_worker; done += burst_size) {
                for (std::size_t& place : at) {
                    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
                    place = static_cast<std::size_t>(state >> 41U);
                    __builtin_prefetch(&lines_[place], 0, 3);
                }
                for (const std::size_t place : at)
                    bad += lines_[place].number == place ? 0U : 1U;
            }
            wrong += bad;
        });
        expect(wrong == 0, "memory gave a wrong answer");
        return {reads_of_a_worker * workers, timed};
    }

  private:
    struct alignas(64) Line {
        std::uint64_t number = 0;
    };
    static constexpr std::uint64_t reads_of_a_worker = 1U << 24U;

    HugeArray<Line> lines_;
};

/// Arithmetic that touches no memory: two workers do twice as much as one unless their CPUs are two
/// threads of one core, or are not always theirs.
class Arithmetic final : public Limit {
  public:
    /// `steps_of_a_worker` steps each.
    Measured run(unsigned workers) override {
        std::atomic<std::uint64_t> wrong{0};
        const Timed timed = time_on_workers(workers, [&](unsigned) {
            std::array<std::uint64_t, chains> states{};
            for (std::uint64_t done = 0; done < steps_of_a_worker; done += chains)
                for (std::size_t i = 0; i < chains; ++i)
                    states[i] = states[i] * 6364136223846793005ULL + 1442695040888963407ULL + i;
            for (std::size_t i = 0; i < chains; ++i)
                wrong += states[i] == expected(i) ? 0U : 1U;
        });
        expect(wrong == 0, "arithmetic gave a wrong answer");
        return {steps_of_a_worker * workers, timed};
    }

  private:
    static constexpr std::uint64_t steps_of_a_worker = 1U << 27U;
    static constexpr std::size_t chains = 8;

    /// The state after all steps, by repeated squaring of the step.
    static std::uint64_t expected(std::uint64_t chain) {
        std::uint64_t factor = 6364136223846793005ULL, summand = 1442695040888963407ULL + chain;
        for (std::uint64_t steps = steps_of_a_worker / chains; steps > 1; steps /= 2) {
            summand += factor * summand;
            factor *= factor;
        }
        return summand;
    }
};

}  // namespace noclash::bench
