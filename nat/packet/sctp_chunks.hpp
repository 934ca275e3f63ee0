// SPDX-License-Identifier: Apache-2.0
#pragma once

// SCTP's bytes (RFC 9260): the common header and the chunks that open or end an association.

#include <cstdint>

#include "nat/packet/drop_reason.hpp"
#include "nat/packet/packet.hpp"

namespace noclash::nat {

/// Reads and checks the common header and the chunks of the segment from `offset` to `end`, which
/// must be there. Ports and `flags` are valid only when the answer is `none`.
/// @param flags  the chunks in TCP's words: INIT is SYN, COOKIE ACK is ACK, SHUTDOWN and SHUTDOWN
///               ACK are FIN, ABORT and SHUTDOWN COMPLETE are RST
[[nodiscard]] DropReason read_sctp(const PacketView& packet, std::uint32_t offset,
                                   std::uint32_t end, Be16& source_port, Be16& destination_port,
                                   std::uint8_t& flags);

/// Whether the checksum of a segment that `read_sctp` has passed is right.
[[nodiscard]] bool sctp_checksum_ok(const PacketView& packet, std::uint32_t offset,
                                    std::uint32_t length);

}  // namespace noclash::nat
