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

/// What the machine allows a lookup: a random line of a table as large as the index, then the
/// random record that it names, prefetched in bursts, with nothing to hash or to compare.
class LinePairs {
  public:
    static constexpr std::uint64_t pairs_of_a_worker = 1U << 21U;

    /// As large as noclash's table for so many flows.
    explicit LinePairs(std::uint32_t flows)
        : lines_(flows / 5 * 2 + flows / 20), records_(flows + flows / 8) {
        std::uint64_t state = 1;
        for (std::size_t i = 0; i < lines_.size(); ++i)
            lines_[i].record = place(advance(state), records_.size());
        for (std::size_t i = 0; i < records_.size(); ++i)
            records_[i].number = i;
    }

    /// `pairs_of_a_worker` pairs each.
    [[nodiscard]] Timed run(unsigned workers) const {
        std::atomic<std::uint64_t> wrong{0};
        const Timed timed = time_on_workers(workers, [&](unsigned worker) {
            std::uint64_t state = worker + 7, bad = 0;
            std::array<const Line*, burst_size> lines{};
            std::array<std::size_t, burst_size> records{};
            for (std::uint64_t done = 0; done < pairs_of_a_worker; done += burst_size) {
                for (const Line*& line : lines) {
                    line = &lines_[place(advance(state), lines_.size())];
                    __builtin_prefetch(line, 0, 3);
                }
                for (std::size_t i = 0; i < burst_size; ++i) {
                    records[i] = lines[i]->record;
                    __builtin_prefetch(&records_[records[i]], 0, 3);
                }
                for (const std::size_t record : records)
                    bad += records_[record].number == record ? 0U : 1U;
            }
            wrong += bad;
        });
        expect(wrong == 0, "memory gave a wrong answer");
        return timed;
    }

  private:
    struct alignas(64) Line {
        std::size_t record = 0;
    };
    struct alignas(64) Record {
        std::size_t number = 0;
        std::array<std::uint64_t, 15> rest{};
    };
    static_assert(sizeof(Record) == sizeof(Flow<V4, Production>));

    static std::uint64_t advance(std::uint64_t& state) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        return state;
    }
    static std::size_t place(std::uint64_t random, std::size_t size) {
        __extension__ using Wide = unsigned __int128;
        return static_cast<std::size_t>((static_cast<Wide>(random) * size) >> 64U);
    }

    HugeArray<Line> lines_;
    HugeArray<Record> records_;
};

}  // namespace noclash::bench
