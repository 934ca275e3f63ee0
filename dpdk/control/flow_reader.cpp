// SPDX-License-Identifier: Apache-2.0
#include "dpdk/control/flow_reader.hpp"

#include <algorithm>
#include <bit>
#include <stdexcept>

#include "engine/base/clock.hpp"
#include "nat/mapping/flow_end.hpp"

namespace noclash::dpdk {

FlowReader::FlowReader(Gateway& gateway) : gateway_(gateway), policy_(gateway.policy.hold()) {
    std::uint32_t taken = gateway_.readers_taken.load(std::memory_order_relaxed);
    do {
        place_ = static_cast<unsigned>(std::countr_one(taken));
        if (place_ >= flow_readers) throw std::runtime_error("too many readers at once");
    } while (!gateway_.readers_taken.compare_exchange_weak(taken, taken | (1U << place_),
                                                           std::memory_order_acquire));  // (73)
    reader_ = gateway_.config.workers + place_;
}

FlowReader::~FlowReader() {
    gateway_.readers_taken.fetch_and(~(1U << place_), std::memory_order_release);  // (74)
}

void FlowReader::copy(FlowId first, std::uint32_t count, const FlowFilter& filter,
                      std::vector<FlowView>& out) {
    auto& pool = gateway_.flows.pool();
    const Moment now = to_moment(now_ms());
    const FlowId end = std::min(pool.last_id() + 1, first + count);
    gateway_.flows.quiescence().online(reader_);
    for (FlowId id = first; id < end; ++id) {
        auto& flow = pool[id];
        if (flow.status.load(std::memory_order_acquire) != FlowStatus::live) continue;  // (5)
        FlowView view{};
        view.id = id;
        view.original = flow.tuple(Direction::original);
        view.reply = flow.tuple(Direction::reply);
        for (std::size_t i = 0; i < 2; ++i) {
            view.packets[i] = flow.counters[i].packets.load(std::memory_order_relaxed);
            view.bytes[i] = flow.counters[i].bytes.load(std::memory_order_relaxed);
        }
        view.timeout_ms = ms_between(now, flow.expires.load(std::memory_order_relaxed));
        view.rule = flow.rule;
        view.worker = flow.owner;
        view.protocol_state = flow.protocol_state.load(std::memory_order_relaxed);
        view.marks = flow.marks.load(std::memory_order_relaxed);
        view.references = nat::references(flow).load(std::memory_order_relaxed);
        if (view.is_wildcard() && nat::has_quarantine(flow) && view.references > 0)
            --view.references;  // its own
        if (filter.matches(view)) out.push_back(view);
    }
    gateway_.flows.quiescence().offline(reader_);
}

void FlowReader::mark_names(FlowId first, std::uint32_t count, std::vector<bool>& rules,
                            std::vector<bool>& pools) {
    auto& pool = gateway_.flows.pool();
    const FlowId end = std::min(pool.last_id() + 1, first + count);
    gateway_.flows.quiescence().online(reader_);
    for (FlowId id = first; id < end; ++id) {
        const auto& flow = pool[id];
        const FlowStatus status = flow.status.load(std::memory_order_acquire);  // (5)
        if (status != FlowStatus::live && status != FlowStatus::ending) continue;
        rules[flow.rule] = true;
        if (const auto of_pool = nat::pool_of_mapping(flow.tuple(Direction::original)))
            pools[*of_pool] = true;
    }
    gateway_.flows.quiescence().offline(reader_);
}

bool FlowReader::flush(const FlowView& flow, EngineCounters& counters,
                       nat::MappingCounters& mappings, nat::EndSegments& told) {
    if (flow.is_wildcard()) return false;
    nat::FlowEnd<V4, Production> end(gateway_.flows, gateway_.crowded, gateway_.limits, counters,
                                     mappings);
    gateway_.flows.quiescence().online(reader_);
    auto& record = gateway_.flows.pool()[flow.id];
    const bool same = record.status.load(std::memory_order_acquire) == FlowStatus::live &&  // (5)
                      record.tuple(Direction::original) == flow.original &&
                      record.tuple(Direction::reply) == flow.reply;
    const auto gone = [&, clear_up = end.under(*policy_, now_ms())](Table::Record& gone_by) {
        // No packet finds the flow any more: its numbers stay as they are, but for what packets
        // say that workers have at hand.
        told = nat::end_segments(gone_by, policy_->tcp.window);
        clear_up(gone_by);
    };
    const bool ended = same && gateway_.flows.release(flow.id, counters, gone);
    gateway_.flows.quiescence().offline(reader_);
    return ended;
}

}  // namespace noclash::dpdk
