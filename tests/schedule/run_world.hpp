// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "tests/schedule/scenario.hpp"
#include "tests/schedule/world.hpp"

namespace noclash::schedule {

/// @param prepare  what was before: run without a schedule, by one worker after the other
/// @param program  what each worker does
/// @param at_end   what else has to be so when all are done
template <class Prepare, class Program, class AtEnd>
RunReport run_world(World& world, Tracing tracing, Prepare&& prepare, Program&& program,
                    AtEnd&& at_end) {
    if (tracing == Tracing::on) world.scheduler.trace();
    prepare(world);
    world.events = {};
    world.run(program);
    const RunReport report{world.scheduler.steps(), world.scheduler.fingerprint(),
                           world.scheduler.strategy(), world.events};
    at_end(world);
    world.check_end();
    return report;
}

template <class Prepare, class Program>
auto runs(const Shape& shape, Prepare prepare, Program program) {
    return [=](std::uint64_t seed, Tracing tracing) {
        World world(shape, seed);
        return run_world(world, tracing, prepare, program, [](World&) {});
    };
}

inline void watch_keys(World& world, std::uint32_t originals, std::uint32_t replies,
                       std::uint16_t zones = 1) {
    for (std::uint16_t zone = 0; zone < zones; ++zone) {
        for (std::uint32_t i = 0; i < originals; ++i)
            world.watch(original(i, zone));
        for (std::uint32_t i = 0; i < replies; ++i)
            world.watch(reply(i, zone));
    }
}

}  // namespace noclash::schedule
