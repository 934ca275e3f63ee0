// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine/base/address.hpp"

// The live storm's topology (tools/lab/topology.py).

namespace noclash::racelab {

inline constexpr V4Address first_source = V4Address::from_host(0x0a010101);     // 10.1.1.1
inline constexpr V4Address service = V4Address::from_host(0x0a010001);          // 10.1.0.1
inline constexpr V4Address gateway_address = V4Address::from_host(0x0a020001);  // 10.2.0.1
inline constexpr V4Address pod = V4Address::from_host(0x0a020002);              // 10.2.0.2
inline constexpr std::uint16_t service_port = 30080;
inline constexpr std::uint16_t pod_port = 80;

}  // namespace noclash::racelab
