// SPDX-License-Identifier: Apache-2.0

// What the flow engine costs: set-up (claim, reserve, publish), lookups one by one and in bursts as
// the pipeline does them, and ending flows. Keys in random order; every result is checked.
// The argument is the number of flows, in thousands.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "engine/reservation.hpp"

namespace noclash {
namespace {

constexpr std::size_t burst = 32;

Tuple<V4> original(std::uint32_t number) {
    return {V4Address::from_host(0x0a000000U + number / 60000U),
            V4Address::from_host(0xcb007101U),
            Be16::from_host(static_cast<std::uint16_t>(1024U + number % 60000U)),
            Be16::from_host(443),
            0,
            6,
            0};
}

Tuple<V4> reply(std::uint32_t number) {
    Tuple<V4> tuple = original(number).inverse();
    tuple.destination = V4Address::from_host(0xc0000200U + number / 60000U);
    return tuple;
}

std::vector<std::uint32_t> shuffled(std::uint32_t count) {
    std::vector<std::uint32_t> numbers(count);
    for (std::uint32_t i = 0; i < count; ++i)
        numbers[i] = i;
    std::shuffle(numbers.begin(), numbers.end(), std::mt19937(1));
    return numbers;
}

struct Engine {
    explicit Engine(std::uint32_t flows) : table(flows, 1, 1), worker(table, 0, 0) {
        worker.online();
    }
    bool add(std::uint32_t number) {
        Reservation<V4> reservation(worker, original(number));
        if (reservation.outcome() != ClaimOutcome::claimed ||
            reservation.reserve(reply(number)) != InsertOutcome::inserted)
            return false;
        reservation.publish(UINT32_MAX / 2, 0);
        return true;
    }
    FlowTable<V4> table;
    FlowWorker<V4> worker;
};

std::uint32_t flows_of(const benchmark::State& state) {
    return static_cast<std::uint32_t>(state.range(0)) * 1000;
}

void set_up(benchmark::State& state) {
    const auto numbers = shuffled(flows_of(state));
    for (auto _ : state) {
        state.PauseTiming();
        auto engine = std::make_unique<Engine>(flows_of(state));
        state.ResumeTiming();
        std::size_t failed = 0;
        for (const std::uint32_t number : numbers)
            failed += engine->add(number) ? 0U : 1U;
        if (failed > 0) state.SkipWithError("a set-up failed");
        state.PauseTiming();
        engine.reset();
        state.ResumeTiming();
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(numbers.size()));
}

void find_in_bursts(benchmark::State& state) {
    const auto numbers = shuffled(flows_of(state));
    Engine engine(flows_of(state));
    for (const std::uint32_t number : numbers)
        if (!engine.add(number)) return state.SkipWithError("a set-up failed");
    const auto& index = engine.table.index();
    std::vector<Tuple<V4>> keys;
    for (const std::uint32_t number : shuffled(flows_of(state)))
        keys.push_back(number % 2 == 0 ? original(number) : reply(number));
    std::array<std::uint64_t, burst> hashes{};
    std::size_t at = 0, missing = 0;
    for (auto _ : state) {
        if (at + burst > keys.size()) at = 0;
        for (std::size_t i = 0; i < burst; ++i) {
            hashes[i] = index.hash(keys[at + i]);
            index.prefetch(hashes[i]);
        }
        for (std::size_t i = 0; i < burst; ++i)
            index.prefetch_flow(hashes[i]);
        for (std::size_t i = 0; i < burst; ++i)
            missing += index.find(keys[at + i], hashes[i]) ? 0U : 1U;
        at += burst;
    }
    if (missing > 0) state.SkipWithError("a flow was not found");
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(burst));
}

void find_one_by_one(benchmark::State& state) {
    const auto numbers = shuffled(flows_of(state));
    Engine engine(flows_of(state));
    for (const std::uint32_t number : numbers)
        if (!engine.add(number)) return state.SkipWithError("a set-up failed");
    const auto& index = engine.table.index();
    std::size_t at = 0, missing = 0;
    for (auto _ : state) {
        const Tuple<V4> key = original(numbers[at++ % numbers.size()]);
        missing += index.find(key, index.hash(key)) ? 0U : 1U;
    }
    if (missing > 0) state.SkipWithError("a flow was not found");
    state.SetItemsProcessed(state.iterations());
}

BENCHMARK(set_up)->Arg(64)->Arg(1000)->Unit(benchmark::kMillisecond);
BENCHMARK(find_in_bursts)->Arg(64)->Arg(1000);
BENCHMARK(find_one_by_one)->Arg(64)->Arg(1000);

}  // namespace
}  // namespace noclash

BENCHMARK_MAIN();
