// SPDX-License-Identifier: Apache-2.0
#include "tests/schedule/remains.hpp"

#include <algorithm>
#include <string>

#include "tests/schedule/failure.hpp"

namespace noclash::schedule {
namespace {

Left left_of(const Record& record) {
    return {record.status.load(), record.tuples,         record.sum_changes,
            record.rule,          record.expires.load(), record.protocol_state.load(),
            record.marks.load()};
}

/// What counts it may differ, and when the wheel asks whom others hold.
bool is_same(const Record& record, const Left& left) {
    return record.tuples == left.tuples && record.sum_changes == left.sum_changes &&
           record.rule == left.rule && record.protocol_state.load() == left.protocol_state &&
           (left.tuples[0].reserved != 0 || record.expires.load() == left.expires);
}

Found find(Table& table, const Key& key) {
    return table.index().find(key, table.index().hash(key));
}

bool is_live(Table& table, FlowId id) {
    return table.pool()[id].status.load() == FlowStatus::live;
}

std::string name(const Left& left) {
    return "the flow of " + to_string<V4>(left.tuples[0].source) + ":" +
           std::to_string(left.tuples[0].source_port.host()) + " and rule " +
           std::to_string(left.rule);
}

}  // namespace

void Remains::note() {
    left_.clear();
    set_up_ = 0;
    for (std::size_t id = 1; id < records_.size(); ++id) {
        const FlowStatus status = records_[id].status.load();
        if (status == FlowStatus::live || status == FlowStatus::ending)
            left_.push_back(left_of(records_[id]));
        if (status == FlowStatus::setup) ++set_up_;
    }
}

std::optional<FlowId> Remains::find_same(Table& table, const Left& left) {
    const Found found = find(table, left.tuples[0]);
    if (!found || found.direction != Direction::original || !is_live(table, found.flow)) return {};
    if (!is_same(table.pool()[found.flow], left)) return {};
    if (find(table, left.tuples[1]) != Found{found.flow, Direction::reply}) return {};
    return found.flow;
}

void Remains::check(Table& table, const AdoptionCounts& counts, const Lives& lives,
                    std::size_t copies, Events& events) const {
    check_tuples(table);
    check_nothing_else_lives(table);
    for (const Left& left : left_) {
        const bool there = find_same(table, left).has_value();
        if (there) events.saw(Event::adopted);
        if (left.status == FlowStatus::live) {
            if (!there && lives(left)) fail("adopted: " + name(left) + " was live and is lost");
            continue;
        }
        if (there) events.saw(Event::brought_back);
        if (there || !lives(left)) continue;
        if (!find(table, left.tuples[0]) && !find(table, left.tuples[1]))
            fail("adopted: " + name(left) +
                 " was ending and is lost, though nobody has its tuples");
        events.saw(Event::had_ended);
    }
    events.saw(Event::rolled_back, set_up_);
    if (counts.conflicting > copies)
        fail("adopted: two records were live and had a tuple in common");
    if (counts.implausible > 0) fail("adopted: a record that was left is called implausible");
}

void Remains::check_tuples(Table& table) {
    std::size_t live = 0;
    for (FlowId id = 1; id <= table.pool().last_id(); ++id) {
        const Record& record = table.pool()[id];
        if (!is_live(table, id)) {
            if (record.status.load() != FlowStatus::free)
                fail("adopted: record " + std::to_string(id) + " is no flow and not free");
            continue;
        }
        ++live;
        for (const Direction direction : {Direction::original, Direction::reply})
            if (find(table, record.tuple(direction)) != Found{id, direction})
                fail("one owner: a tuple of the adopted flow " + std::to_string(id) +
                     " does not lead to it");
    }
    if (const auto entries = table.index().occupancy().entries; entries != 2 * live)
        fail("one owner: the index shows " + std::to_string(entries) + " entries of " +
             std::to_string(live) + " adopted flows");
}

void Remains::check_nothing_else_lives(Table& table) const {
    for (FlowId id = 1; id <= table.pool().last_id(); ++id) {
        if (!is_live(table, id)) continue;
        if (std::ranges::none_of(left_,
                                 [&](const Left& left) { return is_same(table.pool()[id], left); }))
            fail("adopted: flow " + std::to_string(id) + " lives, which nobody had published");
    }
}

}  // namespace noclash::schedule
