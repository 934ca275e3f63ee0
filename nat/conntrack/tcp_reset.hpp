// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "nat/conntrack/bare_segment.hpp"
#include "nat/packet/packet.hpp"

namespace noclash::nat {

/// Writes into `out` the whole IP packet that answers a segment of a connection that nobody knows,
/// in the name of its receiver: a RST with the numbers that its sender believes (RFC 9293, section
/// 3.10.7.1; RFC 5961, section 3.2). `segment` must have passed `parse` as TCP, must be no RST, and
/// must be as it came.
template <class Family>
void build_tcp_reset(const PacketView& segment, const Parsed<Family>& parsed,
                     std::span<std::uint8_t, bare_segment_bytes<Family>> out);

}  // namespace noclash::nat
