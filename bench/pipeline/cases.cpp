// SPDX-License-Identifier: Apache-2.0
#include "bench/pipeline/cases.hpp"

#include <fmt/format.h>
#include <rte_ethdev.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "bench/calibration.hpp"
#include "bench/pipeline/pairs.hpp"
#include "dpdk/control/memory_report.hpp"
#include "dpdk/datapath/rss.hpp"
#include "engine/base/random.hpp"

namespace noclash::bench {
namespace {

/// At which workers are told that time goes on, where it matters: some 10 M packets a second.
constexpr double rounds_a_second = 300'000;

struct Size {
    std::uint32_t flows;
    double new_target, established_target;
};

void other_directions(Trial& trial, const Translations& translations, const Options& options,
                      PipelineReport& report) {
    for (const auto& [way, words] :
         {std::pair{Way::in, "from servers"}, std::pair{Way::both, "both directions mixed"}})
        report.rate(
            fmt::format("established, {} flows, {}", count_words(translations.size()), words),
            established_cost(trial, options, established(translations, translations.size(), way)));
}

void other_protocol(Bed& bed, std::uint8_t protocol, const char* name, const Options& options,
                    PipelineReport& report) {
    PipelineReport::progress(fmt::format("{}, 64 k flows", name));
    const Flows flows{protocol};
    Translations translations(flows, 64 * thousand, bed.gateway());
    Trial trial(bed, translations);
    trial.calibrate(1, opening(flows));
    report.rate(fmt::format("new {} flows, 64 k flows", name),
                creation_cost(bed, trial, translations, flows, options));
    establish(trial, translations);
    report.rate(fmt::format("established {}, 64 k flows, both directions mixed", name),
                established_cost(trial, options,
                                 established(translations, translations.size(), Way::both)));
    bed.forget_flows();
}

double median_of(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

/// The rate of two CPUs over that of one when they share nothing.
double ratio_of_arithmetic() {
    Arithmetic arithmetic;
    const auto rate = [&](unsigned workers) {
        const Measured measured = arithmetic.run(workers);
        return static_cast<double>(measured.operations) / measured.timed.seconds;
    };
    const double one = rate(1);
    return rate(2) / one;
}

}  // namespace

std::string count_words(std::uint32_t count) {
    return count >= million ? fmt::format("{} M", count / million)
                            : fmt::format("{} k", count / thousand);
}

Cost median(std::vector<Cost> costs) {
    std::sort(costs.begin(), costs.end(),
              [](const Cost& a, const Cost& b) { return a.packets_per_us < b.packets_per_us; });
    return costs[costs.size() / 2];
}

Cost creation_cost(Bed& bed, Trial& trial, Translations& translations, const Flows& flows,
                   const Options& options) {
    const unsigned fills = options.fills_of(translations.size());
    return median(undisturbed(fills, 2 * fills, [&](unsigned i) {
        if (i > 0) bed.forget_flows();
        translations.forget();
        const Cost cost = trial.time_opening(1, translations.size(), opening(flows));
        expect(bed.live_flows() == translations.size(), "flows are missing");
        return cost;
    }));
}

Cost established_cost(Trial& trial, const Options& options, const Traffic& traffic,
                      unsigned workers) {
    // In turns, with packets looked at in between, so that what else the machine does for a moment
    // falls into one of them.
    constexpr unsigned turns = 3;
    const std::uint64_t count = std::max<std::uint64_t>(options.packets / turns / workers, 1);
    return median(undisturbed(turns, 3 * turns, [&](unsigned) {
        trial.calibrate(workers, traffic);
        const Cost cost = trial.time(workers, count, traffic);
        trial.verify(workers, count, traffic);
        return cost;
    }));
}

void profile(Bed& bed, Trial& trial, const std::string& name, std::uint64_t count,
             const Traffic& traffic, PipelineReport& report) {
    nat::StepCycles cycles;
    bed.worker(0).profile(&cycles);
    trial.time(1, count, traffic);
    bed.worker(0).profile(nullptr);
    report.profile(name, cycles, count);
}

void flows_by_number(Dpdk& dpdk, const Options& options, PipelineReport& report) {
    PipelineReport::progress("a flow table for 5 M");
    Bed bed(dpdk, {.flows = 5 * million});
    report.remark(dpdk::memory_words(dpdk::memory_report(bed.gateway())));
    other_protocol(bed, nat::ip_protocol::udp, "UDP", options, report);
    other_protocol(bed, nat::ip_protocol::icmp, "ICMP", options, report);
    for (const Size& size :
         {Size{64 * thousand, 8, 22}, Size{million, 7, 16}, Size{4 * million, 6, 14}}) {
        if (size.flows > options.most_flows) break;
        const std::string words = count_words(size.flows);
        PipelineReport::progress(fmt::format("TCP, {} flows", words));
        Translations translations({}, size.flows, bed.gateway());
        Trial trial(bed, translations);
        // The wheel looks at every flow once in 10 s: of the worker's time, not of the bench's.
        trial.tell(Time::of_rounds(rounds_a_second));
        trial.calibrate(1, opening({}));
        if (options.profile) {
            profile(bed, trial, fmt::format("new TCP flows, {} flows", words), size.flows,
                    opening({}), report);
            bed.forget_flows();
        }
        report.rate(fmt::format("new TCP flows, {} flows", words),
                    creation_cost(bed, trial, translations, {}, options), size.new_target);
        establish(trial, translations);
        const auto random_order = [&](std::uint32_t count, double target) {
            const std::string name =
                fmt::format("established, {} flows, random order", count_words(count));
            const Traffic traffic = established(translations, count, Way::out);
            report.rate(name, established_cost(trial, options, traffic), target);
            if (options.profile) profile(bed, trial, name, options.packets, traffic, report);
        };
        if (size.flows == 64 * thousand) random_order(thousand, 30);
        random_order(size.flows, size.established_target);
        if (size.flows == million) other_directions(trial, translations, options, report);
        bed.forget_flows();
    }
    expect(bed.dropped() == 0, "packets were dropped");
}

void churn(Dpdk& dpdk, const Options& options, PipelineReport& report) {
    PipelineReport::progress("churn, 1 M flows");
    constexpr unsigned lifetime_s = 4;
    constexpr std::uint32_t live = million;
    Bed bed(dpdk,
            {.flows = live + live / 4, .timeouts = fmt::format("tcp_syn_sent_s = {}", lifetime_s)});
    const std::uint32_t more = live * std::max(options.fills, 2U) / 2;
    Translations translations({}, live + more, bed.gateway());
    Trial trial(bed, translations);
    trial.calibrate(1, opening({}));
    trial.tell(Time::of_rounds(static_cast<double>(live) / lifetime_s / dpdk::Pipeline::burst));
    trial.verify(1, live, opening({}));
    report.rate("churn: new TCP flow, old one expires, 1 M flows",
                trial.time_opening(1, more, opening({}, live), Central::mean), 4);
    const std::uint64_t now = bed.live_flows();
    expect(now >= live && now <= live + live / 10, "flows did not end when their time had come");
    expect(bed.dropped() == 0, "packets were dropped");
}

void two_workers(Dpdk& dpdk, const Options& options, PipelineReport& report) {
    PipelineReport::progress("two workers, 1 M flows");
    Bed bed(dpdk, {.flows = million + million / 4, .workers = 2});
    Translations translations({}, million, bed.gateway());
    Trial trial(bed, translations);
    const Traffic halves = [](unsigned worker, std::uint64_t i) {
        return opening({}, worker * (million / 2))(worker, i);
    };
    const unsigned turns = options.fills + 2;
    std::vector<double> sharing_nothing;
    const std::vector<Pair> creating = undisturbed(turns, 2 * turns, [&](unsigned i) {
        const auto forget = [&] {
            bed.forget_flows();
            translations.forget();
        };
        if (i > 0) forget();
        Pair pair;
        sharing_nothing.push_back(ratio_of_arithmetic());
        trial.calibrate(1, opening({}));
        pair.first = trial.time_opening(1, million, opening({}));
        forget();
        // Rings cost two workers more: DPDK's driver counts all queues' packets in one line.
        trial.calibrate(2, halves);
        pair.second = trial.time_opening(2, million / 2, halves);
        expect(bed.live_flows() == million, "flows are missing");
        translations.check_unique();
        return pair;
    });
    report.rate("two workers creating flows, 1 M flows", median_of(creating, &Pair::second));
    report.row("limit: two CPUs / one, sharing nothing", median_of(sharing_nothing), "x");
    report.row("two workers / one worker, creating flows", median_ratio(creating), "x", 1.9);
    report.row("two workers creating flows: SYNs lost", static_cast<double>(bed.dropped()), "", 0,
               PipelineReport::Goal::at_most);

    establish(trial, translations);
    const Traffic both = established(translations, million, Way::both);
    const std::vector<Pair> established_pairs = undisturbed(turns, turns, [&](unsigned) {
        Pair pair;
        pair.first = established_cost(trial, options, both);
        pair.second = established_cost(trial, options, both, 2);
        return pair;
    });
    report.rate("two workers, established, 1 M flows, both directions",
                median_of(established_pairs, &Pair::second));
    report.row("two workers / one worker, established, same 1 M flows",
               median_ratio(established_pairs), "x", 1.9);
    expect(bed.dropped() == 0, "packets were dropped");
}

void one_destination(Dpdk& dpdk, const Options& options, PipelineReport& report) {
    PipelineReport::progress("one destination, one pool address");
    constexpr std::uint32_t ports = 64512, batch = 64;
    Bed bed(dpdk, {.flows = 128 * thousand, .pool = "198.51.100.1"});
    const Flows flows{.servers = 1};
    Translations translations(flows, ports, bed.gateway());
    Trial trial(bed, translations);
    trial.batch(batch);
    trial.calibrate(1, opening(flows));
    std::vector<std::vector<double>> ns;  // by fill, then batch
    for (unsigned i = 0; i < options.fills; ++i) {
        trial.time_opening(1, ports, opening(flows));
        expect(bed.live_flows() == ports, "a port was free, and a flow failed");
        translations.check_unique();
        ns.push_back(trial.by_batch());
        bed.forget_flows();
        translations.forget();
    }
    for (const double percent : {80.0, 90.0, 95.0, 99.0, 99.9}) {
        constexpr double batches = double{ports} / batch;
        const auto middle = static_cast<std::size_t>(batches * percent / 100);
        std::vector<double> samples;
        for (const auto& fill : ns)
            for (std::size_t i = middle - (percent < 99.5 ? 4 : 0);
                 i <= std::min(middle + 4, fill.size() - 1); ++i)
                samples.push_back(fill[i]);
        std::sort(samples.begin(), samples.end());
        report.row(fmt::format("one destination, {} % taken: a new flow", percent),
                   samples[samples.size() / 2] / 1000, "us", 2, PipelineReport::Goal::at_most);
    }
    report.row("one destination: new flows that fail while a port is free",
               static_cast<double>(bed.dropped()), "", 0, PipelineReport::Goal::at_most);
    expect(bed.dropped() == 0, "packets were dropped");
}

namespace {

void forwarding_tracked(Dpdk& dpdk, const Options& options, PipelineReport& report) {
    Bed bed(dpdk, {.flows = 128 * thousand, .action = "action = \"forward\""});
    Translations translations({}, thousand, bed.gateway());
    Trial trial(bed, translations);
    trial.verify(1, thousand, opening({}));
    establish(trial, translations);
    report.rate("IPv4 forwarding without NAT, tracked, 1 k flows",
                established_cost(trial, options, established(translations, thousand, Way::out)));
    expect(bed.live_flows() == thousand, "what was forwarded was not tracked");
    expect(bed.dropped() == 0, "packets were dropped");
}

void forwarding_untracked(Dpdk& dpdk, const Options& options, PipelineReport& report) {
    Bed bed(dpdk, {.flows = 128 * thousand, .action = "action = \"forward\"\ntrack = false"});
    Translations translations({}, thousand, bed.gateway());
    Trial trial(bed, translations);
    const std::string name = "IPv4 forwarding without NAT, untracked, 1 k flows";
    const Traffic traffic = established(translations, thousand, Way::out);
    report.rate(name, established_cost(trial, options, traffic), 50);
    if (options.profile) profile(bed, trial, name, options.packets, traffic, report);
    expect(bed.live_flows() == 0, "what was forwarded was tracked");
    expect(bed.dropped() == 0, "packets were dropped");
}

}  // namespace

void forwarding(Dpdk& dpdk, const Options& options, PipelineReport& report) {
    PipelineReport::progress("forwarding without translation");
    forwarding_tracked(dpdk, options, report);
    forwarding_untracked(dpdk, options, report);
}

void reply_locality(Dpdk& dpdk, const Options& options, PipelineReport& report) {
    PipelineReport::progress("new flows whose replies come to their worker");
    for (const bool local : {false, true}) {
        Bed bed(dpdk, {.flows = 128 * thousand,
                       .workers = 2,
                       .general = local ? "reply_locality = true" : ""});
        if (local) {
            dpdk::Rss rss{std::vector<std::uint8_t>(40), {0, 1}, RTE_ETH_RSS_NONFRAG_IPV4_TCP};
            random_bytes(rss.key.data(), rss.key.size());
            bed.gateway().steering.at(port_of(Side::outside)) = dpdk::steering_by(rss);
        }
        Translations translations({}, 64 * thousand, bed.gateway());
        Trial trial(bed, translations);
        trial.calibrate(1, opening({}));
        report.rate(
            fmt::format("new TCP flows, 64 k flows, of two workers, `reply_locality = {}`", local),
            creation_cost(bed, trial, translations, {}, options));
        expect(bed.dropped() == 0, "packets were dropped");
    }
}

}  // namespace noclash::bench
