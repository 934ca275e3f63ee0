// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "tools/cpsload/outcome.hpp"
#include "tools/cpsload/race.hpp"

namespace noclash::cpsload {
namespace {

using Json = nlohmann::ordered_json;

double rate(std::uint64_t count, Time time) {
    return time == 0 ? 0 : static_cast<double>(count) / seconds(time);
}

Json latency(const Histogram& histogram) {
    const auto us = [](std::uint64_t ns) { return static_cast<double>(ns) / 1000; };
    return {{"count", histogram.count()},
            {"p50", us(histogram.quantile(0.5))},
            {"p90", us(histogram.quantile(0.9))},
            {"p99", us(histogram.quantile(0.99))},
            {"p99.9", us(histogram.quantile(0.999))},
            {"max", us(histogram.highest())}};
}

Json faults(const Counters& counters) {
    return {{"lost", counters.lost},
            {"lost_openings", counters.lost_openings},
            {"reset", counters.reset},
            {"duplicated_packets", counters.duplicated()},
            {"mistranslated_packets", counters.mistranslated},
            {"reused_tuples", counters.reused_tuples},
            {"wrong_answers", counters.wrong_answers},
            {"corrupted_packets", counters.corrupted},
            {"bad_checksums", counters.bad_checksums},
            {"split_pairs", counters.split_pairs}};
}

Json side(const LinkCounters& link) {
    return {{"received", link.received}, {"sent", link.sent}, {"waited", link.waited}};
}

std::string row(std::string_view name, std::string_view value) {
    return fmt::format("  {:<24} {}\n", name, value);
}

std::string latency_row(std::string_view name, const Histogram& histogram) {
    const auto us = [&](double share) {
        return static_cast<double>(histogram.quantile(share)) / 1000;
    };
    if (histogram.count() == 0) return {};
    return fmt::format("  {:<12} {:>9.1f} {:>9.1f} {:>9.1f} {:>9.1f} {:>9.1f}\n", name, us(0.5),
                       us(0.9), us(0.99), us(0.999),
                       static_cast<double>(histogram.highest()) / 1000);
}

std::string trials_text(const Outcome& outcome, Measure measure) {
    std::string text = "\n  wanted/s     opened/s       loss\n";
    for (const Trial& trial : outcome.trials)
        text += fmt::format("  {:>9.0f}   {:>9.0f}   {:>8.4f}%  {}\n", trial.wanted_cps,
                            trial.opened_cps, 100 * trial.loss,
                            trial.passed ? "passed" : trial.why_not);
    return text + "\n" +
           row(measure == Measure::establishment ? "highest openings/s" : "highest connections/s",
               outcome.highest_cps > 0 ? fmt::format("{:.0f}", outcome.highest_cps)
                                       : "none passed");
}

std::string held_text(const Options& options, const Outcome& outcome) {
    std::string text = row("held at a time",
                           fmt::format("{} of {} opened", outcome.held, outcome.counters.opened));
    if (options.measure == Measure::capacity)
        return text + row("still answered", fmt::format("{}", outcome.still_alive));
    return text + row("closed", fmt::format("{} in {:.3f} s: {:.0f}/s", outcome.counters.completed,
                                            seconds(outcome.closing.all),
                                            rate(outcome.counters.completed, outcome.closing.all)));
}

}  // namespace

std::string as_text(const Options& options, const Outcome& outcome) {
    const Counters& counters = outcome.counters;
    std::string text = fmt::format("cpsload: {}\n", options.profile);
    if (searches(options.measure)) text += trials_text(outcome, options.measure);
    text += row("opened", fmt::format("{} in {:.2f} s: {:.0f}/s", counters.opened,
                                      seconds(outcome.lapse.opening),
                                      rate(counters.opened, outcome.lapse.opening)));
    if (options.measure == Measure::teardown || options.measure == Measure::capacity)
        text += held_text(options, outcome);
    text += row("delivered once", fmt::format("{}", counters.delivered));
    text += row("completed", fmt::format("{}", counters.completed));
    text += row(word::repeated, std::to_string(counters.retransmissions));
    text += row("delayed connections", fmt::format("{0}, {1} of them by the first packet",
                                                   counters.delayed(), counters.delayed_openings));
    if (outcome.lapse.missed > 0)
        text += row("not opened in time",
                    fmt::format("{}: the tester had no CPU for them", outcome.lapse.missed));
    if (counters.icmp > 0) text += row("ICMP messages", fmt::format("{}", counters.icmp));
    text += "\n";
    const Json found = faults(counters);
    for (const auto& [name, count] : found.items()) {
        std::string words = name;
        std::ranges::replace(words, '_', ' ');
        text += row(words, count.dump());
    }
    if (counters.setup_ns.count() > 0) {
        text += "\n  us                 p50       p90       p99     p99.9       max\n";
        text += latency_row("set-up", counters.setup_ns);
        text += latency_row("whole", counters.whole_ns);
    }
    text += "\n";
    if (outcome.ceiling.cps > 0)
        text += row("the tester's own ceiling",
                    fmt::format("{:.0f}/s, {}", outcome.ceiling.cps,
                                outcome.ceiling.with_devices
                                    ? "its two devices included, joined by a veth pair"
                                    : "without its devices: with them it is lower"));
    if (const std::string reason = why_no_race(options); !reason.empty())
        text += row("race for tuples", reason);
    if (outcome.lost_by_tester.total() > 0)
        text += row(word::tester_lost,
                    fmt::format("{} packets at the client, {} at the server",
                                outcome.lost_by_tester.client, outcome.lost_by_tester.server));
    if (!outcome.problem.empty()) text += row("problem", outcome.problem);
    text += row("verdict", words_of(outcome.findings(options.measure)));
    return text;
}

std::string as_json(const Options& options, const Outcome& outcome) {
    const Counters& counters = outcome.counters;
    const Verdict verdict = judge(outcome.findings(options.measure));
    Json json{
        {"profile", options.profile},
        {"fine", exit_status(verdict) == 0},
        {"verdict", name_of(verdict)},
        {"verdict_text", words_of(outcome.findings(options.measure))},
        {"interrupted", outcome.interrupted},
        {"problem", outcome.problem},
        {"opened", counters.opened},
        {"delivered", counters.delivered},
        {"established", counters.established},
        {"answered", counters.answered},
        {"completed", counters.completed},
        {"seconds", seconds(outcome.lapse.opening)},
        {"connections_per_second", rate(counters.opened, outcome.lapse.opening)},
        {"cpu_seconds", seconds(outcome.lapse.cpu)},
        {"connections_per_cpu_second", rate(counters.opened, outcome.lapse.cpu)},
        {"missed", outcome.lapse.missed},
        {"faults", faults(counters)},
        {"retransmissions", counters.retransmissions},
        {"connections_with_retransmissions", counters.troubled},
        {"delayed_connections", counters.delayed()},
        {"delayed_openings", counters.delayed_openings},
        {"strays", counters.strays},
        {"icmp", counters.icmp},
        {"setup_us", latency(counters.setup_ns)},
        {"whole_us", latency(counters.whole_ns)},
        {"client", side(outcome.client)},
        {"server", side(outcome.server)},
        {"lost_by_tester",
         {{"client", outcome.lost_by_tester.client}, {"server", outcome.lost_by_tester.server}}},
        {"no_race", why_no_race(options)},
        {"ceiling_per_second", outcome.ceiling.cps},
        {"ceiling_includes_devices", outcome.ceiling.with_devices}};
    if (searches(options.measure)) {
        json["highest_per_second"] = outcome.highest_cps;
        json["trials"] = Json::array();
        for (const Trial& trial : outcome.trials)
            json["trials"].push_back({{"wanted_per_second", trial.wanted_cps},
                                      {"opened_per_second", trial.opened_cps},
                                      {"loss", trial.loss},
                                      {"lost_by_tester", trial.lost_by_tester},
                                      {"passed", trial.passed},
                                      {"why_not", trial.why_not}});
    }
    if (options.measure == Measure::teardown || options.measure == Measure::capacity) {
        json["held"] = outcome.held;
        json["still_alive"] = outcome.still_alive;
        json["closing_seconds"] = seconds(outcome.closing.all);
    }
    return json.dump();
}

}  // namespace noclash::cpsload
