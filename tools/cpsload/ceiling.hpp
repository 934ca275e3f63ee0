// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "tools/cpsload/options.hpp"
#include "tools/cpsload/session.hpp"

namespace noclash::cpsload {

/// Whether both sides are packet sockets on interfaces.
[[nodiscard]] bool on_packet_sockets(const Options& options);

/// The tester's ceiling with its two af_packet devices, which a veth pair joins: what the kernel
/// takes for them is part of it. To be called before this process starts DPDK: it is measured in a
/// process and a network namespace of its own, which leaves nothing behind.
/// @returns nothing where this machine does not allow that
[[nodiscard]] std::optional<double> ceiling_on_devices(const Options& options);

/// The ceiling without devices: both sides share memory.
[[nodiscard]] double ceiling_without_devices(const Options& options, const Bench& bench);

}  // namespace noclash::cpsload
