// SPDX-License-Identifier: Apache-2.0
#pragma once

// # Adoption
//
// Flow records may lie in memory that outlives a process. The next process makes them its own
// before its first packet, however the last one ended: killed between any two of its instructions,
// too. Records refer to nothing by address or number of a record, so all else (index, free records,
// wheels) is made anew of them.
//
// ## Why no tuple gets two owners
//
// What a killed process leaves is what each of its threads had stored up to some point of its
// program, and nothing behind that point. So by the status of a record:
//
// * `live`: it was published (4), hence complete; and it had both tuples in the index. For a flow
//   is `ending` (6) before one of its tuples leaves the index or goes to a successor, and a thread
//   that got the tuple afterwards has stored its own record's `live` later still. So no two live
//   records have a tuple in common.
// * `ending`: some thread had begun to end it. It may have had second thoughts (`revive`), its
//   tuples may have gone to another flow, or nothing may have happened yet. So it comes second: it
//   is live again when it is not over by what it says of itself, and when no live record has one of
//   its tuples.
// * `setup`: nobody has used it; it is rolled back. `free`, `dead`, `succeeded`: free.
//
// The index is the judge here, too: each tuple is inserted unless it is there. In a damaged file,
// where live records may share a tuple, one of them is refused.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "engine/base/counters.hpp"
#include "engine/base/parallel.hpp"
#include "engine/flow_table.hpp"

namespace noclash {

/// Records by what became of them.
struct AdoptionCounts {
    std::uint32_t adopted = 0;      ///< live again
    std::uint32_t rolled_back = 0;  ///< were being set up
    std::uint32_t over = 0;         ///< had ended, or their time had come meanwhile
    std::uint32_t conflicting = 0;  ///< another record has one of their tuples
    std::uint32_t orphaned = 0;     ///< a record that they need is not there
    std::uint32_t implausible = 0;  ///< no such record is ever written
};

/// What the layer above says of a record that was live, or ending.
enum class Adoptable : std::uint8_t { yes, over, implausible };

/// Makes the records of a table that lie in kept memory the table's. Used by one thread, before any
/// worker begins; it has all CPUs help.
template <class Family, class Traits = Production>
class FlowAdoption {
  public:
    using Table = FlowTable<Family, Traits>;
    using Record = typename Table::Record;
    static constexpr std::uint32_t chunk = Table::Pool::chunk;

    explicit FlowAdoption(Table& table) : table_(table) {}

    /// Moves the records that may live from behind the first `size` to free places among these.
    /// False when there are not enough; then nothing is lost, and the records do not fit. A process
    /// that is killed meanwhile leaves at worst two copies of a record, one of which is refused.
    [[nodiscard]] static bool fit(std::span<Record> records, std::size_t size) {
        std::size_t place = 1;
        for (std::size_t i = size; i < records.size(); ++i) {
            if (!may_live(status_of(records[i]))) continue;
            while (place < size && may_live(status_of(records[place])))
                ++place;
            if (place >= size) return false;
            copy(records[i], records[place]);
            records[i].status.store(FlowStatus::free, std::memory_order_release);  // (82)
        }
        return true;
    }

    /// Puts the tuples of all records that live on into the index, and frees the others.
    /// @param judge  `judge(record, status)` is `Adoptable`; called from several threads at once,
    ///               it may change the record, and must not throw
    template <class Judge>
    void enter_index(const Judge& judge) {
        std::mutex mutex;
        std::vector<FlowId> ending;
        std::vector<FlowId> refused;
        each_range([&](FlowId first, FlowId last) {
            Part<Judge> part(*this, judge);
            for (FlowId id = first; id <= last; ++id)
                part.look(id);
            part.enter();
            const std::scoped_lock lock(mutex);
            add(counts_, part.counts);
            ending.insert(ending.end(), part.ending.begin(), part.ending.end());
            refused.insert(refused.end(), part.refused.begin(), part.refused.end());
        });
        // While others inserted, an entry that went would have broken the index's own rules.
        for (const FlowId id : refused)
            index().reclaim_slot(removed(id, Direction::original));
        // By number, so that the outcome does not depend on the threads.
        std::ranges::sort(ending);
        for (const FlowId id : ending)
            enter_ending(id, judge);
    }

