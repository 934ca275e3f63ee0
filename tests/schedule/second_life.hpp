// SPDX-License-Identifier: Apache-2.0
#pragma once

// A run with a kill in it. A world's workers all stop for ever at some access to an atomic. All
// that is left is the records' memory. Another world adopts it, and perhaps is killed while it does
// so; then the next one tries. The last one's workers run the program to its end.
//
// A kill comes before an access, so what is not atomic is never half written. Nobody reads such a
// field of a record that is not live.

#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>

#include "tests/schedule/failure.hpp"
#include "tests/schedule/remains.hpp"
#include "tests/schedule/run_world.hpp"

namespace noclash::schedule {

/// A run with two lives.
template <class AWorld, class Worker = Actor>
struct Story {
    Shape first;
    Shape later;  ///< with no more records
    std::function<std::unique_ptr<AWorld>(const Shape& shape, std::uint64_t seed, Record* kept,
                                          std::uint64_t now_ms)>
        make;
    std::function<void(AWorld&)> watch = [](AWorld&) {};    ///< makes tuples known, in both lives
    std::function<void(AWorld&)> prepare = [](AWorld&) {};  ///< what was before the first
    std::function<void(AWorld&, Worker&)> program;          ///< of each worker, in both lives
    /// Whether a flow has to live on, by what it says of itself.
    std::function<bool(const Left&, std::uint64_t now_ms)> must_live_on =
        [](const Left&, std::uint64_t) { return true; };
    std::function<void(AWorld&)> when_adopted = [](AWorld&) {};
    std::function<void(AWorld&)> at_end = [](AWorld&) {};
};

/// The world that has the table: this one, or the one below it.
template <class AWorld>
auto& engine_of(AWorld& world) {
    if constexpr (requires { world.engine; })
        return world.engine;
    else
        return world;
}

/// Steps, and what was seen, of several schedules.
inline void add(RunReport& sum, const Scheduler& scheduler) {
    sum.steps += scheduler.steps();
    sum.fingerprint = SeededRandom::mix(sum.fingerprint ^ scheduler.fingerprint());
    if (scheduler.steps() > 0) sum.strategy = scheduler.strategy();
}

/// Makes the records fit into those of the later world, and adopts them.
template <class AWorld>
Adopted fit_and_adopt(AWorld& world, Remains& remains) {
    Table& table = engine_of(world).table;
    const std::size_t size = std::size_t{table.pool().last_id()} + 1;
    if (size < remains.size() &&
        !FlowAdoption<V4, Scheduled>::fit({remains.records(), remains.size()}, size))
        fail("adopted: the records do not fit");
    return world.adopt();
}

template <class AWorld, class Worker>
RunReport run_two_lives(const Story<AWorld, Worker>& story, std::uint64_t seed, Tracing tracing) {
    SeededRandom random(SeededRandom::mix(seed));
    const auto say = [tracing](const char* what) {
        if (tracing == Tracing::on) std::printf("-- %s\n", what);
    };
    RunReport report;
    Remains remains(World::records_for(story.first));
    std::uint64_t now_ms = 0;
    {
        auto world = story.make(story.first, seed, remains.records(), now_ms);
        auto& engine = engine_of(*world);
        story.watch(*world);
        engine.take_over(world->adopt());
        story.prepare(*world);
        engine.events = {};
        if (tracing == Tracing::on) engine.scheduler.trace();
        const std::uint32_t horizon = 16U << random.below(7);
        engine.scheduler.kill_at(random.below(horizon));
        engine.run([&](Worker& me) { story.program(*world, me); });
        if (engine.scheduler.killed()) engine.events.saw(Event::killed);
        say(engine.scheduler.killed() ? "killed" : "all have ended");
        add(report, engine.scheduler);
        report.events.add(engine.events);
        now_ms = engine.now_ms;
    }
    remains.note();
    std::size_t kills = 0;
    while (random.one_in(2)) {
        auto world = story.make(story.later, seed, remains.records(), now_ms);
        Scheduler scheduler(random.next());
        scheduler.spawn([&] { static_cast<void>(fit_and_adopt(*world, remains)); });
        const std::uint32_t horizon = random.one_in(4) ? 16'384 : 3'000;
        scheduler.kill_at(random.below(horizon));
        scheduler.run();
        add(report, scheduler);
        ++kills;
        report.events.saw(Event::killed_again);
        say("killed while it adopted");
    }
    auto world = story.make(story.later, random.next(), remains.records(), now_ms);
    auto& engine = engine_of(*world);
    const Adopted adopted = fit_and_adopt(*world, remains);
    remains.check(
        engine.table, adopted.flows.counts(),
        [&](const Left& left) { return story.must_live_on(left, now_ms); },
        story.first.workers == story.later.workers ? 0 : kills, engine.events);
    story.watch(*world);
    engine.take_over(adopted);
    engine.check_free_records();
    story.when_adopted(*world);
    engine.look();
    if (tracing == Tracing::on) engine.scheduler.trace();
    engine.run([&](Worker& me) { story.program(*world, me); });
    add(report, engine.scheduler);
    report.events.add(engine.events);
    story.at_end(*world);
    engine.check_end();
    return report;
}

}  // namespace noclash::schedule
