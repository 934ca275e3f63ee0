// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace noclash::bench {

/// `count` routes out of the bench's port "outside", by four routers that all have the MAC address
/// of the bench's own. Their lengths are shared out as on the Internet, from /8 to /24, with a
/// twentieth of longer ones, up to /32. Half of them lie in 203.0.0.0/8, where the bench's servers
/// are; none leads where its clients are, nor to a port's subnet.
[[nodiscard]] std::string route_mix(std::uint32_t count);

}  // namespace noclash::bench
