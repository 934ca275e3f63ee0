// SPDX-License-Identifier: Apache-2.0

// The flow engine beside what a reader would use instead: rte_hash, tbb::concurrent_hash_map,
// libcuckoo, and a table like netfilter's. Same keys, same process, same kind of pages; every
// answer is checked. `tools/bench engine` runs it and says what the figures mean.
//
//     engine_bench [--quick] [--reserved-pages] [--benchmark_...]
//
// --reserved-pages: tables may lie on huge pages that `vm.nr_hugepages` has set aside.
//
// Names are operation/table:T/flows:N/order:O/workers:W/repetition:R. In each repetition the tables
// take turns at each operation, so that a machine that is busy elsewhere is so for all of them.

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "bench/calibration.hpp"
#include "bench/least_lookup.hpp"
#include "bench/programme.hpp"
#include "bench/tables/cuckoo_table.hpp"
#include "bench/tables/netfilter_table.hpp"
#include "bench/tables/noclash_table.hpp"
#include "bench/tables/rte_hash_table.hpp"
#include "bench/tables/tbb_table.hpp"

namespace noclash::bench {
namespace {

using Contestants = std::vector<std::unique_ptr<Contestant>>;
using Work = std::function<void(benchmark::State&)>;

bool all_right = true;

/// Registers a benchmark that runs once and takes its time itself.
void add(const std::string& name, const Work& work) {
#ifndef __clang_analyzer__  // which takes what the library keeps for a leak
    benchmark::RegisterBenchmark(name.c_str(),
                                 [work](benchmark::State& state) {
                                     for (auto _ : state) {
                                         try {
                                             work(state);
                                         } catch (const std::exception& error) {
                                             all_right = false;
                                             state.SkipWithError(error.what());
                                         }
                                     }
                                 })
        ->Iterations(1)
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond);
#endif
}

void report(benchmark::State& state, const Measured& measured) {
    state.SetIterationTime(measured.timed.seconds);
    state.counters["cpu_share"] = measured.timed.cpu_share;
    state.SetItemsProcessed(static_cast<std::int64_t>(measured.operations));
}

/// First of all: a child can only be made while this process has one thread.
void add_memory(const Contestants& contestants) {
    for (const auto& contestant : contestants) {
        add(fmt::format("memory/table:{}/flows:{}", contestant->name(), flows_of_memory_rows),
            [table = contestant.get()](benchmark::State& state) {
                const std::uint64_t bytes =
                    in_a_child([table] { return table->growth(flows_of_memory_rows); });
                state.SetIterationTime(1);
                state.counters["bytes_per_flow"] =
                    static_cast<double>(bytes) / flows_of_memory_rows;
            });
    }
}

/// Turns of `Limited`, a limit whose constructor takes `arguments`.
template <class Limited, class... Arguments>
void add_limit(const std::string& name, unsigned repetitions, Arguments... arguments) {
    const auto limit = std::make_shared<std::optional<Limited>>();
    for (unsigned repetition = 0; repetition < repetitions; ++repetition) {
        for (const unsigned workers : {1U, 2U}) {
            const bool last = repetition + 1 == repetitions && workers == 2;
            add(fmt::format("{}/workers:{}/repetition:{}", name, workers, repetition),
                [=](benchmark::State& state) {
                    if (!*limit) limit->emplace(arguments...);
                    report(state, (*limit)->run(workers));
                    if (last) limit->reset();
                });
        }
    }
}

void add_calibration(unsigned repetitions) {
    add_limit<Arithmetic>("arithmetic", repetitions);
    add_limit<RandomReads>("random_reads", repetitions);
    constexpr std::uint32_t million = 1'000'000;
    add_limit<LeastLookup>("least_lookup", repetitions, million);
}

void add_limits(const Part& part, unsigned repetition) {
    for (const NamedLimit& limit : part.limits) {
        add(fmt::format("{}/workers:{}/repetition:{}", limit.name, part.workers, repetition),
            [make = limit.make, workers = part.workers](benchmark::State& state) {
                report(state, make()->run(workers));
            });
    }
}

void add_operation(const std::unique_ptr<Contestant>& contestant, const Part& part,
                   std::size_t number, unsigned repetition) {
    const Operation operation = part.operations[number];
    const Scenario scenario{part.flows, part.order, part.workers, repetition};
    const Afterwards afterwards =
        number + 1 == part.operations.size() ? Afterwards::drop : Afterwards::keep;
    add(fmt::format("{}/table:{}/flows:{}/order:{}/workers:{}/repetition:{}", to_string(operation),
                    contestant->name(), part.flows, part.order == Order::key ? "key" : "random",
                    part.workers, repetition),
        [=, table = contestant.get()](benchmark::State& state) {
            report(state, table->run(operation, scenario, afterwards));
        });
}

/// In the order in which they take turns; `strongest` are the first.
Contestants everyone() {
    Contestants contestants;
    contestants.push_back(std::make_unique<ContestantOf<NoclashTable>>());
    contestants.push_back(std::make_unique<ContestantOf<RteHashTable>>());
    contestants.push_back(std::make_unique<ContestantOf<NetfilterTable>>());
    contestants.push_back(std::make_unique<ContestantOf<CuckooTable>>());
    contestants.push_back(std::make_unique<ContestantOf<TbbTable>>());
    return contestants;
}
std::size_t size_of(Field field, std::size_t everyone) {
    return field == Field::noclash ? 1 : field == Field::strongest ? 3 : everyone;
}

/// All tables at each operation, when all of them together are small beside the machine's memory;
/// else all operations on each table: memory that is touched for the first time, which in a virtual
/// machine may be slow to come, is then used by one table after the other.
void add_part(std::span<const std::unique_ptr<Contestant>> contestants, const Part& part) {
    contestants = contestants.first(size_of(part.field, contestants.size()));
    constexpr std::uint64_t bytes_of_a_flow_in_all_tables = 2000;
    const auto memory = static_cast<std::uint64_t>(::sysconf(_SC_AVPHYS_PAGES)) *
                        static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    const bool together = part.flows * bytes_of_a_flow_in_all_tables < memory / 4;
    for (unsigned repetition = part.first_repetition;
         repetition < part.first_repetition + part.repetitions; ++repetition) {
        if (together) {
            for (std::size_t number = 0; number < part.operations.size(); ++number) {
                for (const auto& contestant : contestants)
                    add_operation(contestant, part, number, repetition);
                if (number == 0) add_limits(part, repetition);
            }
        } else {
            for (const auto& contestant : contestants)
                for (std::size_t number = 0; number < part.operations.size(); ++number)
                    add_operation(contestant, part, number, repetition);
            add_limits(part, repetition);
        }
    }
}

/// Has malloc ask for huge pages, as noclash does: it reads that from the environment at start.
void put_malloc_on_huge_pages(char** argv) {
    static constexpr const char* name = "GLIBC_TUNABLES";
    const char* tunables = std::getenv(name);
    if (tunables != nullptr &&
        std::string_view(tunables).find("malloc.hugetlb") != std::string::npos)
        return;
    const std::string wanted = "glibc.malloc.hugetlb=1";
    ::setenv(name, (tunables == nullptr ? wanted : wanted + ":" + tunables).c_str(), 1);
    std::error_code error;
    const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
    ::execv(program.c_str(), argv);  // when that fails, it works on ordinary pages
}

/// Whether the arguments have `flag`, which is taken out of them.
bool take_flag(int& argc, char** argv, std::string_view flag) {
    const auto last = std::remove(argv + 1, argv + argc, flag);
    const bool found = last != argv + argc;
    argc = static_cast<int>(last - argv);
    return found;
}

int run(int argc, char** argv) {
    const Extent extent = take_flag(argc, argv, "--quick") ? Extent::quick : Extent::full;
    if (take_flag(argc, argv, "--reserved-pages")) HugeMapping::use_reserved(ReservedPages::take);
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    const Contestants contestants = everyone();
    add_memory(contestants);
    add_calibration(3);
    for (const Part& part : programme(extent))
        if (part.workers <= allowed_cpus().size()) add_part(contestants, part);
    benchmark::RunSpecifiedBenchmarks();
    return all_right ? 0 : 1;
}

}  // namespace
}  // namespace noclash::bench

int main(int argc, char** argv) {
    noclash::bench::put_malloc_on_huge_pages(argv);
    return noclash::bench::run(argc, argv);
}
