// SPDX-License-Identifier: Apache-2.0

// Programs on the flow engine and on the choice of ports that are killed at any of their steps, and
// whose records another world adopts: see second_life.hpp.

#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "tests/schedule/second_life.hpp"

namespace noclash::schedule {
namespace {

constexpr Shape three_workers{3, 6, Collisions::equal};
constexpr Shape two_workers{2, 6, Collisions::equal};
constexpr std::uint32_t wanted_replies = 3;
constexpr std::uint32_t wanted_originals = 6;

/// Everything that may become of a record: set up, given up at each stage, published, ended, and
/// succeeded or revived. Some tuples are everybody's, so that each goes from flow to flow.
void live_and_end(Actor& me) {
    for (int round = 0; round < 4; ++round) {
        const std::uint32_t number = me.random.below(wanted_originals);
        std::array<Key, 2> wanted{reply(me.random.below(wanted_replies)),
                                  reply(me.random.below(wanted_replies))};
        const std::uint32_t act = me.random.below(8);
        if (act == 0)
            me.open(original(number), wanted[0],
                    me.random.one_in(2) ? Until::claimed : Until::reserved);
        else if (act < 4)
            me.open(original(number), wanted);
        else if (act < 6)
            me.succeed(original(number), wanted[0]);
        else
            me.find_and_release(act == 6 ? original(number) : wanted[0]);
        if (me.random.one_in(4)) {
            const Found found = me.find(wanted[1]);
            if (found) me.refresh(found.flow);
        }
        if (me.random.one_in(2)) me.rest();
    }
}

/// Two tuples that are free in turn, never for long: the original of the one flow goes to the next.
void end_and_reopen(Actor& me) {
    for (int round = 0; round < 4; ++round) {
        if (!me.find_and_release(original(0)) || me.random.one_in(2))
            me.open(original(0), reply(me.random.below(2)));
        if (me.random.one_in(3)) me.rest();
    }
}

auto lives_on(const Shape& first, const Shape& later, std::function<void(Actor&)> program) {
    Story<World> story;
    story.first = first;
    story.later = later;
    story.make = [](const Shape& shape, std::uint64_t seed, Record* kept, std::uint64_t now_ms) {
        return std::make_unique<World>(shape, seed, kept, now_ms);
    };
    story.watch = [](World& world) { watch_keys(world, wanted_originals, wanted_replies); };
    story.prepare = [](World& world) {
        for (std::uint32_t i = 0; i < wanted_replies; ++i)
            world.actor(i % 2).open(original(i), reply(i));
    };
    story.program = [program = std::move(program)](World&, Actor& me) { program(me); };
    return [story](std::uint64_t seed, Tracing tracing) {
        return run_two_lives(story, seed, tracing);
    };
}

/// In a damaged memory two live records have a tuple in common. One of them is refused.
RunReport damaged(std::uint64_t seed, Tracing tracing) {
    SeededRandom random(seed);
    Remains remains(World::records_for(three_workers));
    {
        World world(three_workers, seed, remains.records());
        watch_keys(world, wanted_originals, wanted_replies);
        world.take_over(world.adopt());
        for (std::uint32_t i = 0; i < wanted_replies; ++i)
            world.actor(i % 2).open(original(i), reply(i));
    }
    remains.note();
    const Left& one = remains.left()[random.below(wanted_replies)];
    Record& other = remains.records()[1 + random.below(100)];
    other.tuples = {original(wanted_replies), reply(wanted_replies - 1)};
    const std::uint32_t shared = random.below(2);
    other.tuples[shared] = one.tuples[shared];
    other.status.store(FlowStatus::live);

    World world(three_workers, seed, remains.records());
    const Adopted adopted = world.adopt();
    Remains::check_tuples(world.table);
    if (adopted.flows.counts().conflicting == 0)
        fail("adopted: of two records with one tuple none is refused");
    watch_keys(world, wanted_originals, wanted_replies);
    world.take_over(adopted);
    world.check_free_records();
    world.look();
    return run_world(
        world, tracing, [](World&) {}, live_and_end, [](World&) {});
}

}  // namespace

std::vector<Scenario> adoption_scenarios() {
    using enum Event;
    return {
        {"adopted",
         "killed at any step; another world goes on with the flows",
         lives_on(three_workers, three_workers, live_and_end),
         {killed, adopted, rolled_back, brought_back, had_ended, killed_again, succeeded, revived},
         2},
        {"adopted_again",
         "the same, of flows that end and are opened anew at once",
         lives_on(three_workers, three_workers, end_and_reopen),
         {killed, adopted, rolled_back, brought_back, killed_again, claim_lost},
         2},
        {"adopted_by_fewer",
         "the same, in a world with fewer workers and so fewer records",
         lives_on(three_workers, two_workers, live_and_end),
         {killed, adopted, rolled_back, brought_back, had_ended, killed_again},
         2},
        {"adopted_damaged",
         "a world goes on after a memory in which two flows have one tuple",
         damaged,
         {published},
         1},
    };
}

}  // namespace noclash::schedule
