// SPDX-License-Identifier: Apache-2.0
#pragma once

// TCP's timestamps option (RFC 7323, section 3.2) in place, the checksum updated incrementally.
// Every function takes a TCP packet that passed `parse`; its addresses and ports may have been
// rewritten. Any thread.

#include <cstdint>

#include "nat/packet/packet.hpp"

namespace noclash::nat {

/// Where the option's TSval lies, counted from the IP header; 0 when the segment has no such
/// option, or a broken option stands before it.
[[nodiscard]] std::uint32_t find_timestamps(const PacketView& packet, std::uint32_t l4_offset);

/// TSval; `at` as `find_timestamps` says.
[[nodiscard]] std::uint32_t timestamp_value(const PacketView& packet, std::uint32_t at);
/// TSecr.
[[nodiscard]] std::uint32_t timestamp_echo(const PacketView& packet, std::uint32_t at);

void set_timestamp_value(const PacketView& packet, std::uint32_t l4_offset, std::uint32_t at,
                         std::uint32_t value);
void set_timestamp_echo(const PacketView& packet, std::uint32_t l4_offset, std::uint32_t at,
                        std::uint32_t value);

/// Puts no-operations where the option was, if it was there. In a SYN: then neither side uses it.
void strip_timestamps(const PacketView& packet, std::uint32_t l4_offset);

}  // namespace noclash::nat
