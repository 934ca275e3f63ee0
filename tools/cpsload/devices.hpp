// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <string>

#include "dpdk/config/config.hpp"
#include "dpdk/device/port.hpp"
#include "tools/cpsload/clock.hpp"
#include "tools/cpsload/options.hpp"

namespace noclash::cpsload {

inline constexpr Time device_patience = 10 * second;  // for links to come up, and for gateways

/// The options in DPDK's terms. Without devices where the tester runs back to back.
[[nodiscard]] dpdk::Config config_of(const Options& options);

/// memif and NICs take a moment.
/// @throws std::runtime_error
void wait_for_link(const dpdk::Port& port, const Clock& clock, const std::atomic<bool>& stop);

}  // namespace noclash::cpsload
