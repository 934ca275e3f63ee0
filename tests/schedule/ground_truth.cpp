// SPDX-License-Identifier: Apache-2.0
#include "tests/schedule/ground_truth.hpp"

#include <algorithm>
#include <string>

#include "tests/schedule/failure.hpp"

namespace noclash::schedule {
namespace {

std::string name(const Key& key) {
    return "tuple " + to_string<V4>(key.source) + ":" + std::to_string(key.source_port.host()) +
           " > " + to_string<V4>(key.destination) + ":" +
           std::to_string(key.destination_port.host()) + " zone " + std::to_string(key.zone);
}

std::string name(Found found) {
    if (!found) return "nobody";
    return "flow " + std::to_string(found.flow) +
           (found.direction == Direction::original ? " (original)" : " (reply)");
}

}  // namespace

GroundTruth::GroundTruth(Table& table, const Scheduler& scheduler, Events& events)
    : table_(table),
      scheduler_(scheduler),
      events_(events),
      flows_(std::size_t{table.pool().last_id()} + 1) {}

void GroundTruth::watch(const Key& key) {
    watched_.push_back({key, table_.index().hash(key), {{{}, 0}}});
}

void GroundTruth::adopts(FlowId id) {
    const Record& record = table_.pool()[id];
    flow(id) = {.phase = Phase::published,
                .tuples = record.tuples,
                .rule = record.rule,
                .owner = record.owner,
                .expires = record.expires.load(),
                .expires_too = {}};
}

auto GroundTruth::at(const Key& key) const -> const Watched& {
    const auto place = std::ranges::find(watched_, key, &Watched::key);
    if (place == watched_.end()) fail(name(key) + " is not watched: a fault of the scenario");
    return *place;
}
auto GroundTruth::at(const Key& key) -> Watched& {
    return const_cast<Watched&>(std::as_const(*this).at(key));
}

FlowId GroundTruth::id_of(const Record& record) const {
    return static_cast<FlowId>(&record - &table_.pool()[0]);
}

void GroundTruth::look() {
    const Unseen unseen;
    std::uint64_t owned = 0;
    for (Watched& watched : watched_) {
        const Found now = table_.index().find(watched.key, watched.hash);
        if (now != watched.spans.back().owner) changed(watched, now);
        if (!now) continue;
        ++owned;
        if (table_.pool()[now.flow].status.load() == FlowStatus::live) check_live(now.flow);
    }
    const std::uint64_t entries = table_.index().occupancy().entries;
    if (entries != owned)
        fail("one owner: the index shows " + std::to_string(entries) + " entries, of which " +
             std::to_string(owned) + " can be found");
    if (entries > BucketHeader::local_slots) events_.saw(Event::shared_slot);
    check_held();
}

void GroundTruth::changed(Watched& watched, Found now) {
    const Found before = watched.spans.back().owner;
    if (before && now && !inherits(before, now))
        fail("one owner: " + name(watched.key) + " went from " + name(before) + " to " + name(now));
    if (before) {
        const Phase phase = flow(before.flow).phase;
        const FlowStatus status = table_.pool()[before.flow].status.load();
        if (phase != Phase::given_up && phase != Phase::ended && status != FlowStatus::ending)
            fail("lost: " + name(watched.key) + " of " + name(before) +
                 " cannot be found any more");
    }
    if (before && now) flow(now.flow).predecessor = before.flow;
    watched.spans.push_back({now, scheduler_.steps()});
}

bool GroundTruth::inherits(Found before, Found now) const {
    const bool announced =
        heirs_.contains({before.flow, now.flow}) || heirs_.contains({no_flow, now.flow});
    return announced && now.direction == Direction::reply && before.direction == Direction::reply &&
           table_.pool()[before.flow].status.load() == FlowStatus::ending;
}

/// A worker that sees `live` sees a complete flow.
void GroundTruth::check_live(FlowId id) {
    const Record& record = table_.pool()[id];
    const Expected& expected = flow(id);
    const auto wrong = [&](const char* what) {
        fail("complete when live: flow " + std::to_string(id) + " is live, but " + what);
    };
    if (expected.phase != Phase::published) wrong("nobody published it");
    if (record.tuples != expected.tuples) wrong("its tuples are not its own");
    if (record.rule != expected.rule) wrong("its rule is not filled in");
    if (record.owner != expected.owner) wrong("its owner is not filled in");
    const Moment expires = record.expires.load();
    if (expires != expected.expires && expires != expected.expires_too)
        wrong("its timeout is not filled in");
    for (const Direction direction : {Direction::original, Direction::reply}) {
        const Key& key = record.tuple(direction);
        if (table_.index().find(key, table_.index().hash(key)) != Found{id, direction})
            wrong("one of its tuples does not lead to it");
    }
}

void GroundTruth::check_held() {
    for (const auto& list : held_) {
        for (const Held& held : list) {
            const Record& record = table_.pool()[held.found.flow];
            if (record.tuple(held.found.direction) != held.key ||
                record.status.load() == FlowStatus::free)
                fail("reuse: " + name(held.found) + " was reclaimed while somebody looked at it");
        }
    }
}

void GroundTruth::inserted(const Key& key, Found me, std::uint64_t since) {
    const Found before = owner(key);
    if (before && before != me)
        fail("one owner: " + name(key) + " was given to " + name(me) + " while " + name(before) +
             " had it");
    look();
    const auto& spans = at(key).spans;
    if (spans.back().owner != me)
        fail("all or nothing: " + name(key) + " was given to " + name(me) + ", but leads to " +
             name(spans.back().owner));
    if (spans.back().from < since) fail(name(key) + " was given to " + name(me) + " twice");
}

void GroundTruth::claimed(FlowId id, const Key& original, std::uint64_t since) {
    Expected& expected = flow(id);
    if (expected.phase == Phase::setup || expected.phase == Phase::published)
        fail("no record twice: flow " + std::to_string(id) + " is in use");
    for (const auto& list : held_)
        for (const Held& held : list)
            if (held.found.flow == id)
                fail("reuse: flow " + std::to_string(id) +
                     " was claimed while somebody looked at the one before");
    if (expected.phase != Phase::unused) events_.saw(Event::reused);
    expected = {};
    std::erase_if(heirs_, [&](const auto& pair) { return pair.first == id || pair.second == id; });
    expected.phase = Phase::setup;
    expected.tuples[0] = original;
    inserted(original, {id, Direction::original}, since);
}

void GroundTruth::reserved(FlowId id, const Key& reply, std::uint64_t since) {
    flow(id).tuples[1] = reply;
    inserted(reply, {id, Direction::reply}, since);
}

template <class Holds>
bool GroundTruth::some_span(const Key& key, std::uint64_t since, Holds&& holds) const {
    const auto& spans = at(key).spans;
    for (std::size_t i = spans.size(); i-- > 0;) {
        if (holds(spans[i].owner)) return true;
        if (spans[i].from <= since) return false;  // it was so at `since` already
    }
    return false;
}

void GroundTruth::refused(const Key& key, Found owner, std::uint64_t since) {
    if (!owner || !some_span(key, since, [&](Found found) { return found == owner; }))
        fail("no false refusal: " + name(key) + " was refused for " + name(owner) +
             ", which did not own it");
}

void GroundTruth::found(const Key& key, Found answer, std::uint64_t since) {
    if (!some_span(key, since, [&](Found found) { return found == answer; }))
        fail("linearizable: a lookup of " + name(key) + " said " + name(answer) +
             ", which was not so at any time");
}

bool GroundTruth::free_since(const Key& key, std::uint64_t since) const {
    return !some_span(key, since, [](Found found) { return static_cast<bool>(found); });
}

void GroundTruth::publishes(FlowId id, std::uint16_t rule, Moment expires, std::uint16_t owner) {
    Expected& expected = flow(id);
    expected.phase = Phase::published;
    expected.rule = rule;
    expected.expires = expires;
    expected.owner = owner;
}

void GroundTruth::hands_over(FlowId from, FlowId to, const Key& reply) {
    heirs_.emplace(from, to);
    flow(to).tuples[1] = reply;
}

void GroundTruth::gives_up(FlowId id) {
    flow(id).phase = Phase::given_up;
}

void GroundTruth::ended(FlowId id) {
    if (flow(id).phase != Phase::published)
        fail("released once: flow " + std::to_string(id) + " was released without being live");
    flow(id).phase = Phase::ended;
    check_gone(id);
}

void GroundTruth::check_gone(FlowId id) {
    look();
    for (const Watched& watched : watched_)
        if (watched.spans.back().owner.flow == id)
            fail("all or nothing: flow " + std::to_string(id) + " is given up or ended, but has " +
                 name(watched.key) + " still");
}

void GroundTruth::holds(unsigned worker, Found found, const Key& key) {
    held_[worker].push_back({found, key});
}

}  // namespace noclash::schedule