    /// Calls `each(id, record)` for every adopted record, from several threads at once.
    template <class Each>
    void for_each(const Each& each) const {
        each_range([&](FlowId first, FlowId last) {
            for (FlowId id = first; id <= last; ++id)
                if (is_live(id)) each(id, table_.pool()[id]);
        });
    }
    /// Those of one worker, by the calling thread. Chunks go to the workers in turn.
    template <class Each>
    void for_each_of(std::uint16_t worker, const Each& each) const {
        const FlowId last_id = table_.pool().last_id();
        for (std::uint64_t first = 1 + std::uint64_t{worker} * chunk; first <= last_id;
             first += std::uint64_t{table_.workers()} * chunk)
            for (auto id = static_cast<FlowId>(first); id < first + chunk && id <= last_id; ++id)
                if (is_live(id)) each(id, table_.pool()[id]);
    }

    /// Gives a worker its part: it is the owner of each from now on, and `take(id, record)` has it
    /// in a list of its own. By the calling thread.
    template <class Take>
    void give(std::uint16_t worker, const Take& take) const {
        for_each_of(worker, [&](FlowId id, Record& record) {
            record.owner = static_cast<std::uint8_t>(worker);
            take(id, record);
        });
    }

    /// Frees an adopted record after all. One thread, and no other call meanwhile.
    /// @param reason  the count that it belongs to
    void drop(FlowId id, std::uint32_t AdoptionCounts::*reason) {
        index().reclaim_slot(removed(id, Direction::original));
        index().reclaim_slot(removed(id, Direction::reply));
        table_.pool()[id].status.store(FlowStatus::free, std::memory_order_relaxed);
        --counts_.adopted;
        ++(counts_.*reason);
    }

    /// Hands the free records to the pool. The last call.
    /// @return those that are left over, fewer than a chunk, for the cache of some worker
    [[nodiscard]] std::vector<FlowId> free_the_rest() {
        std::mutex mutex;
        std::vector<FlowId> rest;
        each_range([&](FlowId first, FlowId last) {
            std::vector<FlowId> free;
            for (FlowId id = first; id <= last; ++id) {
                if (is_live(id)) continue;
                free.push_back(id);
                if (free.size() == chunk) push(free);
            }
            const std::scoped_lock lock(mutex);
            for (const FlowId id : free) {
                rest.push_back(id);
                if (rest.size() == chunk) push(rest);
            }
        });
        return rest;
    }

    [[nodiscard]] const AdoptionCounts& counts() const { return counts_; }

  private:
    using Index = typename Table::Index;
    static constexpr std::size_t records_at_once = std::size_t{128} * chunk;

    /// The records that one thread looks at.
    template <class Judge>
    struct Part {
        /// A record whose tuples go into the index next, their buckets being on their way.
        struct Coming {
            FlowId id;
            std::array<std::uint64_t, 2> hashes;
        };

        Part(FlowAdoption& of, const Judge& by) : adoption(of), judge(by) {}

        void look(FlowId id) {
            Record& record = adoption.table_.pool()[id];
            const FlowStatus status = status_of(record);
            if (status == FlowStatus::ending) {
                ending.push_back(id);
                return;
            }
            if (status != FlowStatus::live) {
                count_unused(status);
                record.status.store(FlowStatus::free, std::memory_order_relaxed);
                return;
            }
            if (!adoption.judged(record, judge, counts)) return;
            const auto& index = adoption.index();
            Coming next{id, {}};
            for (std::size_t i = 0; i < 2; ++i) {
                next.hashes[i] = index.hash(record.tuples[i]);
                index.prefetch_for_write(next.hashes[i]);
            }
            coming[count++] = next;
            if (count == coming.size()) enter();
        }
        void enter() {
            for (const Coming& next : std::span(coming).first(count)) {
                const Entered entered = adoption.insert(next.id, next.hashes, engine);
                if (entered == Entered::both) {
                    ++counts.adopted;
                    continue;
                }
                ++counts.conflicting;
                if (entered == Entered::original) refused.push_back(next.id);
            }
            count = 0;
        }
        void count_unused(FlowStatus status) {
            if (status == FlowStatus::setup)
                ++counts.rolled_back;
            else if (status > FlowStatus::succeeded)
                ++counts.implausible;
            else if (status != FlowStatus::free)
                ++counts.over;
        }

        FlowAdoption& adoption;
        const Judge& judge;
        AdoptionCounts counts;
        EngineCounters engine;
        std::vector<FlowId> ending;
        std::vector<FlowId> refused;  ///< whose original tuple is in the index
        std::array<Coming, 32> coming{};
        std::size_t count = 0;
    };

    enum class Entered : std::uint8_t { nothing, original, both };

