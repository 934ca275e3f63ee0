// SPDX-License-Identifier: Apache-2.0
#include "bench/pipeline/report.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <fstream>

namespace noclash::bench {

using Json = nlohmann::ordered_json;

PipelineReport::PipelineReport()
    : json_{{"rows", Json::array()}, {"details", Json::array()}, {"remarks", Json::array()}} {}

void PipelineReport::progress(const std::string& what) {
    fmt::print("... {}\n", what);
    std::fflush(stdout);
}

void PipelineReport::row(const std::string& name, std::optional<double> value,
                         const std::string& unit, std::optional<double> target, Goal goal) {
    const bool at_most = goal == Goal::at_most;
    const bool met = value && (!target || (at_most ? *value <= *target : *value >= *target));
    json_["rows"].push_back({{"name", name},
                             {"value", value ? Json(*value) : Json()},
                             {"unit", unit},
                             {"target", target ? Json(*target) : Json()},
                             {"at_most", at_most},
                             {"ok", met}});
    fmt::print("{:<58}{:>10} {:<5}", name, value ? fmt::format("{:.3f}", *value) : "-", unit);
    if (target)
        fmt::print(" target {} {:g}: {}", at_most ? "<=" : ">=", *target, met ? "met" : "MISSED");
    fmt::print("\n");
    std::fflush(stdout);
}

void PipelineReport::rate(const std::string& name, const Cost& cost, std::optional<double> target) {
    const bool measured = cost.samples > 0;
    row(name, measured ? std::optional(cost.packets_per_us) : std::nullopt, "M/s", target);
    detail({{"name", name},
            {"ns", cost.ns},
            {"lower_quartile", cost.least},
            {"upper_quartile", cost.most},
            {"samples", cost.samples},
            {"together", cost.together},
            {"undisturbed", cost.undisturbed}});
    if (cost.disturbed()) disturbed_.push_back(name);
}

namespace {
/// The cost of reading the clock, in its own cycles: that much of each step is not the step's.
double cycles_of_a_reading() {
    constexpr std::uint64_t readings = 100'000;
    const std::uint64_t begun = nat::cycles_now();
    nat::StepCycles idle;
    for (std::uint64_t i = 0; i < readings; ++i)
        idle.end(nat::Step::between);
    return static_cast<double>(nat::cycles_now() - begun) / static_cast<double>(readings);
}
}  // namespace

void PipelineReport::profile(const std::string& name, const nat::StepCycles& cycles,
                             std::uint64_t packets) {
    const double clock = cycles_of_a_reading();
    Json steps;
    double sum = 0;
    fmt::print("  cycles a packet:");
    for (std::size_t step = 0; step < nat::step_names.size(); ++step) {
        const double each = (static_cast<double>(cycles.cycles(step)) -
                             clock * static_cast<double>(cycles.readings(step))) /
                            static_cast<double>(packets);
        sum += each;
        steps[std::string(nat::step_names[step])] = each;
        fmt::print("  {} {:.0f}", nat::step_names[step], each);
    }
    fmt::print("  = {:.0f}\n", sum);
    detail({{"name", name}, {"cycles", steps}, {"sum", sum}, {"clock", clock}});
}

void PipelineReport::remark(const std::string& text) {
    json_["remarks"].push_back(text);
    fmt::print("{}\n", text);
}

void PipelineReport::conclude() {
    if (!disturbed_.empty())
        remark(
            fmt::format("disturbed, and so perhaps too slow (a neighbour ran on the same core in "
                        "three of four batches or more): {}",
                        fmt::join(disturbed_, "; ")));
}

std::optional<double> PipelineReport::value(const std::string& name) const {
    for (const Json& row : json_["rows"])
        if (row["name"] == name && !row["value"].is_null()) return row["value"].get<double>();
    return std::nullopt;
}

void PipelineReport::write(const std::string& path) const {
    std::ofstream file(path);
    file << json_.dump(2) << '\n';
    file.close();
    if (!file) throw std::runtime_error("cannot write " + path);
}

}  // namespace noclash::bench
