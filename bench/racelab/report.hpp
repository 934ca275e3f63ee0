// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "bench/racelab/results.hpp"

namespace noclash::racelab {

/// One line of JSON; the keys are named in `race_models --help`.
[[nodiscard]] std::string to_json(const Results& results);

/// Tables for people.
void print_tables(const Results& results);

}  // namespace noclash::racelab
