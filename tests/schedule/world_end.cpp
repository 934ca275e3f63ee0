// SPDX-License-Identifier: Apache-2.0

// The conditions when every worker has come to the end of its program, whatever happened: every
// flow can be released, every record comes back, every slot is usable again.

#include <string>
#include <vector>

#include "tests/schedule/failure.hpp"
#include "tests/schedule/free_records.hpp"
#include "tests/schedule/world.hpp"

namespace noclash::schedule {

void World::check_end() {
    truth.look();
    settle();
    release_all();
    settle();
    if (shape.collisions == Collisions::one_bucket || shape.collisions == Collisions::equal)
        fill_bucket();
    check_free_records();
}

/// Lets every grace period end and every flow's turn in the wheel come.
void World::settle() {
    for (int round = 0; round < 4; ++round) {
        now_ms += 20'000;
        for (auto& actor : actors)
            for (int i = 0; i < 8; ++i)
                actor->rest();
    }
}

void World::release_all() {
    Actor& any = actor(0);
    for (FlowId id = 1; id <= table.pool().last_id(); ++id)
        if (table.pool()[id].status.load() == FlowStatus::live) any.release(id);
    if (const auto entries = table.index().occupancy().entries; entries != 0)
        fail("no leak: " + std::to_string(entries) +
             " entries are left though every flow was released");
}

/// Every slot that the one bucket has can be used: none was left taken.
void World::fill_bucket() {
    static constexpr std::uint32_t fresh = 1000;  // tuples that no scenario uses
    Actor& any = actor(0);
    for (std::uint32_t i = 0; i < BucketHeader::positions / 2; ++i) {
        const Key key = original(fresh + i);
        const Key answer = reply(fresh + i);
        watch(key);
        watch(answer);
        if (any.open(key, answer) == no_flow)
            fail("no leak: only " + std::to_string(2 * i) + " of " +
                 std::to_string(BucketHeader::positions) + " slots can be used");
    }
    settle();
    release_all();
    settle();
}

void World::check_free_records() {
    std::vector<FlowWorker<V4, Scheduled>*> engines;
    for (auto& actor : actors)
        engines.push_back(&actor->engine());
    schedule::check_free_records(table, engines);
}

}  // namespace noclash::schedule
