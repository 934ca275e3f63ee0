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
#include "engine/base/huge_array.hpp"
#include "engine/flow.hpp"
#include "engine/production.hpp"

namespace noclash::bench {

/// The limit of two insertions: hash both tuples, prefetch a burst's lines, change each
/// line by locked swaps, write the record. Nothing else: no search for the key, whose absence is
/// taken for granted, no tags, no free records, nobody who looks up, removes or reclaims, no timer.
/// Lines and records are as many and as large as noclash's, and new for each run, as those of
/// tables are.
///
/// A line's count of entries says which slot is next, so that a slot is never looked for.
class LeastSetUp final : public Limit {
  public:
    /// Locked swaps a flow. `two`: a line's count, and who has swapped it owns a slot. `four`: the
    /// slot and then the count, as noclash has to: its count must not show an empty slot.
    enum class Swaps : std::uint8_t { two = 2, four = 4 };
    /// Whose the lines are that a worker changes: any worker's, as in a table that all of them
    /// share; or its own, 4 KiB of lines in turn, so that all else is as with shared ones.
    enum class Lines : std::uint8_t { shared, own };

    LeastSetUp(std::uint32_t flows, Swaps swaps, Lines lines)
        : flows_(flows), swaps_(swaps), sharing_(lines) {}

    /// Each worker its own share of the flows.
    Measured run(unsigned workers) override {
        const Scenario scenario{.flows = flows_};
        Table table(scenario.capacity(), workers, sharing_);
        const std::vector<FlowKeys>& keys = keys_of(scenario);
        const std::uint32_t share = flows_ / workers / burst_size * burst_size;
        std::atomic<std::uint64_t> without_room{0};
        const Timed timed = time_on_workers(workers, [&](unsigned worker) {
            without_room +=
                swaps_ == Swaps::two
                    ? table.template fill<Swaps::two>(keys, worker * share, share, worker)
                    : table.template fill<Swaps::four>(keys, worker * share, share, worker);
        });
        table.check(keys, share * workers, without_room);
        return {std::uint64_t{share} * workers, timed};
    }

  private:
    using Record = Flow<V4, Production>;
    static constexpr std::uint32_t slots = 14;
    struct alignas(64) Line {
        std::atomic<std::uint64_t> count{0};
        std::array<std::atomic<std::uint32_t>, slots> entries{};
    };
    static_assert(sizeof(Line) == sizeof(IndexBucket<Production>));

    class Table {
      public:
        Table(std::uint32_t capacity, unsigned workers, Lines sharing)
            : parts_(sharing == Lines::own ? workers : 1),
              part_(std::size_t{capacity} * 2 / 5 / parts_ / block * block + block),
              lines_(part_ * parts_),
              records_(capacity + 1) {}

        /// Flows first .. first + count - 1. Returns how many entries found their line full.
        template <Swaps swaps>
        std::uint64_t fill(const std::vector<FlowKeys>& keys, std::uint32_t first,
                           std::uint32_t count, unsigned worker) {
            std::uint64_t without_room = 0;
            std::array<std::array<std::uint32_t, 2>, burst_size> places{};
            for (std::uint32_t burst = first; burst < first + count; burst += burst_size) {
                for (std::uint32_t i = 0; i < burst_size; ++i) {
                    const FlowKeys& flow = keys[burst + i];
                    places[i] = {line_of(flow.original, worker), line_of(flow.reply, worker)};
                    for (const std::uint32_t place : places[i])
                        __builtin_prefetch(&lines_[place], 1, 3);
                }
                for (std::uint32_t i = 0; i < burst_size; ++i) {
                    Record& record = records_[burst + i + 1];
                    __builtin_prefetch(&records_[burst + i + 2], 1, 3);
                    __builtin_prefetch(&records_[burst + i + 2].counters, 1, 3);
                    write(record, keys[burst + i]);
                    for (const auto direction : {Direction::original, Direction::reply}) {
                        const std::uint32_t place = places[i][static_cast<std::size_t>(direction)];
                        const std::uint32_t slot =
                            insert<swaps>(lines_[place], entry(burst + i, direction));
                        record.place(direction) = {place, slot};
                        without_room += slot == slots ? 1U : 0U;
                    }
                    record.expires.store(lifetime_ms, std::memory_order_relaxed);
                    record.status.store(FlowStatus::live, std::memory_order_release);
                }
            }
            return without_room;
        }

