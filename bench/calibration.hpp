// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "bench/scenario.hpp"
#include "bench/tables/table.hpp"
#include "bench/workers.hpp"
#include "engine/huge_array.hpp"

namespace noclash::bench {

/// What the machine itself allows: independent random reads of cache lines, prefetched in bursts,
/// by each worker from the same 512 MiB. Two workers can be no more than so much faster than one at
/// anything that is bound by memory.
class RandomReads {
  public:
    static constexpr std::uint64_t reads_of_a_worker = 1U << 24U;

    RandomReads() : lines_(std::size_t{1} << 23U) {
        for (std::size_t i = 0; i < lines_.size(); ++i)
            lines_[i].number = i;
    }

    /// `reads_of_a_worker` reads each.
    [[nodiscard]] Timed run(unsigned workers) const {
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
        return timed;
    }

  private:
    struct alignas(64) Line {
        std::uint64_t number = 0;
    };
    HugeArray<Line> lines_;
};

}  // namespace noclash::bench
