// SPDX-License-Identifier: Apache-2.0
#pragma once

// Translation in place. All checksums are updated incrementally, whatever the device could do: a
// packet that was damaged before it came here still shows it to the receiver. Each function takes a
// packet that passed `parse`; afterwards `parsed` describes what the packet was, not what it is.

#include "nat/packet.hpp"

namespace noclash::nat {

/// Addresses and ports (or the ICMP identifier) become those of `to`. Not for ICMP errors.
template <class Family>
void rewrite(const PacketView& packet, const Parsed<Family>& parsed, const Tuple<Family>& to);

/// Both in one: `rewrite`, unless `to` is the packet's own tuple, and `decrement_ttl`.
template <class Family>
void rewrite_and_forward(const PacketView& packet, const Parsed<Family>& parsed,
                         const Tuple<Family>& to);

/// One hop less; the time to live must be above 0.
template <class Family>
void decrement_ttl(const PacketView& packet);

/// Translates an ICMP error (RFC 5508, requirements 4 and 5): the quoted packet becomes `quoted`,
/// its IP checksum and, as far as it is quoted, its transport checksum with it; the error itself
/// goes from `source` to `destination`. `quoted` keeps the protocol. Lengths and RFC 4884
/// extensions stay as they are.
template <class Family>
void rewrite_icmp_error(const PacketView& packet, const Parsed<Family>& parsed,
                        const Tuple<Family>& quoted, const typename Family::Address& source,
                        const typename Family::Address& destination);

}  // namespace noclash::nat
