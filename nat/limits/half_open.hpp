// SPDX-License-Identifier: Apache-2.0
#pragma once

// # Half-open connections from outside
//
// A SYN from a forged source makes a flow that nobody will ever finish, and that lives for minutes.
// So TCP connections that may come from outside (to a service, to a static mapping, to a mapping
// that lets strangers in, or forwarded as they are) are kept here, and not in the timer wheel,
// until they are established or over: in one list for each rule, in the order in which they began.
// So the oldest is at hand where room is needed:
//
// * All together may take a share of the table, and leave the rest to others. Beyond it, the oldest
//   one of the rule that has the most has to go.
// * A service whose bound is reached, or which has no port left towards its backends, gives up its
//   own oldest one for the new one.
//
// An honest client answers within a round trip. So it gets its connection as long as its list does
// not turn over within one: with 50,000 places and as many SYNs a second, that takes a second. What
// has become of a connection is found out when it is looked at: where room is needed, and once a
// second. Those that are not half open any more go to the wheel.
//
// Each worker has the flows that it has set up, and its part of the share. Nothing here is shared,
// and the flow's own link is the list's, as it would be the wheel's.

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "engine/base/clock.hpp"
#include "engine/base/counters.hpp"
#include "engine/flow_worker.hpp"
#include "nat/limits/limits.hpp"

namespace noclash::nat {

/// One per worker, used by it alone; the counter may be read by anyone. `gone(record)` as in
/// `FlowTable::release`.
template <class Family, class Traits>
class HalfOpen {
  public:
    using Worker = FlowWorker<Family, Traits>;
    using Record = typename Worker::Record;

    /// How often each is looked at without need.
    static constexpr std::uint64_t pass_ms = 1000;
    /// A rule with fewer gives none up for a port: they may well be honest.
    static constexpr std::uint32_t crowd = 256;

    /// @param rules  how many may have a number
    HalfOpen(Worker& worker, std::size_t rules) : worker_(worker), lists_(rules) {}

    // What `take` will write: where rules are many, each has a list that was not used for long.
    void prefetch(std::size_t rule) const { __builtin_prefetch(&lists_[rule], 1, 3); }
    /// Worth it a little after `prefetch`.
    void prefetch_last(std::size_t rule) const {
        __builtin_prefetch(&worker_.record(lists_[rule].tail), 1, 3);
    }

    /// Takes in a flow that has just been published, and that the wheel does not hold.
    /// @param percent  of the table that those of all workers may take; 0: no bound
    template <class Gone>
    void take(FlowId id, std::uint32_t percent, std::uint64_t now_ms, Gone&& gone) {
        Record& flow = worker_.record(id);
        List& list = lists_[flow.rule];
        used_ = std::max<std::size_t>(used_, flow.rule + 1U);
        flow.link = no_flow;
        if (list.tail == no_flow)
            list.head = id;
        else
            worker_.record(list.tail).link = id;
        list.tail = id;
        ++list.length;
        ++length_;
        if (list.length > lists_[longest_].length) longest_ = flow.rule;
        if (over(percent)) [[unlikely]]
            end_first(longest_, now_ms, gone);
    }

    /// Ends the oldest one of a rule that is half open, so that a new one can have its place. False
    /// when there was none among the first. Its record can be taken after a grace period.
    template <class Gone>
    bool end_oldest(std::size_t rule, std::uint64_t now_ms, Gone&& gone) {
        for (std::uint32_t looks = 0; looks < most_looks && lists_[rule].head != no_flow; ++looks)
            if (end_first(rule, now_ms, gone)) return true;
        return false;
    }
    /// The same for its port, when the rule's connections may have taken the most of them.
    template <class Gone>
    bool end_crowded(std::size_t rule, std::uint64_t now_ms, Gone&& gone) {
        return lists_[rule].length >= crowd && end_oldest(rule, now_ms, gone);
    }

    /// The same for any place in the table.
    template <class Gone>
    bool end_longest(std::uint64_t now_ms, Gone&& gone) {
        return end_oldest(longest_, now_ms, gone);
    }

    /// Between bursts: looks at no more than `budget`, and at each about once a second.
    template <class Gone>
    void maintain(std::uint64_t now_ms, std::uint32_t budget, Gone&& gone) {
        if (const std::uint32_t flushes = worker_.table().flushes(); flushes != flushes_seen_) {
            flushes_seen_ = flushes;
            next_pass_ms_ = now_ms;
        }
        if (pass_.rule >= used_) {
            if (now_ms < next_pass_ms_ || length_ == 0) return;
            next_pass_ms_ = now_ms + pass_ms;
            pass_ = {0, no_flow, lists_[0].head};
        }
        for (; budget > 0 && pass_.rule < used_; --budget)
            step(now_ms, gone);
    }