        /// Checks that there are as many entries as there should be, and that those of a sample of
        /// flows are where the flow's record says.
        void check(const std::vector<FlowKeys>& keys, std::uint32_t flows,
                   std::uint64_t without_room) {
            std::uint64_t entries = 0;
            for (std::size_t i = 0; i < lines_.size(); ++i)
                entries += lines_[i].count;
            expect(entries + without_room == std::uint64_t{flows} * 2, "entries are missing");
            expect(without_room < flows / 1000, "lines are too small");
            constexpr std::uint32_t sample = 7;  // prime to bursts and blocks
            for (std::uint32_t flow = 0; flow < flows; flow += sample) {
                Record& record = records_[flow + 1];
                bool right = record.status == FlowStatus::live &&
                             record.tuple(Direction::original) == keys[flow].original &&
                             record.tuple(Direction::reply) == keys[flow].reply;
                for (const auto direction : {Direction::original, Direction::reply}) {
                    const IndexPlace place = record.place(direction);
                    right = right && (place.position() == slots ||
                                      lines_[place.bucket()].entries[place.position()] ==
                                          entry(flow, direction));
                }
                expect(right, "the least set-up lost an entry");
            }
        }

      private:
        static constexpr std::uint32_t block = 64;  // lines that have one owner, side by side

        static std::uint32_t entry(std::uint32_t flow, Direction direction) {
            return (flow + 1) * 2 + static_cast<std::uint32_t>(direction);
        }
        [[nodiscard]] std::uint32_t line_of(const Tuple<V4>& tuple, unsigned worker) const {
            __extension__ using Wide = unsigned __int128;
            const auto line =
                static_cast<std::uint32_t>((static_cast<Wide>(hash_(tuple)) * part_) >> 64U);
            if (parts_ == 1) return line;
            return (line / block * parts_ + worker) * block + line % block;
        }
        /// Writes all that noclash writes before it inserts.
        static void write(Record& record, const FlowKeys& flow) {
            record.tuples = {flow.original, flow.reply};
            record.marks.store(0, std::memory_order_relaxed);
            for (auto& counter : record.counters) {
                counter.packets.store(0, std::memory_order_relaxed);
                counter.bytes.store(0, std::memory_order_relaxed);
            }
            record.status.store(FlowStatus::setup, std::memory_order_relaxed);
        }
        /// The slot that now holds `entry`; `slots` when the line is full.
        template <Swaps swaps>
        static std::uint32_t insert(Line& line, std::uint32_t entry) {
            std::uint64_t count = line.count.load(std::memory_order_acquire);
            for (;;) {
                if (count == slots) return slots;
                auto& slot = line.entries[count];
                if constexpr (swaps == Swaps::four) {
                    std::uint32_t empty = 0;
                    if (!slot.compare_exchange_strong(empty, entry, std::memory_order_relaxed)) {
                        count = line.count.load(std::memory_order_acquire);
                        continue;
                    }
                    // Only the thread that has taken the next slot may show it.
                    line.count.compare_exchange_strong(count, count + 1, std::memory_order_acq_rel);
                    return static_cast<std::uint32_t>(count);
                } else {
                    if (!line.count.compare_exchange_strong(count, count + 1,
                                                            std::memory_order_acq_rel))
                        continue;
                    slot.store(entry, std::memory_order_relaxed);
                    return static_cast<std::uint32_t>(count);
                }
            }
        }

        std::uint32_t parts_;
        std::size_t part_;  ///< lines of each
        HugeArray<Line> lines_;
        HugeArray<Record> records_;
        TupleHash hash_;
    };

    std::uint32_t flows_;
    Swaps swaps_;
    Lines sharing_;
};

}  // namespace noclash::bench
