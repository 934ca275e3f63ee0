// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "bench/limit.hpp"
#include "bench/scenario.hpp"
#include "bench/tables/table.hpp"
#include "bench/workers.hpp"
#include "engine/base/huge_array.hpp"
#include "engine/production.hpp"

namespace noclash::bench {

/// The limit of a lookup that compares its key: hash it, read the line that the hash chooses, read
/// the record that a slot of that line names, compare, with prefetches, in bursts. The hash tells
/// the slot: there are no tags, no header and nobody who inserts.
/// Lines and records are as many and as large as noclash's.
class LeastLookup final : public Limit {
  public:
    explicit LeastLookup(std::uint32_t flows)
        : lines_(std::size_t{flows} / 5 * 2 + flows / 20), records_(flows + flows / 8) {
        const std::vector<FlowKeys>& keys = keys_of({.flows = flows});
        for (std::uint32_t flow = 0; flow < flows; ++flow) {
            records_[flow].tuples = {keys[flow].original, keys[flow].reply};
            for (std::uint32_t direction = 0; direction < 2; ++direction)
                slot(hash_(records_[flow].tuples[direction])) = 2 * flow + direction;
        }
        // If two entries want one slot, one is not looked for: most have theirs.
        const Permutation mixed(std::uint64_t{flows} * 2);
        for (std::uint32_t i = 0; probes_.size() < lookups_of_a_worker; i = (i + 1) % (2 * flows)) {
            const auto entry = static_cast<std::uint32_t>(mixed(i));
            const Tuple<V4>& key = records_[entry / 2].tuples[entry % 2];
            if (slot(hash_(key)) == entry) probes_.push_back(key);
        }
    }

    /// `lookups_of_a_worker` each.
    Measured run(unsigned workers) override {
        std::atomic<std::uint64_t> wrong{0};
        const Timed timed = time_on_workers(workers, [&](unsigned) {
            std::uint64_t bad = 0;
            std::array<const std::uint32_t*, burst_size> slots{};
            std::array<const Tuple<V4>*, burst_size> found{};
            for (std::size_t at = 0; at < probes_.size(); at += burst_size) {
                for (std::size_t i = 0; i < burst_size; ++i) {
                    slots[i] = &slot(hash_(probes_[at + i]));
                    __builtin_prefetch(slots[i], 0, 2);
                }
                for (std::size_t i = 0; i < burst_size; ++i) {
                    found[i] = &records_[*slots[i] / 2].tuples[*slots[i] % 2];
                    __builtin_prefetch(found[i], 0, 2);
                }
                for (std::size_t i = 0; i < burst_size; ++i)
                    bad += *found[i] == probes_[at + i] ? 0U : 1U;
            }
            wrong += bad;
        });
        expect(wrong == 0, "the least lookup gave a wrong answer");
        return {lookups_of_a_worker * workers, timed};
    }

  private:
    static constexpr std::uint64_t lookups_of_a_worker = lookups;

    struct alignas(64) Line {
        std::array<std::uint32_t, 16> entries{};
    };
    struct alignas(64) Record {
        std::array<Tuple<V4>, 2> tuples{};
        std::array<std::uint64_t, 12> rest{};
    };
    static_assert(sizeof(Record) == sizeof(Flow<V4, Production>));

    [[nodiscard]] const std::uint32_t& slot(std::uint64_t hash) const {
        __extension__ using Wide = unsigned __int128;
        const auto line =
            static_cast<std::size_t>((static_cast<Wide>(hash) * lines_.size()) >> 64U);
        return lines_[line].entries[hash % 16];
    }
    [[nodiscard]] std::uint32_t& slot(std::uint64_t hash) {
        return const_cast<std::uint32_t&>(std::as_const(*this).slot(hash));
    }

    HugeArray<Line> lines_;
    HugeArray<Record> records_;
    TupleHash hash_;
    std::vector<Tuple<V4>> probes_;
};

}  // namespace noclash::bench
