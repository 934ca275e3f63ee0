// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tools/cpsload/counters.hpp"
#include "tools/cpsload/losses.hpp"
#include "tools/cpsload/options.hpp"

namespace noclash::cpsload {

/// A run's verdict on the gateway.
enum class Verdict : std::uint8_t {
    fine,         ///< nothing was lost, duplicated or mistranslated
    delayed,      ///< no connection was lost, but packets had to be repeated
    faults,       ///< something was lost, duplicated or mistranslated, or could not be done
    none,         ///< the tester itself lost packets
    interrupted,  ///< before the end
};

/// For programs.
[[nodiscard]] std::string_view name_of(Verdict verdict);
/// The exit status that tells it.
[[nodiscard]] int exit_status(Verdict verdict);

/// All that a verdict depends on.
struct Findings {
    Measure measure = Measure::run;
    const Counters& counters;
    TesterLosses lost_by_tester;
    /// In a search: the rate that ended it failed by the tester's own losses.
    bool limited_by_tester = false;
    bool interrupted = false;
    bool has_problem = false;  ///< something of what was asked for is missing
};

[[nodiscard]] Verdict judge(const Findings& findings);
/// The verdict in words, for people.
[[nodiscard]] std::string words_of(const Findings& findings);

/// A search tries rates that are too high, and a capacity is found where openings fail: connections
/// are lost there on purpose.
[[nodiscard]] bool loses_on_purpose(Measure measure);
[[nodiscard]] inline bool searches(Measure measure) {
    return measure == Measure::search || measure == Measure::establishment;
}

/// How progress and report call the same things.
namespace word {
inline constexpr std::string_view lost = "lost";
inline constexpr std::string_view reset = "reset";
inline constexpr std::string_view repeated = "repeated packets";
inline constexpr std::string_view tester_lost = "the tester lost";
}  // namespace word

}  // namespace noclash::cpsload
