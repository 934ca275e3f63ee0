// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "dpdk/datapath/spsc_ring.hpp"
#include "nat/conntrack/own_segment.hpp"

namespace noclash::dpdk {

/// What tells an end of a connection that the gateway has ended it.
using FlowReset = nat::OwnSegment<V4>;

/// Such segments on their way from the thread that ends flows (dpdk/control/flow_flush.hpp) to one
/// worker, which sends them. Who ends flows waits while there is no room.
using FlowResets = SpscRing<FlowReset, 1024>;

/// So many does a worker send in one round, between the bursts that it receives ...
inline constexpr std::size_t flow_resets_a_round = 16;
/// ... and in one millisecond, so that a great many do not overrun devices and receivers.
inline constexpr std::size_t flow_resets_a_ms = 256;

}  // namespace noclash::dpdk
