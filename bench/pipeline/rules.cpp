// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <array>
#include <optional>

#include "bench/pipeline/cases.hpp"
#include "bench/pipeline/rule_mix.hpp"

namespace noclash::bench {
namespace {

struct RuleCount {
    std::uint32_t rules;
    std::optional<double> target;  ///< of the rate with ten rules
};
constexpr std::array rule_counts{RuleCount{10, {}}, RuleCount{1000, 0.85}, RuleCount{10'000, 0.7}};

constexpr std::uint32_t rules_flows = 64 * thousand;

Cost opening_cost(Dpdk& dpdk, const Options& options, const Flows& of, std::uint32_t rules) {
    Bed bed(dpdk, {.flows = 128 * thousand, .rules = rule_mix(rules - 1)});
    Translations translations(of, rules_flows, bed.gateway());
    Trial trial(bed, translations);
    trial.calibrate(1, opening(of));
    const Cost cost = creation_cost(bed, trial, translations, of, options);
    expect(bed.dropped() == 0, "packets were dropped");
    return cost;
}

Cost untracked_cost(Dpdk& dpdk, const Options& options, const Flows& of, std::uint32_t rules) {
    Bed bed(dpdk, {.flows = 128 * thousand,
                   .action = "action = \"forward\"\ntrack = false",
                   .rules = rule_mix(rules - 1)});
    Translations translations(of, thousand, bed.gateway());
    Trial trial(bed, translations);
    const Cost cost =
        established_cost(trial, options, established(translations, thousand, Way::out));
    expect(bed.live_flows() == 0, "what was forwarded was tracked");
    expect(bed.dropped() == 0, "packets were dropped");
    return cost;
}

struct RulesCase {
    const char* name;
    Cost (*cost)(Dpdk&, const Options&, const Flows&, std::uint32_t rules);
    Flows flows;
};

}  // namespace

void rules_by_number(Dpdk& dpdk, const Options& options, PipelineReport& report) {
    for (const RulesCase& what : {RulesCase{"new TCP flows", opening_cost, {}},
                                  RulesCase{"new UDP flows", opening_cost, {nat::ip_protocol::udp}},
                                  RulesCase{"untracked packets", untracked_cost, {}}}) {
        double of_ten = 0;
        for (const RuleCount& size : rule_counts) {
            PipelineReport::progress(fmt::format("{}, {} rules", what.name, size.rules));
            const Cost cost = what.cost(dpdk, options, what.flows, size.rules);
            report.rate(fmt::format("{}, {} rules", what.name, size.rules), cost);
            if (size.target)
                report.row(fmt::format("{}, {} rules / 10 rules", what.name, size.rules),
                           cost.packets_per_us / of_ten, "x", size.target);
            else
                of_ten = cost.packets_per_us;
        }
    }
}

}  // namespace noclash::bench
