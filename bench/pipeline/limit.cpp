// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "bench/pipeline/cases.hpp"
#include "bench/pipeline/least_gateway.hpp"
#include "bench/pipeline/page_walks.hpp"
#include "dpdk/device/page_kind.hpp"

namespace noclash::bench {
namespace {

/// The gateway's own row beside the limit's, when it was measured in this run.
void compare(const std::string& name, const Cost& least, PipelineReport& report) {
    if (const auto value = report.value(name))
        report.row("share of the limit: " + name, 100 * *value / least.packets_per_us, "%");
}

/// The numbers, in order, of the flows just set up whose entry has its slot.
std::vector<std::uint32_t> found(LeastTable& table, std::uint32_t flows) {
    std::vector<std::uint32_t> numbers;
    numbers.reserve(flows);
    for (std::uint32_t number = 0; number < flows; ++number)
        if (table.shows(Flows{}.original(number), number + 1)) numbers.push_back(number);
    return numbers;
}

void limit_of_established(Bed& bed, Trial& trial, const Translations& translations,
                          LeastTable& table, std::uint32_t flows, const Options& options,
                          PipelineReport& report) {
    const std::vector<std::uint32_t> numbers = found(table, translations.size());
    expect(numbers.size() > translations.size() / 2, "the least gateway knows too few flows");
    const auto count = std::min(flows, static_cast<std::uint32_t>(numbers.size()));
    const Traffic traffic = [&numbers, any = established(translations, count, Way::out)](
                                unsigned worker, std::uint64_t i) {
        Sending sending = any(worker, i);
        sending.content.number = numbers[sending.content.number];
        sending.tuple = Flows{}.original(sending.content.number);
        return sending;
    };
    const std::string what = fmt::format("established, {} flows", count_words(flows));
    LeastEstablished<Lines::one> one(bed, table);
    LeastEstablished<Lines::two> two(bed, table);
    for (const auto& [rounds, words] : {std::pair<Rounds*, const char*>{&one, "one line of a flow"},
                                        {&two, "two lines of a flow"}}) {
        trial.let_run(*rounds);
        const Cost cost = established_cost(trial, options, traffic);
        report.rate(fmt::format("limit: {}, {}", what, words), cost);
        if (rounds == &two) compare(what + ", random order", cost, report);
    }
}

void limit_of_flows(Dpdk& dpdk, const Options& options, PipelineReport& report) {
    Bed bed(dpdk, {});
    LeastTable table(5 * million);
    report.remark(
        fmt::format("limit: records on {} pages", dpdk::to_string(dpdk::page_kind_at(&table[0]))));
    {
        Translations none({}, 64 * thousand, bed.gateway());
        Trial trial(bed, none);
        report.row("limit: rings alone, which all other rows are without",
                   1000 / trial.calibrate(1, opening({})), "M/s");
    }
    for (const std::uint32_t flows : {64 * thousand, million, 4 * million}) {
        if (flows > options.most_flows) break;
        Translations translations({}, flows, bed.gateway());
        Trial trial(bed, translations);
        trial.calibrate(1, opening({}));
        const unsigned fills = options.fills_of(flows);
        const Cost cost = median(undisturbed(fills, 2 * fills, [&](unsigned) {
            table.clear();
            translations.forget();
            LeastSetUp set_up(bed, table);
            trial.let_run(set_up);
            const Cost fill = trial.time_opening(1, flows, opening({}));
            translations.check_unique();
            return fill;
        }));
        const std::string what = fmt::format("new TCP flows, {} flows", count_words(flows));
        report.rate("limit: " + what, cost);
        compare(what, cost, report);
        if (flows == 64 * thousand)
            limit_of_established(bed, trial, translations, table, thousand, options, report);
        limit_of_established(bed, trial, translations, table, flows, options, report);
    }
    expect(bed.live_flows() == 0, "the worker was not left out");
}

/// Without flows, as the gateway's untracked forwarding.
void limit_of_forwarding(Dpdk& dpdk, const Options& options, PipelineReport& report) {
    Bed bed(dpdk, {.flows = 128 * thousand, .action = "action = \"forward\""});
    Translations translations({}, thousand, bed.gateway());
    Trial trial(bed, translations);
    LeastForwarding rounds(bed);
    trial.let_run(rounds);
    const Cost cost =
        established_cost(trial, options, established(translations, thousand, Way::out));
    report.rate("limit: IPv4 forwarding without flows", cost);
    compare("IPv4 forwarding without NAT, untracked, 1 k flows", cost, report);
    expect(bed.live_flows() == 0, "the worker was not left out");
}

}  // namespace

void limit(Dpdk& dpdk, const Options& options, PipelineReport& report) {
    PipelineReport::progress("the least that a gateway can do");
    PageWalks walks;
    report.row("limit: a line out of order, all side by side",
               walks.ns_of_a_line(PageWalks::Layout::side_by_side), "ns");
    report.row("limit: a line out of order, each on 4 KiB of its own",
               walks.ns_of_a_line(PageWalks::Layout::one_a_page), "ns");
    limit_of_flows(dpdk, options, report);
    limit_of_forwarding(dpdk, options, report);
}

}  // namespace noclash::bench
