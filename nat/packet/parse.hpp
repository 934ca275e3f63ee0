// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "nat/packet/drop_reason.hpp"
#include "nat/packet/packet.hpp"
#include "nat/packet/parse_fast.hpp"

namespace noclash::nat {

/// As `parse`, for packets that are unlike most, too.
template <class Family>
[[nodiscard]] DropReason parse_any(const PacketView& packet, std::uint16_t zone,
                                   Parsed<Family>& out);

/// Reads and checks the headers of a packet; `out` means something only when the answer is `none`.
/// A packet that passes is one whose flow can be looked up: complete, not a fragment, and of a
/// protocol that may be forwarded; of ICMP, queries and errors. Reads nothing beyond
/// `packet.length`. Its addresses are checked by finding its flow; who forwards it without one asks
/// `is_martian`. (Of fragments, and of ICMP errors themselves, it is asked here.)
///
/// The transport checksum is not summed here, see `l4_checksum_ok`; what the device already found
/// bad is refused. Any thread.
template <class Family>
[[nodiscard, gnu::always_inline]] inline DropReason parse(const PacketView& packet,
                                                          std::uint16_t zone, Parsed<Family>& out) {
    return parse_fast<Family>(packet, zone, out) ? DropReason::none
                                                 : parse_any<Family>(packet, zone, out);
}

/// Whether the transport checksum is right, summed here unless the device said so. The
/// packet must have passed `parse` and not have been changed since.
template <class Family>
[[nodiscard]] bool l4_checksum_ok(const PacketView& packet, const Parsed<Family>& parsed);

}  // namespace noclash::nat
