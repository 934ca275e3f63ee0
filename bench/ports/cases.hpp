// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bench/ports/report.hpp"

namespace noclash::bench {

struct Options {
    std::uint32_t flows = 1U << 20U;  ///< that the flow table has room for
    std::uint32_t fills = 9;          ///< destinations filled from empty
    std::uint32_t crowd_ports = 64512;
    Effort effort;
};

/// Each policy against the share of one destination's ports that is taken.
void against_occupancy(const Options& options, Report& report);
/// One destination, from its first port to its last.
void to_the_last_port(const Options& options, Report& report);
/// Several destinations crowded at once, then more than there are occupancy maps for.
void many_crowds(const Options& options, Report& report);

}  // namespace noclash::bench
