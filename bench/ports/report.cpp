// SPDX-License-Identifier: Apache-2.0
#include "bench/ports/report.hpp"

#include <fmt/core.h>

#include <cstdio>
#include <fstream>

namespace noclash::bench {

Report::Report()
    : json_{{"rows", nlohmann::ordered_json::array()},
            {"details", nlohmann::ordered_json::array()}} {}

void Report::heading(const std::string& text) {
    fmt::print("\n{}\n", text);
    fmt::print("{:<18}{:<24}{:>9}{:>9}{:>9}{:>10}{:>8}{:>10}{:>8}\n", "policy", "case", "mean ns",
               "p50", "p99", "max", "visits", "refused", "falsely");
}

void Report::cost(const std::string& policy, const std::string& what, const Cost& cost) {
    const double refused =
        static_cast<double>(cost.refused()) / static_cast<double>(cost.flows()) * 100;
    fmt::print("{:<18}{:<24}{:>9.0f}{:>9}{:>9}{:>10}{:>8.1f}{:>9.3f}%{:>8}\n", policy, what,
               cost.typical_mean_ns(), cost.quantile_ns(0.5), cost.quantile_ns(0.99),
               cost.quantile_ns(1), cost.visits(), refused, cost.falsely_exhausted());
    std::fflush(stdout);
    json_["details"].push_back({{"policy", policy},
                                {"case", what},
                                {"flows", cost.flows()},
                                {"mean_ns", cost.typical_mean_ns()},
                                {"mean_of_all_ns", cost.mean_ns()},
                                {"p50_ns", cost.quantile_ns(0.5)},
                                {"p99_ns", cost.quantile_ns(0.99)},
                                {"max_ns", cost.quantile_ns(1)},
                                {"visits", cost.visits()},
                                {"refused_percent", refused},
                                {"falsely_exhausted", cost.falsely_exhausted()}});
}

void Report::detail(const std::string& name, double value, const std::string& unit) {
    fmt::print("{:<60}{:>14.3f} {}\n", name, value, unit);
    json_["details"].push_back({{"name", name}, {"value", value}, {"unit", unit}});
}

void Report::row(const std::string& name, double value, const std::string& unit,
                 std::optional<double> target) {
    const bool met = !target || value <= *target;
    nlohmann::ordered_json entry{{"name", name}, {"value", value}, {"unit", unit}};
    entry["target"] = target ? nlohmann::ordered_json(*target) : nlohmann::ordered_json();
    entry["ok"] = met;
    json_["rows"].push_back(entry);
    const std::string verdict =
        target ? fmt::format("target {:g}: {}", *target, met ? "met" : "MISSED") : "";
    fmt::print("{:<60}{:>14.3f} {:<6} {}\n", name, value, unit, verdict);
}

void Report::write(const std::string& path) const {
    std::ofstream file(path);
    file << json_.dump(2) << '\n';
    file.close();
    if (!file) throw std::runtime_error("cannot write " + path);
}

}  // namespace noclash::bench