    /// Connections that had to go, half open.
    [[nodiscard]] const Counter& ended() const { return ended_; }
    /// How many are kept here: of all rules, of one.
    [[nodiscard]] std::uint32_t length() const { return length_; }
    [[nodiscard]] std::uint32_t length(std::size_t rule) const { return lists_[rule].length; }

  private:
    static constexpr std::uint32_t most_looks = 64;

    struct List {
        FlowId head = no_flow;
        FlowId tail = no_flow;
        std::uint32_t length = 0;
    };
    /// How far the present pass has come.
    struct Pass {
        std::size_t rule;
        FlowId before;  ///< the one in front of `next` in its list
        FlowId next;
    };

    /// Whether they are more than this worker's part of the share. One may always be there.
    [[nodiscard]] bool over(std::uint32_t percent) const {
        const auto& table = worker_.table();
        return percent != 0 && length_ > 1 &&
               std::uint64_t{length_} * 100 * table.workers() >
                   std::uint64_t{table.capacity()} * percent;
    }

    [[nodiscard]] static bool stays(const Record& flow, std::uint64_t now_ms) {
        const Moment expires = flow.expires.load(std::memory_order_relaxed);
        return flow.status.load(std::memory_order_acquire) == FlowStatus::live &&  // (5)
               is_half_open(flow) && ms_between(to_moment(now_ms), expires) > 0;
    }

    /// Takes the first one out of its list, which is not empty. True when it was half open, and has
    /// ended.
    template <class Gone>
    bool end_first(std::size_t rule, std::uint64_t now_ms, Gone&& gone) {
        const FlowId id = lists_[rule].head;
        assert(id != no_flow);
        take_out(rule, no_flow, id);
        if (!stays(worker_.record(id), now_ms)) {
            hand_on(id, now_ms, gone);
            return false;
        }
        ended_.add();
        return worker_.end_held(id, now_ms, gone);
    }

    /// Looks at one flow of the pass, or goes on to the next list.
    template <class Gone>
    void step(std::uint64_t now_ms, Gone&& gone) {
        const FlowId id = pass_.next;
        if (id == no_flow) {
            if (++pass_.rule < used_) pass_ = {pass_.rule, no_flow, lists_[pass_.rule].head};
            return;
        }
        const Record& flow = worker_.record(id);
        __builtin_prefetch(&worker_.record(flow.link), 1, 3);
        if (stays(flow, now_ms)) {
            pass_ = {pass_.rule, id, flow.link};
            return;
        }
        take_out(pass_.rule, pass_.before, id);
        hand_on(id, now_ms, gone);
    }

    /// @param before  the one in front of it, or `no_flow` when it is the first
    void take_out(std::size_t rule, FlowId before, FlowId id) {
        List& list = lists_[rule];
        const FlowId next = worker_.record(id).link;
        if (before == no_flow)
            list.head = next;
        else
            worker_.record(before).link = next;
        if (list.tail == id) list.tail = before;
        --list.length;
        --length_;
        if (pass_.next == id) pass_.next = next;
        if (pass_.before == id) pass_.before = no_flow;
    }

    /// A flow that is not half open any more, and in no list.
    template <class Gone>
    void hand_on(FlowId id, std::uint64_t now_ms, Gone&& gone) {
        const Record& flow = worker_.record(id);
        const Moment expires = flow.expires.load(std::memory_order_relaxed);
        if (flow.status.load(std::memory_order_acquire) == FlowStatus::live &&  // (5)
            ms_between(to_moment(now_ms), expires) > 0)
            worker_.arm(id, now_ms);
        else
            worker_.end_held(id, now_ms, gone);
    }

    Worker& worker_;
    std::vector<List> lists_;         ///< by rule
    std::size_t used_ = 0;            ///< lists that any flow was in: those before
    std::uint32_t length_ = 0;        ///< of all lists
    std::size_t longest_ = 0;         ///< the rule of the longest list, nearly always
    Pass pass_{0, no_flow, no_flow};  ///< over, when its rule has no list in use
    std::uint64_t next_pass_ms_ = 0;
    std::uint32_t flushes_seen_ = 0;
    Counter ended_;
};

}  // namespace noclash::nat
