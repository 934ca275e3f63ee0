// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "tools/cpsload/options.hpp"

namespace noclash::cpsload {

/// Why the connections of profile `lb` do not race for a tuple in this run, for people; empty where
/// they may, and for other profiles.
[[nodiscard]] std::string why_no_race(const Options& options);

}  // namespace noclash::cpsload
