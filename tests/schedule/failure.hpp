// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace noclash::schedule {

/// Which run is under way, for messages.
struct RunId {
    const char* scenario = "";
    std::uint64_t seed = 0;
};
inline RunId this_run;
inline std::string called_as = "schedule";  ///< this program

/// The checks that have to catch a mutant of the engine: their names, separated by commas. Empty
/// when no failure is expected.
inline std::string expected_checks;

/// Says what is wrong, in which run and at which step, and ends the process: with 1, or with 0 when
/// just this is expected. At once, since a broken engine is not fit to be taken down in order.
/// @param what  begins with the name of the check and a colon
[[noreturn]] void fail(const std::string& what);

/// The same for a crash: an abort of the engine, or an access to nowhere.
void catch_crashes();

}  // namespace noclash::schedule
