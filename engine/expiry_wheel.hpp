// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "engine/clock.hpp"
#include "engine/flow.hpp"
#include "engine/flow_pool.hpp"

namespace noclash {

/// One worker's timer wheel: 128 ticks of 100 ms, flows linked through `Flow::link`.
///
/// It is lazy. A packet only moves `Flow::expires`, which any worker may do; the wheel's owner
/// looks at a flow when its tick comes and, if its time is not up, puts it back. No flow waits
/// longer than `recheck_ms` to be looked at, so that one whose timeout became shorter (a TCP
/// connection that closed) goes at most so much too late, and one level of ticks is enough for
/// timeouts of days.
template <class Family, class Traits>
class ExpiryWheel {
  public:
    static constexpr std::uint32_t tick_ms = 100;
    static constexpr std::uint32_t ticks = 128;
    static constexpr std::uint32_t recheck_ms = 10'000;

    ExpiryWheel(FlowPool<Family, Traits>& pool, std::uint64_t now_ms)
        : pool_(pool), current_tick_(now_ms / tick_ms) {}

    /// Has the flow looked at when `expires` has come, or before.
    void arm(FlowId id, std::uint64_t now_ms) {
        const Moment expires = pool_[id].expires.load(std::memory_order_relaxed);
        const auto wait = static_cast<std::uint64_t>(
            std::clamp(ms_between(to_moment(now_ms), expires), 0, std::int32_t{recheck_ms}));
        // Not into the tick that is being emptied, and not around the wheel.
        const std::uint64_t due =
            std::clamp((now_ms + wait) / tick_ms + 1, current_tick_ + 1, current_tick_ + ticks - 1);
        FlowId& head = heads_[due % ticks];
        pool_[id].link = head;
        head = id;
    }

    /// Has every flow looked at soon, whatever its tick: after many were released at once.
    void look_at_all() { sweep_ticks_left_ = ticks; }

    /// Takes out at most `budget` flows whose tick has come and hands each to `look(id)`, which
    /// arms or reclaims it.
    template <class Look>
    void advance(std::uint64_t now_ms, std::uint32_t budget, Look&& look) {
        sweep(budget, look);
        const std::uint64_t now_tick = now_ms / tick_ms;
        while (current_tick_ < now_tick) {
            FlowId& head = heads_[current_tick_ % ticks];
            while (head != no_flow) {
                if (budget-- == 0) return;
                const FlowId id = head;
                head = pool_[id].link;
                if (head != no_flow) __builtin_prefetch(&pool_[head], 1, 3);
                look(id);
            }
            ++current_tick_;
        }
    }

  private:
    static_assert(recheck_ms / tick_ms + 2 < ticks);

    /// Takes the ticks' lists one after the other aside, where nothing is added any more.
    template <class Look>
    void sweep(std::uint32_t budget, Look&& look) {
        while (sweep_ticks_left_ > 0 || sweeping_ != no_flow) {
            if (sweeping_ == no_flow) {
                FlowId& head = heads_[--sweep_ticks_left_];
                sweeping_ = head;
                head = no_flow;
                continue;
            }
            if (budget-- == 0) return;
            const FlowId id = sweeping_;
            sweeping_ = pool_[id].link;
            look(id);
        }
    }

    FlowPool<Family, Traits>& pool_;
    std::uint64_t current_tick_;
    std::array<FlowId, ticks> heads_{};
    std::uint32_t sweep_ticks_left_ = 0;
    FlowId sweeping_ = no_flow;  ///< a tick's list, taken aside
};

}  // namespace noclash
