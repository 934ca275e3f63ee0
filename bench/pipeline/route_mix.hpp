// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace noclash::bench {

/// The routers that all of these routes lead to, out of the bench's port "outside".
inline constexpr std::uint32_t mix_routers = 4;

/// A route to a quarter of 203.0.0.0/8, where the bench's servers are, by each of the routers. All
/// routers have the MAC address of the bench's own.
[[nodiscard]] std::string few_routes();

/// These, and `count` more by the same routers. Their lengths are shared out as on the Internet,
/// from /8 to /24, with a twentieth of longer ones, up to /32. Half of them lie in 203.0.0.0/8;
/// none leads where the bench's clients are, nor to a port's subnet.
[[nodiscard]] std::string many_routes(std::uint32_t count);

}  // namespace noclash::bench
