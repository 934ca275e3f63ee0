// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>

#include "tools/cpsload/clock.hpp"
#include "tools/cpsload/tester.hpp"

namespace noclash::cpsload {

/// Lets the addresses of both sides and their gateways get to know each other, by ARP.
/// @throws std::runtime_error that names who did not answer within `patience`; returns early when
///         `stop` becomes true.
void introduce(Side client, Side server, rte_mempool* packets, const Clock& clock, Time patience,
               const std::atomic<bool>& stop);

}  // namespace noclash::cpsload
