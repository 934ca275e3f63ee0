// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "tools/cpsload/outcome.hpp"

namespace noclash::cpsload {
namespace {

using Json = nlohmann::ordered_json;

double seconds(Time time) {
    return static_cast<double>(time) / static_cast<double>(second);
}

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

bool searches(Measure measure) {
    return measure == Measure::search || measure == Measure::establishment;
}

}  // namespace

bool Outcome::fine(Measure measure) const {
    if (interrupted || !problem.empty()) return false;
    if (!searches(measure) && measure != Measure::capacity) return counters.clean();
    Counters forgiven = counters;
    forgiven.lost = forgiven.reset = 0;
    return forgiven.clean();
}

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
    text += row("retransmissions", fmt::format("{} packets of {} connections",
                                               counters.retransmissions, counters.troubled));
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
    if (outcome.ceiling_cps > 0)
        text += row("the tester's own ceiling", fmt::format("{:.0f}/s", outcome.ceiling_cps));
    if (!outcome.problem.empty()) text += row("problem", outcome.problem);
    text +=
        row("verdict", outcome.interrupted             ? "interrupted"
                       : outcome.fine(options.measure) ? "nothing lost, duplicated or mistranslated"
                                                       : "NOT FINE: see above");
    return text;
}

std::string as_json(const Options& options, const Outcome& outcome) {
    const Counters& counters = outcome.counters;
    Json json{{"profile", options.profile},
              {"fine", outcome.fine(options.measure)},
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
              {"strays", counters.strays},
              {"icmp", counters.icmp},
              {"setup_us", latency(counters.setup_ns)},
              {"whole_us", latency(counters.whole_ns)},
              {"client", side(outcome.client)},
              {"server", side(outcome.server)},
              {"ceiling_per_second", outcome.ceiling_cps}};
    if (searches(options.measure)) {
        json["highest_per_second"] = outcome.highest_cps;
        json["trials"] = Json::array();
        for (const Trial& trial : outcome.trials)
            json["trials"].push_back({{"wanted_per_second", trial.wanted_cps},
                                      {"opened_per_second", trial.opened_cps},
                                      {"loss", trial.loss},
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
