// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "engine/base/clock.hpp"
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
///
/// A tick strings its flows on several lists. The next flow of each can then be fetched while the
/// present ones are looked at; along one list, each flow would be a cache miss that waits for the
/// one before.
template <class Family, class Traits>
class ExpiryWheel {
  public:
    static constexpr std::uint32_t tick_ms = 100;
    static constexpr std::uint32_t ticks = 128;
    static constexpr std::uint32_t recheck_ms = 10'000;
    /// Flows that are looked at together, at most.
    static constexpr std::size_t lists = 16;

    ExpiryWheel(FlowPool<Family, Traits>& pool, std::uint64_t now_ms)
        : pool_(pool), current_tick_(now_ms / tick_ms) {}

    /// Has the flow looked at when `expires` has come, or before. (Inline: each new flow does it.)
    [[gnu::always_inline]] void arm(FlowId id, std::uint64_t now_ms) {
        auto& flow = pool_[id];
        const Moment expires = flow.expires.load(std::memory_order_relaxed);
        // Mostly, as the flow before.
        if (expires != latest_.expires || now_ms != latest_.now_ms)
            latest_ = {expires, due(expires, now_ms), now_ms};
        FlowId& head = ticks_[latest_.due][next_list_++ % lists];
        flow.link = head;
        head = id;
    }

    /// Has every flow looked at soon, whatever its tick: after many were released at once.
    void look_at_all() {
        sweep_ticks_left_ = ticks;
        sweeps_ = true;
    }

    /// Takes out at most `budget` flows whose tick has come and hands them to `look(ids)`, which
    /// arms or retires each.
    template <class Look>
    void advance(std::uint64_t now_ms, std::uint32_t budget, Look&& look) {
        if (sweeps_) [[unlikely]]
            sweep(budget, look);
        const std::uint64_t now_tick = now_ms / tick_ms;
        while (current_tick_ < now_tick && budget > 0) {
            if (!empty(ticks_[current_tick_ % ticks], budget, look)) continue;
            ++current_tick_;
            latest_ = {};
            for (const FlowId head : ticks_[current_tick_ % ticks])
                prefetch(head);
        }
    }

    /// Takes out at most `budget` flows whose tick has not come and hands them to `look(ids)`, as
    /// `advance` does: others at each call, until all had their turn.
    template <class Look>
    void take_some(std::uint32_t budget, Look&& look) {
        for (std::uint32_t i = 0; i < ticks && budget > 0; ++i)
            empty(ticks_[next_taken_++ % ticks], budget, look);
    }

  private:
    static_assert(recheck_ms / tick_ms + 2 < ticks);
    using Lists = std::array<FlowId, lists>;

    /// Where the latest flow was armed.
    struct Armed {
        Moment expires = 0;
        std::uint32_t due = 0;
        std::uint64_t now_ms = ~std::uint64_t{0};  ///< never
    };

    /// The number of the lists that a flow belongs to.
    [[nodiscard]] std::uint32_t due(Moment expires, std::uint64_t now_ms) const {
        const auto wait = static_cast<std::uint64_t>(
            std::clamp(ms_between(to_moment(now_ms), expires), 0, std::int32_t{recheck_ms}));
        // Never into the tick that is being emptied, nor once around the wheel.
        const std::uint64_t tick =
            std::clamp((now_ms + wait) / tick_ms + 1, current_tick_ + 1, current_tick_ + ticks - 1);
        return static_cast<std::uint32_t>(tick % ticks);
    }

    /// Takes the ticks' lists one after the other aside, where nothing is added any more.
    template <class Look>
    void sweep(std::uint32_t& budget, Look&& look) {
        while (budget > 0) {
            if (!empty(sweeping_, budget, look)) continue;
            if (sweep_ticks_left_ == 0) {
                sweeps_ = false;
                return;
            }
            sweeping_ = std::exchange(ticks_[--sweep_ticks_left_], Lists{});
        }
    }

    /// Looks at the first flow of each list. True when there was none left.
    template <class Look>
    bool empty(Lists& heads, std::uint32_t& budget, Look&& look) {
        std::array<FlowId, lists> taken;
        const std::size_t most = std::min<std::size_t>(budget, lists);
        std::size_t count = 0;
        FlowId left = no_flow;
        for (FlowId& head : heads) {
            if (head != no_flow && count < most) {
                taken[count++] = head;
                head = pool_[head].link;
                prefetch(head);
            }
            left |= head;
        }
        budget -= static_cast<std::uint32_t>(count);
        // It arms flows elsewhere: what is left is known before.
        if (count > 0) look(std::span<const FlowId>(taken.data(), count));
        return left == no_flow;
    }

    void prefetch(FlowId id) const { __builtin_prefetch(&pool_[id], 1, 3); }

    FlowPool<Family, Traits>& pool_;
    std::uint64_t current_tick_;
    Armed latest_;
    std::array<Lists, ticks> ticks_{};
    std::uint32_t next_list_ = 0;
    std::uint32_t next_taken_ = 0;
    std::uint32_t sweep_ticks_left_ = 0;
    bool sweeps_ = false;  ///< some ticks are left, or flows of `sweeping_`
    Lists sweeping_{};     ///< a tick's lists, taken aside
};

}  // namespace noclash
