// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <tuple>

#include "engine/base/free_stack.hpp"
#include "engine/base/huge_array.hpp"
#include "engine/flow.hpp"

namespace noclash {

/// All flow records, laid out at start. Free ones travel between workers in chunks over a lock-free
/// stack; a worker takes single records from a cache of its own (engine/flow_cache.hpp), so that
/// workers share a cache line once in `chunk` set-ups.
///
/// A chunk keeps the ids of its records in some of them, the head and others that the head names:
/// in their second cache lines, which nobody reads while a record is free. So a chunk is known
/// after two cache misses; along a list, each record would be one that waits for the one before.
template <class Family, class Traits>
class FlowPool {
  public:
    using Record = Flow<Family, Traits>;
    static constexpr std::uint32_t chunk = 121;

    /// @param capacity  flows that can live at once
    /// @param slack     records more, for those that lie in workers' caches or wait for reclamation
    FlowPool(std::uint32_t capacity, std::uint32_t slack) : records_(records_for(capacity, slack)) {
        std::array<FlowId, chunk> ids;
        for (auto end = static_cast<FlowId>(records_.size()); end > chunk; end -= chunk) {
            std::iota(ids.rbegin(), ids.rend(), end - chunk);
            push_chunk(ids);
        }
    }
    /// As above, on `records_for(capacity, slack)` records that outlive the process. The pool is
    /// empty until they are adopted (engine/flow_adoption.hpp).
    FlowPool(std::uint32_t capacity, std::uint32_t slack, Record* kept)
        : records_(records_for(capacity, slack), kept) {}

    /// Whole chunks, and one that is none: ids begin at 1.
    [[nodiscard]] static std::size_t records_for(std::uint32_t capacity, std::uint32_t slack) {
        return (std::size_t{capacity} + slack + chunk - 1) / chunk * chunk + 1;
    }
    /// The bytes of memory that a pool takes.
    [[nodiscard]] static std::size_t bytes_for(std::uint32_t capacity, std::uint32_t slack) {
        return HugeArray<Record>::bytes_for(records_for(capacity, slack));
    }

    [[nodiscard]] Record& operator[](FlowId id) { return records_[id]; }
    [[nodiscard]] const Record& operator[](FlowId id) const { return records_[id]; }
    /// Brings the whole record into the cache, to change it.
    void prefetch(FlowId id) const {
        const auto* record = reinterpret_cast<const char*>(&records_[id]);
        for (std::size_t line = 0; line < sizeof(Record); line += 64)
            __builtin_prefetch(record + line, 1, 3);
    }
    /// The same, to the second-level cache, which waits for more lines at once than the first: for
    /// bursts.
    static void prefetch_far(const Record& record) {
        for (std::size_t line = 0; line < sizeof record; line += 64)
            __builtin_prefetch(reinterpret_cast<const char*>(&record) + line, 0, 2);
    }
    /// Ids run from 1 to `last_id()`.
    [[nodiscard]] FlowId last_id() const { return static_cast<FlowId>(records_.size() - 1); }
    [[nodiscard]] std::size_t bytes() const { return records_.bytes(); }

    /// The head of a chunk of free records; `no_flow` when there is none.
    [[nodiscard]] FlowId pop_chunk() {
        const FlowId head = chunks_.pop(pool_link());
        if (head != no_flow) {
            // The stack's new top, as far as we know: the next `pop` reads its link.
            const FlowId next = records_[head].pool_link.load(std::memory_order_relaxed);
            __builtin_prefetch(&records_[next].pool_link, 0, 3);
        }
        return head;
    }
    /// Brings what `unpack` reads into the cache.
    void prefetch_chunk(FlowId head) const {
        Note ids;
        read_note(head, ids);
        for (const FlowId id : std::span(ids).first(notes - 1))
            __builtin_prefetch(&records_[id].counters, 0, 3);
    }
    /// The records of a chunk that was popped.
    void unpack(FlowId head, std::span<FlowId, chunk> ids) const {
        ids[0] = head;
        for (std::size_t i = 0; i < notes; ++i)
            read_note(ids[i], noted_by(i, ids));
    }
    void push_chunk(std::span<const FlowId, chunk> ids) {
        for (std::size_t i = 0; i < notes; ++i)
            write_note(ids[i], noted_by(i, ids));
        chunks_.push(ids[0], pool_link());
    }

  private:
    // A free record notes the ids of others: one in each word of `memory`, two in each
    // counter.
    static constexpr std::size_t words = std::tuple_size_v<decltype(Record::memory)>;
    static constexpr std::size_t note_size = words + 8;
    static constexpr std::size_t notes = (chunk - 1) / note_size;
    static_assert(chunk == 1 + notes * note_size && notes <= 1 + note_size);
    using Note = std::array<FlowId, note_size>;

    /// The ids that the `i`th record of a chunk notes.
    template <class Id>
    static auto noted_by(std::size_t i, std::span<Id, chunk> ids) {
        return ids.subspan(1 + i * note_size).template first<note_size>();
    }

    void write_note(FlowId where, std::span<const FlowId, note_size> ids) {
        Record& record = records_[where];
        for (std::size_t i = 0; i < words; ++i)
            record.memory[i].store(ids[i], std::memory_order_relaxed);
        const auto both = [&](std::size_t i) { return ids[i] | std::uint64_t{ids[i + 1]} << 32U; };
        for (std::size_t i = 0; i < 2; ++i) {
            record.counters[i].packets.store(both(words + 4 * i), std::memory_order_relaxed);
            record.counters[i].bytes.store(both(words + 4 * i + 2), std::memory_order_relaxed);
        }
    }
    void read_note(FlowId where, std::span<FlowId, note_size> ids) const {
        const Record& record = records_[where];
        for (std::size_t i = 0; i < words; ++i)
            ids[i] = record.memory[i].load(std::memory_order_relaxed);
        const auto split = [&](std::size_t i, std::uint64_t both) {
            ids[i] = static_cast<FlowId>(both);
            ids[i + 1] = static_cast<FlowId>(both >> 32U);
        };
        for (std::size_t i = 0; i < 2; ++i) {
            const auto& counter = record.counters[i];
            split(words + 4 * i, counter.packets.load(std::memory_order_relaxed));
            split(words + 4 * i + 2, counter.bytes.load(std::memory_order_relaxed));
        }
    }
    auto pool_link() {
        return [this](FlowId id) -> auto& {
            return records_[id].pool_link;
        };
    }

    HugeArray<Record> records_;
    FreeStack<Traits> chunks_;
};

}  // namespace noclash
