// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <array>

#include "bench/pipeline/cases.hpp"

namespace noclash::bench {
namespace {

constexpr std::uint32_t service_flows = 64 * thousand;
constexpr std::uint32_t backends_of_each = 3;
constexpr std::uint32_t most_services = 5000;
constexpr double target_of_new = 0.85;

std::string address_text(std::uint32_t address) {
    return to_string<V4>(V4Address::from_host(address));
}

/// A service at each server that the flows of clients go to.
std::string services_of(const Flows& flows) {
    std::string text;
    for (std::uint32_t i = 0; i < flows.servers; ++i) {
        text += fmt::format(
            "[[service]]\nname = \"s{}\"\naddress = \"{}\"\nports = 443\nprotocol = \"tcp\"\n"
            "in = \"inside\"\nbackends = [",
            i, address_text(0xcb000000U + i));
        for (std::uint32_t n = 0; n < backends_of_each; ++n)
            text += fmt::format("\"{}:8443\", ", address_text(0xac100001U + i * 4 + n));
        text += "]\n";
    }
    return text;
}

Cost opening_cost(Dpdk& dpdk, const Options& options, const Flows& of) {
    Bed bed(dpdk, {.flows = 128 * thousand, .rules = services_of(of)});
    Translations translations(of, service_flows, bed.gateway());
    Trial trial(bed, translations);
    trial.calibrate(1, opening(of));
    const Cost cost = creation_cost(bed, trial, translations, of, options);
    expect(bed.dropped() == 0, "packets were dropped");
    return cost;
}

Cost packet_cost(Dpdk& dpdk, const Options& options, const Flows& of) {
    Bed bed(dpdk, {.flows = 128 * thousand, .rules = services_of(of)});
    Translations translations(of, 8 * thousand, bed.gateway());
    Trial trial(bed, translations);
    establish(trial, translations);
    const Cost cost =
        established_cost(trial, options, established(translations, 8 * thousand, Way::out));
    expect(bed.dropped() == 0, "packets were dropped");
    return cost;
}

}  // namespace

void services_by_number(Dpdk& dpdk, const Options& options, PipelineReport& report) {
    struct What {
        const char* name;
        Cost (*cost)(Dpdk&, const Options&, const Flows&);
        double target;
    };
    for (const What& what : {What{"new TCP flows", opening_cost, target_of_new},
                             What{"established packets", packet_cost, 0.98}}) {
        double of_one = 0;
        for (const std::uint32_t services : {1U, most_services}) {
            PipelineReport::progress(fmt::format("{}, {} services", what.name, services));
            Flows flows;
            flows.servers = services;
            const Cost cost = what.cost(dpdk, options, flows);
            report.rate(fmt::format("{}, {} services", what.name, services), cost);
            if (services == 1)
                of_one = cost.packets_per_us;
            else
                report.row(fmt::format("{}, {} services / 1 service", what.name, services),
                           cost.packets_per_us / of_one, "x", what.target);
        }
    }
}

}  // namespace noclash::bench
