// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine/production.hpp"
#include "nat/conntrack/timestamp_clocks.hpp"
#include "nat/packet/packet_ids.hpp"

namespace noclash::dpdk {

/// What goes on over a restart beside flow records, as servers saw it: no clock jumps back, and no
/// identification comes again too soon. It lies in the state file, or in memory of its own.
struct Lasting {
    nat::TimestampClocks<Production> clocks;
    nat::PacketIds<V4> packet_ids;
};

}  // namespace noclash::dpdk
