// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nat/conntrack/own_segment.hpp"
#include "nat/packet/packet.hpp"

namespace noclash::nat {

/// What answers a segment of a connection that nobody knows, in the name of its receiver: a RST
/// with the numbers that its sender believes (RFC 9293, section 3.10.7.1; RFC 5961, section 3.2).
/// `segment` must have passed `parse` as TCP, must be no RST, and must be as it came.
template <class Family>
[[nodiscard]] OwnSegment<Family> build_tcp_reset(const PacketView& segment,
                                                 const Parsed<Family>& parsed);

}  // namespace noclash::nat
