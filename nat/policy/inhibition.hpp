// SPDX-License-Identifier: Apache-2.0
#pragma once

// # Passive health
//
// A backend that fails so many openings in a row as its service says, with no answer between, is
// inhibited: for new flows it counts as down. When its time is over it is on probation: it gets
// flows again, and the first that fails has it inhibited anew, for twice as long, up to a bound.
// Any answer ends all that, an inhibition that lasts, too: where all backends are down, all of them
// get flows.

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "nat/policy/opening_results.hpp"
#include "nat/policy/service.hpp"

namespace noclash::nat {

enum class InhibitionStep : std::uint8_t {
    none,
    begins,
    ends,     ///< its time is over: the backend is on probation
    is_over,  ///< before its time: the backend has answered, or nobody inhibits any more
};

/// What is to be done about a backend. One thread at a time, the one that changes backends; about
/// once a second.
/// @param is_inhibited  as it stands in the table: a health check may have lifted it
/// @param may_begin     it is active: whoever gets no new flows anyway is left alone
[[nodiscard]] inline InhibitionStep look_at_inhibition(const Inhibit& rule, OpeningResults& results,
                                                       bool is_inhibited, bool may_begin,
                                                       std::uint64_t now_ms) {
    auto& until_ms = results.inhibition.until_ms;
    auto& length_s = results.inhibition.length_s;
    const auto begin_anew = [&](std::uint32_t failures) {
        until_ms = 0;
        results.judged_since_ms.store(now_ms, std::memory_order_relaxed);
        results.failures.store(failures, std::memory_order_relaxed);
    };
    const std::uint32_t seen = results.failures.load(std::memory_order_relaxed);
    if (is_inhibited) {
        if (rule.failures == 0 || seen == 0) {
            begin_anew(0);
            return InhibitionStep::is_over;
        }
        if (now_ms < until_ms) return InhibitionStep::none;
        begin_anew(OpeningResults::on_probation);
        return InhibitionStep::ends;
    }
    if (until_ms != 0) {
        begin_anew(OpeningResults::on_probation);
        return InhibitionStep::none;
    }
    if (rule.failures == 0 || !may_begin) return InhibitionStep::none;
    const bool on_probation = (seen & OpeningResults::on_probation) != 0;
    if ((seen & ~OpeningResults::on_probation) < (on_probation ? 1 : rule.failures))
        return InhibitionStep::none;
    const std::uint32_t twice_s = std::min(rule.most_s, 2 * length_s);
    length_s = on_probation ? std::max(rule.first_s, twice_s) : rule.first_s;
    until_ms = now_ms + std::uint64_t{1000} * length_s;
    return InhibitionStep::begins;
}

}  // namespace noclash::nat
