// SPDX-License-Identifier: Apache-2.0

// Programs on the flow engine. Each is short: a fault that needs a rare moment is found by many
// short runs rather than by a long one.

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "tests/schedule/failure.hpp"
#include "tests/schedule/run_world.hpp"

namespace noclash::schedule {
namespace {

constexpr Shape equal_tags{3, 2, Collisions::equal};
constexpr Shape one_bucket{3, 2, Collisions::one_bucket};
constexpr Shape four_workers{4, 2, Collisions::one_bucket};
constexpr Shape two_buckets{3, 5, Collisions::two_buckets};

/// The same first packet on every worker, each with a proposal of its own; the losers look whose
/// flow it became.
void same_original(Actor& me) {
    for (int round = 0; round < 2; ++round) {
        const FlowId mine = me.open(original(0), reply(me.id()));
        const Found found = me.find(original(0));
        if (mine != no_flow && found.flow != mine) fail("a flow of one's own is not found");
        if (mine != no_flow && me.random.one_in(2)) me.release(mine);
        me.rest();
    }
}

/// Different connections to one server that want the same two tuples: one of three goes without.
void same_reply(Actor& me) {
    std::array<Key, 2> wanted{reply(0), reply(1)};
    if (me.random.one_in(2)) std::swap(wanted[0], wanted[1]);
    for (int round = 0; round < 2; ++round) {
        const FlowId mine = me.open(original(me.id()), wanted);
        me.find(wanted[0]);
        if (mine != no_flow && me.random.one_in(2)) me.release(mine);
        me.rest();
    }
}

/// One gives up what it claimed, at either stage; one wants the same; one looks.
void give_up(Actor& me) {
    for (int round = 0; round < 3; ++round) {
        if (me.id() == 0) {
            me.open(original(0), reply(0), me.random.one_in(2) ? Until::claimed : Until::reserved);
        } else if (me.id() == 1) {
            if (me.open(original(0), reply(0)) != no_flow) me.find_and_release(reply(0));
        } else {
            me.find(original(0));
            me.find(reply(0));
        }
        me.rest();
    }
}

/// A flow ends while it is looked up, and the same tuple is wanted again.
void release_and_reopen(Actor& me) {
    for (int round = 0; round < 4; ++round) {
        if (me.id() == 0 || me.random.one_in(4)) {
            me.find_and_release(original(0));
        } else if (me.id() == 1) {
            me.find(original(0));
            me.find(reply(0));
        } else {
            me.open(original(0), reply(0));
        }
        if (!me.random.one_in(3)) me.rest();
    }
}

/// Flows come and go so fast that records and slots are used again and again, with neighbours in
/// the same bucket.
void recycle(Actor& me) {
    for (int round = 0; round < 5; ++round) {
        const std::uint32_t number = me.random.below(2);
        const Until until = me.random.one_in(4) ? Until::reserved : Until::published;
        const FlowId mine = me.open(original(number), reply(me.random.below(2)), until);
        if (mine == no_flow)
            me.find_and_release(original(number));
        else if (me.random.one_in(2))
            me.release(mine);
        if (!me.random.one_in(4)) me.rest();
    }
}

/// A bucket with a few slots of its own left: some of what comes has to go into the shared ones,
/// and some finds no room.
void overflow(Actor& me) {
    for (std::uint32_t round = 0; round < 2; ++round) {
        const std::uint32_t number = 7 + me.id() * 2 + round;
        me.open(original(number), reply(number));
        me.find(original(me.random.below(7)));
        if (me.random.one_in(2)) me.find_and_release(original(me.random.below(13)));
        if (me.random.one_in(2)) me.rest();
    }
}

/// Two buckets, both full, that want the same shared slots.
void share_slots(Actor& me) {
    for (std::uint32_t round = 0; round < 2; ++round) {
        const auto zone = static_cast<std::uint16_t>((me.id() + round) % 2);
        const std::uint32_t number = 7 + me.id() + 3 * round;
        const FlowId mine = me.open(original(number, zone), reply(number, zone));
        me.find(reply(number, static_cast<std::uint16_t>(1 - zone)));
        if (mine != no_flow && me.random.one_in(2)) me.release(mine);
        if (me.random.one_in(2)) me.rest();
    }
}

/// Flows whose time is up, on their owner's wheel, while others end them or send a packet.
void expire(Actor& me) {
    for (std::uint32_t round = 0; round < 4; ++round) {
        if (me.id() == 1) {
            me.find_and_release(original(round % 3));
        } else {
            const Found found = me.find(original((round + 1) % 3));
            if (found) me.refresh(found.flow);
            me.open(original(round % 3), reply(3));
        }
        me.rest();
        if (me.id() == 0) me.rest();
    }
}

/// One tuple goes from flow to flow and always has an owner, while others end its flows, look them
/// up and want the tuple for themselves.
void succession(Actor& me) {
    for (std::uint32_t round = 0; round < 4; ++round) {
        const std::uint32_t number = 1 + me.id() * 2 + round % 2;
        if (me.succeed(original(number), reply(0)) == no_flow && me.random.one_in(2))
            me.open(original(number), reply(0));
        if (me.random.one_in(4)) me.find_and_release(reply(0));
        if (me.random.one_in(4)) me.find(original(number));
        if (!me.random.one_in(3)) me.rest();
    }
}

/// A worker may stop in the middle of a release, just when the flow's owner comes to it in its
/// wheel; a third worker finds the flow in between, and looks at it to the end.
void release_half_done(Actor& me) {
    if (me.id() == 0) {
        for (int round = 0; round < 6; ++round)
            me.rest();
    } else if (me.id() == 1) {
        me.find_and_release(original(0));
        me.rest();
    } else {
        me.rest();
        me.find(original(0));
        me.find(reply(0));
    }
}

/// Records go round between the workers' caches over the pool's stack, more than two chunks at
/// once.
void free_records(Actor& me) {
    constexpr std::size_t chunk = FlowPool<V4, Scheduled>::chunk;
    constexpr std::size_t most = 5 * chunk / 2;
    const auto mark = [&](FlowId id, FlowStatus from, FlowStatus to) {
        const Unseen unseen;
        auto& status = me.engine().record(id).status;
        if (status.load() != from)
            fail("no record twice: " + std::to_string(id) + " was given out twice");
        status.store(to);
    };
    std::vector<FlowId> mine;
    for (int round = 0; round < 4; ++round) {
        const Operation operation(me, "to take and give records", 6 * chunk);
        const std::size_t wanted = chunk + 2 + me.random.below(most - chunk - 2);
        while (mine.size() < wanted) {
            mine.push_back(me.engine().take_record());
            if (mine.back() == no_flow) fail("no leak: no record is left");
            mark(mine.back(), FlowStatus::free, FlowStatus::setup);
        }
        for (; !mine.empty(); mine.pop_back()) {
            mark(mine.back(), FlowStatus::setup, FlowStatus::free);
            me.engine().give_back_record(mine.back());
        }
    }
}

void two_tuples(World& world) {
    watch_keys(world, 1, world.shape.workers);
}
void three_of_each(World& world) {
    watch_keys(world, 3, 2);
}
void one_flow(World& world) {
    watch_keys(world, 1, 1);
    world.actor(0).open(original(0), reply(0));
}
void one_flow_of_many(World& world) {
    watch_keys(world, 1 + 2 * world.shape.workers, 1);
    world.actor(0).open(original(0), reply(0));
}
void flow_to_expire(World& world) {
    one_flow(world);
    world.now_ms += 2 * Actor::lifetime_ms;
}
void two_of_each(World& world) {
    watch_keys(world, 2, 2);
}
void seven_flows(World& world) {
    watch_keys(world, 13, 13);
    for (std::uint32_t i = 0; i < 7; ++i)
        world.actor(i % 3).open(original(i), reply(i));
}
void two_full_buckets(World& world) {
    watch_keys(world, 13, 13, 2);
    for (std::uint16_t zone = 0; zone < 2; ++zone)
        for (std::uint32_t i = 0; i < 7; ++i)
            world.actor(i % 3).open(original(i, zone), reply(i, zone));
}
void three_flows(World& world) {
    watch_keys(world, 3, 4);
    for (std::uint32_t i = 0; i < 3; ++i)
        world.actor(0).open(original(i), reply(i));
}
void no_flows(World&) {}

}  // namespace

std::vector<Scenario> engine_scenarios() {
    using enum Event;
    return {
        {"same_original",
         "one first packet on every worker",
         runs(one_bucket, two_tuples, same_original),
         {published, claim_lost, found_setup, scan_again}},
        {"same_original_four",
         "the same, four workers",
         runs(four_workers, two_tuples, same_original),
         {published, claim_lost, scan_again},
         2},
        {"same_reply",
         "several connections that want the same reply tuples",
         runs(equal_tags, three_of_each, same_reply),
         {published, reserve_lost, gave_up, scan_again}},
        {"give_up",
         "set-ups given up beside one that is not",
         runs(equal_tags, two_of_each, give_up),
         {published, claim_lost, gave_up, found_setup, reused}},
        {"release_and_reopen",
         "a flow ends, is looked up, and is wanted again",
         runs(equal_tags, one_flow, release_and_reopen),
         {published, claim_lost, found_ending, release_lost}},
        {"recycle",
         "records and slots used again and again",
         runs(equal_tags, two_of_each, recycle),
         {published, claim_lost, reserve_lost, gave_up, release_lost, reused, scan_again}},
        {"overflow",
         "a bucket overflows into shared slots",
         runs(one_bucket, seven_flows, overflow),
         {shared_slot, bucket_full, scan_again},
         2},
        {"share_slots",
         "two full buckets share slots",
         runs(two_buckets, two_full_buckets, share_slots),
         {shared_slot, published},
         2},
        {"expire",
         "timeouts beside releases and packets",
         runs(equal_tags, three_flows, expire),
         {expired, refreshed, release_lost, reused, found_ending}},
        {"release_half_done",
         "an owner comes to a flow that another worker is releasing",
         runs(equal_tags, flow_to_expire, release_half_done),
         {expired, release_lost, found_ending},
         12},
        {"succession",
         "a tuple goes from flow to flow without a moment between",
         runs(equal_tags, one_flow_of_many, succession),
         {published, claim_lost, succeeded, revived, found_ending, release_lost, reused}},
        {"free_records",
         "records through the pool's stack",
         runs(equal_tags, no_flows, free_records),
         {},
         2},
    };
}

}  // namespace noclash::schedule
