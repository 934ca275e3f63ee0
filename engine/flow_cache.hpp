// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "engine/flow.hpp"
#include "engine/flow_pool.hpp"

namespace noclash {

/// One worker's free records: at most three chunks. Their ids lie side by side, not in a list from
/// record to record, so that records can be fetched some set-ups before they are taken, in whatever
/// order they came back.
template <class Family, class Traits>
class FlowCache {
  public:
    using Pool = FlowPool<Family, Traits>;

    explicit FlowCache(Pool& pool) : pool_(pool) {}

    /// `no_flow` when the whole pool is empty.
    [[nodiscard]] FlowId take() {
        if (count_ == 0) [[unlikely]] {
            restock();
            if (count_ == 0) return no_flow;
        }
        const FlowId id = ids_[ahead + --count_];
        pool_.prefetch(ids_[count_]);  // for the set-up after `ahead` others
        if (count_ % ahead == 0) [[unlikely]]
            restock();
        return id;
    }

    void give(FlowId id) {
        if (count_ == most) [[unlikely]]
            spill();
        ids_[ahead + count_++] = id;
    }

  private:
    /// Some 1 us of set-ups: several times what memory takes.
    static constexpr std::uint32_t ahead = 8;
    static constexpr std::uint32_t most = 2 * Pool::chunk;

    /// Asks for the next chunk before it is needed, and then for where its ids stand: two cache
    /// misses, one after the other.
    [[gnu::noinline]] void restock() {
        if (count_ > 2 * ahead) return;
        if (next_ == no_flow) {
            next_ = pool_.pop_chunk();
            if (next_ == no_flow) return;
            pool_.prefetch_chunk(next_);
        }
        if (count_ > ahead) return;
        // Below those that are left, which have been fetched.
        const auto free = ids_.begin() + ahead;
        std::copy_backward(free, free + count_, free + count_ + Pool::chunk);
        pool_.unpack(std::exchange(next_, no_flow),
                     std::span<FlowId, Pool::chunk>(free, Pool::chunk));
        count_ += Pool::chunk;
    }

    /// The records that came back first go to the pool.
    [[gnu::noinline]] void spill() {
        const auto free = ids_.begin() + ahead;
        pool_.push_chunk(std::span<const FlowId, Pool::chunk>(free, Pool::chunk));
        std::copy(free + Pool::chunk, free + most, free);
        count_ -= Pool::chunk;
    }

    Pool& pool_;
    std::uint32_t count_ = 0;
    FlowId next_ = no_flow;  ///< a chunk that is on its way into the cache
    /// `ahead` times `no_flow`, and the ids of `count_` free records: the last is taken first.
    std::array<FlowId, ahead + most> ids_{};
};

}  // namespace noclash
