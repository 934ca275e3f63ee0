// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "dpdk/control/flow_walk.hpp"

namespace noclash::dpdk {

/// What becomes of a connection.
enum class Ending : std::uint8_t {
    none,    ///< it lives on
    silent,  ///< it ends, and nobody is told
    resets,  ///< it ends; of TCP, both ends are told by a RST (nat/conntrack/end_segments.hpp)
};

/// What a flush has done.
struct Flushed {
    std::uint64_t ended = 0;  ///< connections
    std::uint64_t reset = 0;  ///< of those, whose ends are told; the segments wait for a worker
    /// Of those, whose ends hear of it when they send something: no worker took it on.
    std::uint64_t untold = 0;
};

/// Whether workers run, and so make room for what tells the ends of connections.
enum class Workers : std::uint8_t { not_yet, run };

/// Ends flows for people: `noclashctl flows flush`, and what a reload ends. One thread at a time
/// does so, since its counters have one writer; any thread reads them.
class FlowFlush {
  public:
    explicit FlowFlush(Gateway& gateway)
        : gateway_(gateway), engine_(gateway.config.workers), mappings_(gateway.config.workers) {}

    /// Ends the connections that match as `ends(view)`, an `Ending`, says; `between()` is called
    /// now and then. No faster than workers send what tells their ends.
    template <class Ends, class Between>
    Flushed flush(const FlowFilter& filter, Ends&& ends, Between&& between,
                  Workers workers = Workers::run) {
        std::unique_lock lock(mutex_, std::try_to_lock);
        for (; !lock; lock.try_lock()) {
            between();
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        Flushed done;
        std::vector<bool> takes(gateway_.config.workers, workers == Workers::run);  // by worker
        const auto each = [&](FlowReader& reader, const FlowView& flow) {
            const Ending ending = flow.is_wildcard() ? Ending::none : ends(flow);
            if (ending == Ending::none) return;
            // Before the flow ends: its RST is to follow at once. A worker that has taken nothing
            // for a second is not waited for again before it takes something.
            const bool tells =
                ending == Ending::resets && await_room(flow.worker, takes[flow.worker], between);
            if (ending == Ending::resets && workers == Workers::run) takes[flow.worker] = tells;
            nat::EndSegments told;
            if (!reader.flush(flow, engine_[flow.worker], mappings_[flow.worker], told)) return;
            ++done.ended;
            if (ending != Ending::resets || told.empty()) return;
            ++(tells ? done.reset : done.untold);
            tell(flow, told, tells);
        };
        for_each_flow(gateway_, filter, each, between);
        if (done.ended > 0) gateway_.flows.hurry_reclamation();
        return done;
    }

    /// Of the flows of a worker that were ended here.
    [[nodiscard]] const EngineCounters& engine(std::size_t worker) const { return engine_[worker]; }
    [[nodiscard]] const nat::MappingCounters& mappings(std::size_t worker) const {
        return mappings_[worker];
    }

  private:
    /// A worker makes room within some milliseconds, if it runs.
    static constexpr int most_waits = 1000;
    static constexpr std::chrono::milliseconds wait{1};

    /// Whether the worker has room for what tells the ends of a flow.
    /// @param waits_for_it  until it has, or has taken nothing for a second
    template <class Between>
    bool await_room(std::size_t worker, bool waits_for_it, Between&& between) {
        const FlowResets& waiting = gateway_.flow_resets[worker];
        const auto has_room = [&] { return waiting.left() >= nat::EndSegments::most; };
        for (int waits = 0; !has_room(); ++waits) {
            if (!waits_for_it || waits == most_waits) return false;
            between();
            std::this_thread::sleep_for(wait);
        }
        return true;
    }

    /// Remembers the ends of a flow that has ended, so that whatever they send is answered.
    /// @param at_once  hands what tells them of it to the flow's worker, too, which has room
    void tell(const FlowView& flow, const nat::EndSegments& told, bool at_once) {
        const std::uint64_t now = now_ms();
        for (const nat::EndSegment& segment : told) {
            const Tuple<V4>& of_end =
                segment.to == Direction::original ? flow.original : flow.reply;
            gateway_.reset_ends.note(gateway_.flows.index().hash(of_end), now);
            if (!at_once) continue;
            const FlowReset reset(of_end.inverse(), segment.numbers);
            if (!gateway_.flow_resets[flow.worker].push(reset)) return;  // never: it has room
        }
    }

    Gateway& gateway_;
    std::mutex mutex_;
    std::vector<EngineCounters> engine_;          ///< by worker
    std::vector<nat::MappingCounters> mappings_;  ///< likewise
};

}  // namespace noclash::dpdk