    static FlowStatus status_of(const Record& record) {
        return record.status.load(std::memory_order_acquire);  // (81)
    }
    static bool may_live(FlowStatus status) {
        return status == FlowStatus::live || status == FlowStatus::ending;
    }
    [[nodiscard]] bool is_live(FlowId id) const {
        return status_of(table_.pool()[id]) == FlowStatus::live;
    }
    [[nodiscard]] Index& index() { return table_.index(); }

    /// Calls `range(first, last)` for parts of all ids, from several threads at once.
    template <class Range>
    void each_range(const Range& range) const {
        const std::size_t records = table_.pool().last_id();
        const std::size_t ranges = (records + records_at_once - 1) / records_at_once;
        parallel_for(ranges, 1, [&](std::size_t begin, std::size_t end) {
            for (std::size_t i = begin; i != end; ++i)
                range(static_cast<FlowId>(i * records_at_once + 1),
                      static_cast<FlowId>(std::min(records, (i + 1) * records_at_once)));
        });
    }

    template <class Judge>
    [[nodiscard]] bool judged(Record& record, const Judge& judge, AdoptionCounts& counts) {
        const Adoptable judgement = judge(record, status_of(record));
        if (judgement == Adoptable::yes) return true;
        ++(judgement == Adoptable::over ? counts.over : counts.implausible);
        record.status.store(FlowStatus::free, std::memory_order_relaxed);
        return false;
    }

    /// Frees the record when a tuple is taken; its original one stays in the index then, if it came
    /// so far.
    [[nodiscard]] Entered insert(FlowId id, std::span<const std::uint64_t, 2> hashes,
                                 EngineCounters& engine) {
        Record& record = table_.pool()[id];
        for (std::size_t i = 0; i < 2; ++i) {
            const auto result =
                index().insert(id, static_cast<Direction>(i), record.tuples[i], hashes[i], engine);
            if (result.error != SetupError::none) {
                record.status.store(FlowStatus::free, std::memory_order_relaxed);
                return i == 0 ? Entered::nothing : Entered::original;
            }
            record.places[i] = result.place;
        }
        return Entered::both;
    }

    template <class Judge>
    void enter_ending(FlowId id, const Judge& judge) {
        Record& record = table_.pool()[id];
        if (!judged(record, judge, counts_)) return;
        const std::array hashes{index().hash(record.tuples[0]), index().hash(record.tuples[1])};
        EngineCounters engine;
        const Entered entered = insert(id, hashes, engine);
        if (entered == Entered::original) index().reclaim_slot(removed(id, Direction::original));
        if (entered != Entered::both) {
            ++counts_.over;  // somebody else has got its tuple: it had ended
            return;
        }
        record.status.store(FlowStatus::live, std::memory_order_relaxed);
        ++counts_.adopted;
    }

    /// The place of an entry that nobody can see any more.
    IndexPlace removed(FlowId id, Direction direction) {
        const IndexPlace place = table_.pool()[id].place(direction);
        index().remove(place);
        return place;
    }

    void push(std::vector<FlowId>& ids) {
        table_.pool().push_chunk(std::span<const FlowId, chunk>(ids.data(), chunk));
        ids.clear();
    }

    static void copy(const Record& from, Record& to) {
        const auto same = [](const auto& one, auto& other) {
            other.store(one.load(std::memory_order_relaxed), std::memory_order_relaxed);
        };
        to.tuples = from.tuples;
        same(from.expires, to.expires);
        same(from.protocol_state, to.protocol_state);
        same(from.marks, to.marks);
        same(from.protocol_detail, to.protocol_detail);
        to.rule = from.rule;
        to.owner = from.owner;
        to.opening_detail = from.opening_detail;
        to.sum_changes = from.sum_changes;
        same(from.protocol_word, to.protocol_word);
        same(from.pool_link, to.pool_link);
        for (std::size_t i = 0; i < 2; ++i) {
            same(from.counters[i].packets, to.counters[i].packets);
            same(from.counters[i].bytes, to.counters[i].bytes);
        }
        for (std::size_t i = 0; i < to.memory.size(); ++i)
            same(from.memory[i], to.memory[i]);
        // Complete before it is live.
        to.status.store(status_of(from), std::memory_order_release);  // (82)
    }

    static void add(AdoptionCounts& sum, const AdoptionCounts& part) {
        sum.adopted += part.adopted;
        sum.rolled_back += part.rolled_back;
        sum.over += part.over;
        sum.conflicting += part.conflicting;
        sum.orphaned += part.orphaned;
        sum.implausible += part.implausible;
    }

    Table& table_;
    AdoptionCounts counts_;
};

}  // namespace noclash
