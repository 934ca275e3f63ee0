// SPDX-License-Identifier: Apache-2.0
#include "tools/cpsload/verdict.hpp"

#include <fmt/format.h>

namespace noclash::cpsload {
namespace {

std::string delayed_words(const Counters& counters) {
    std::string words =
        fmt::format("no connection lost, but {} delayed: {} packets had to be repeated",
                    counters.delayed(), counters.retransmissions);
    if (counters.delayed_openings > 0)
        words += fmt::format(", among them the first packet of {} connections",
                             counters.delayed_openings);
    return words;
}

}  // namespace

std::string_view name_of(Verdict verdict) {
    switch (verdict) {
        case Verdict::fine:
            return "fine";
        case Verdict::delayed:
            return "delayed";
        case Verdict::faults:
            return "faults";
        case Verdict::none:
            return "none";
        case Verdict::interrupted:
            break;
    }
    return "interrupted";
}

int exit_status(Verdict verdict) {
    switch (verdict) {
        case Verdict::fine:
        case Verdict::delayed:
            return 0;
        case Verdict::faults:
            return 1;
        case Verdict::none:
            return 4;
        case Verdict::interrupted:
            break;
    }
    return 130;
}

bool loses_on_purpose(Measure measure) {
    return searches(measure) || measure == Measure::capacity;
}

Verdict judge(const Findings& findings) {
    if (findings.interrupted) return Verdict::interrupted;
    // In a search only the rate that ended it counts: too high ones may overrun the tester.
    if (searches(findings.measure) ? findings.limited_by_tester
                                   : findings.lost_by_tester.total() > 0)
        return Verdict::none;
    if (findings.has_problem) return Verdict::faults;
    if (!loses_on_purpose(findings.measure)) {
        if (!findings.counters.clean()) return Verdict::faults;
        return findings.counters.retransmissions > 0 ? Verdict::delayed : Verdict::fine;
    }
    Counters forgiven = findings.counters;
    forgiven.lost = forgiven.reset = 0;
    return forgiven.clean() ? Verdict::fine : Verdict::faults;
}

std::string words_of(const Findings& findings) {
    switch (judge(findings)) {
        case Verdict::fine:
            return loses_on_purpose(findings.measure) ? "nothing duplicated or mistranslated"
                                                      : "nothing lost, duplicated or mistranslated";
        case Verdict::delayed:
            return delayed_words(findings.counters);
        case Verdict::faults:
            return "NOT FINE: see above";
        case Verdict::none:
            return fmt::format(
                "no verdict: {} {} packets; try more --descriptors, a lower --rate or a --core of "
                "its own",
                word::tester_lost, findings.lost_by_tester.total());
        case Verdict::interrupted:
            break;
    }
    return "interrupted";
}

}  // namespace noclash::cpsload
