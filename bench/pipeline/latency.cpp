// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "bench/pipeline/cases.hpp"

namespace noclash::bench {
namespace {

constexpr std::uint32_t live = million, first_of_eight = 8;

/// Seven packets of established flows, then one that opens a flow.
Traffic mixed_load(const Translations& translations) {
    return [begins = opening(translations.flows(), live),
            goes_on = established(translations, live, Way::out)](unsigned worker, std::uint64_t i) {
        return i % first_of_eight == 0 ? begins(worker, i / first_of_eight) : goes_on(worker, i);
    };
}

void tell(const std::string& name, std::vector<std::uint64_t>& cycles, PipelineReport& report) {
    std::sort(cycles.begin(), cycles.end());
    const double us = 1e6 / static_cast<double>(rte_get_tsc_hz());
    for (const auto& [words, share] :
         {std::pair{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}, {"maximum", 1.0}}) {
        const bool measured = !cycles.empty();
        const auto at = static_cast<std::size_t>(share * static_cast<double>(cycles.size() - 1));
        report.row(fmt::format("latency, {}, {}", name, words),
                   measured ? std::optional(static_cast<double>(cycles[at]) * us) : std::nullopt,
                   "us");
    }
}

}  // namespace

void latency(Dpdk& dpdk, const Options& options, PipelineReport& report) {
    PipelineReport::progress("latency, 1 M flows and new ones");
    constexpr std::uint32_t warm_up = 32 * batch_frames;
    const auto batches = static_cast<std::uint32_t>(options.packets / batch_frames);
    const std::uint32_t begun = (batches * batch_frames + 2 * warm_up) / first_of_eight;
    Bed bed(dpdk, {.flows = live + begun + live / 8});
    Translations translations({}, live + begun, bed.gateway());
    Trial trial(bed, translations);
    trial.verify(1, live, opening({}));
    trial.verify(1, live, answering(translations));
    trial.verify(1, live, opening({}, 0, nat::tcp_flag::ack));
    const Traffic load = mixed_load(translations);
    trial.calibrate(1, load);
    const Cost cost = trial.time(1, warm_up, load);

    // Seven tenths of what the worker does when it never waits.
    const double gap = cost.ns / 0.7 * static_cast<double>(rte_get_tsc_hz()) / 1e9;
    std::vector<std::uint64_t> first, later;
    std::uint32_t disturbed = 0;
    bed.on_workers(1, [&](unsigned) {
        const auto lane = std::make_unique<Lane>(bed, 0);
        std::vector<std::uint64_t> took;
        for (std::uint32_t batch = 0; batch < batches; ++batch) {
            const std::uint64_t at = warm_up + std::uint64_t{batch} * batch_frames;
            lane->write(batch_frames, [&](std::uint32_t i) { return load(0, at + i); });
            bed.worker(0).begin();
            const bool undisturbed = lane->pace(bed.worker(0), Time::real(), gap, took);
            bed.worker(0).end();
            translations.check(*lane, bed);
            lane->release();
            disturbed += undisturbed ? 0U : 1U;
            for (std::size_t i = 0; undisturbed && i < took.size(); ++i)
                (i % first_of_eight == 0 ? first : later).push_back(took[i]);
        }
    });
    report.row("latency: load, 1 of 8 packets opens a flow", 0.7 * cost.packets_per_us, "M/s");
    tell("first packets", first, report);
    tell("later packets", later, report);
    if (disturbed > 0)
        report.remark(
            fmt::format("latency: {} of {} batches are left out, in which the worker "
                        "did not have its CPU to itself",
                        disturbed, batches));
    expect(bed.dropped() == 0, "packets were dropped");
}

}  // namespace noclash::bench
