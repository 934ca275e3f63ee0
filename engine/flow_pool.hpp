// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "engine/flow.hpp"
#include "engine/free_stack.hpp"
#include "engine/huge_array.hpp"

namespace noclash {

/// All flow records, laid out at start. Free ones travel between workers in chunks over a lock-free
/// stack; a worker takes single records from a cache of its own (`FlowCache`), so that workers
/// share a cache line once in `chunk` set-ups.
template <class Family, class Traits>
class FlowPool {
  public:
    using Record = Flow<Family, Traits>;
    static constexpr std::uint32_t chunk = 32;

    /// @param capacity  flows that can live at once
    /// @param slack     records more, for those that lie in workers' caches or wait for reclamation
    FlowPool(std::uint32_t capacity, std::uint32_t slack) : records_(round(capacity + slack) + 1) {
        for (auto first = static_cast<std::uint32_t>(records_.size() - chunk); first >= 1;
             first -= std::min(first, chunk)) {
            for (std::uint32_t i = 0; i < chunk; ++i)
                records_[first + i].link = i + 1 < chunk ? first + i + 1 : no_flow;
            push_chunk(first);
        }
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
    void prefetch_far(FlowId id) const {
        const auto* record = reinterpret_cast<const char*>(&records_[id]);
        for (std::size_t line = 0; line < sizeof(Record); line += 64)
            __builtin_prefetch(record + line, 0, 2);
    }
    /// Ids run from 1 to `last_id()`.
    [[nodiscard]] FlowId last_id() const { return static_cast<FlowId>(records_.size() - 1); }
    [[nodiscard]] std::size_t bytes() const { return records_.bytes(); }

    /// A list of `chunk` free records, linked by `link`; `no_flow` when there is none.
    [[nodiscard]] FlowId pop_chunk() { return chunks_.pop(pool_link()); }
    void push_chunk(FlowId head) { chunks_.push(head, pool_link()); }

  private:
    static std::uint32_t round(std::uint32_t n) { return (n + chunk - 1) / chunk * chunk; }
    auto pool_link() {
        return [this](FlowId id) -> auto& {
            return records_[id].pool_link;
        };
    }

    HugeArray<Record> records_;
    FreeStack<Traits> chunks_;
};

/// One worker's free records: at most two chunks.
template <class Family, class Traits>
class FlowCache {
  public:
    using Pool = FlowPool<Family, Traits>;

    explicit FlowCache(Pool& pool) : pool_(pool) {}

    /// `no_flow` when the whole pool is empty.
    [[nodiscard]] FlowId take() {
        if (current_ == no_flow) {
            current_ = spare_ != no_flow ? spare_ : pool_.pop_chunk();
            spare_ = no_flow;
            if (current_ == no_flow) return no_flow;
            count_ = Pool::chunk;
        }
        const FlowId id = current_;
        current_ = pool_[id].link;
        pool_.prefetch(current_);  // for the next set-up
        --count_;
        return id;
    }

    void give(FlowId id) {
        if (count_ == Pool::chunk) {
            if (spare_ != no_flow) pool_.push_chunk(spare_);
            spare_ = current_;
            current_ = no_flow;
            count_ = 0;
        }
        pool_[id].link = current_;
        current_ = id;
        ++count_;
    }

  private:
    Pool& pool_;
    FlowId current_ = no_flow;  ///< a list of `count_` records
    FlowId spare_ = no_flow;    ///< a whole chunk, or none
    std::uint32_t count_ = 0;
};

}  // namespace noclash
