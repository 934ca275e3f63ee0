// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/tuple.hpp"
#include "nat/conntrack/tcp_window.hpp"

namespace noclash::nat {

/// The length of the packets that `build_bare_segment` makes.
template <class Family>
inline constexpr std::size_t bare_segment_bytes = 40;

/// Writes into `out` a whole IP packet from the source of `tuple` to its destination: a TCP segment
/// of the gateway's own, without data and options, and with right checksums. Of `numbers`,
/// sequence, acknowledgment and flags count.
template <class Family>
void build_bare_segment(const Tuple<Family>& tuple, const TcpSegment& numbers,
                        std::span<std::uint8_t, bare_segment_bytes<Family>> out);

}  // namespace noclash::nat
