// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/flow.hpp"
#include "engine/flow_pool.hpp"

namespace noclash {

/// How the flows of a list that nobody else has in a list are linked.
struct OwnerLink {
    template <class Record>
    static void set(Record& flow, FlowId next) {
        flow.link = next;
    }
    template <class Record>
    [[nodiscard]] static FlowId get(const Record& flow) {
        return flow.link;
    }
};

/// One worker's flows that nobody can find any more but somebody may still be reading. They wait in
/// two lists, an open one that collects and a closed one for which a grace period runs, so that one
/// grace period serves many flows.
template <class Family, class Traits, class Link = OwnerLink>
class Retired {
  public:
    Retired(FlowPool<Family, Traits>& pool, typename Traits::Quiescence& quiescence)
        : pool_(pool), quiescence_(quiescence) {}

    void add(FlowId id) {
        Link::set(pool_[id], open_);
        open_ = id;
        ++size_;
    }

    /// Flows that wait.
    [[nodiscard]] std::uint32_t size() const { return size_; }

    /// Flows that are reclaimed together, at most.
    static constexpr std::size_t together = 16;

    /// Hands at most `budget` flows whose grace period is over to `reclaim(ids)`. Never waits.
    template <class Reclaim>
    void collect(std::uint32_t budget, Reclaim&& reclaim) {
        if (closed_ == no_flow) {
            if (open_ == no_flow) return;
            closed_ = open_;
            open_ = no_flow;
            token_ = quiescence_.start();
            passed_ = false;
        }
        if (!passed_) passed_ = quiescence_.passed(token_);
        if (!passed_) return;
        while (closed_ != no_flow && budget > 0) {
            std::array<FlowId, together> ids;
            std::size_t count = 0;
            for (; closed_ != no_flow && count < ids.size() && budget > 0; --budget) {
                ids[count++] = closed_;
                closed_ = Link::get(pool_[closed_]);
            }
            size_ -= static_cast<std::uint32_t>(count);
            reclaim(std::span<const FlowId>(ids.data(), count));
        }
    }

  private:
    FlowPool<Family, Traits>& pool_;
    typename Traits::Quiescence& quiescence_;
    FlowId open_ = no_flow;
    FlowId closed_ = no_flow;
    std::uint64_t token_ = 0;
    bool passed_ = false;
    std::uint32_t size_ = 0;
};

}  // namespace noclash
