// SPDX-License-Identifier: Apache-2.0
#pragma once

// Translation in place. All checksums are updated incrementally, whatever the device could do: a
// packet that was damaged before it came here still shows it to the receiver. Each function takes a
// packet that passed `parse`; afterwards `parsed` describes what the packet was, not what it is.
// Nothing behind the transport header is ever read or changed [RFC 4787 REQ-10].

#include "nat/packet.hpp"

namespace noclash::nat {

/// Addresses and ports (or the ICMP identifier) become those of `to`. Not for ICMP errors.
template <class Family>
void rewrite(const PacketView& packet, const Parsed<Family>& parsed, const Tuple<Family>& to);

/// Lowers the maximum segment size that a SYN or SYN-ACK names to `most` (RFC 9293, section 3.7.1;
/// bytes of TCP payload). One that names none keeps none: then 536 holds, which fits anywhere.
/// `parsed` must be of a TCP packet; its ports may have been rewritten.
template <class Family>
void clamp_mss(const PacketView& packet, const Parsed<Family>& parsed, std::uint16_t most);

/// Both in one: `rewrite`, unless `to` is the packet's own tuple, and `decrement_ttl`.
template <class Family>
void rewrite_and_forward(const PacketView& packet, const Parsed<Family>& parsed,
                         const Tuple<Family>& to);

/// One hop less; the time to live must be above 0.
template <class Family>
void decrement_ttl(const PacketView& packet);

/// Translates an ICMP error [RFC 5508 REQ-4] [RFC 5508 REQ-5]: the quoted packet becomes `quoted`,
/// its IP checksum and, as far as it is quoted, its transport checksum with it; the error itself
/// goes from `source` to `destination`. `quoted` keeps the protocol. Lengths and extensions stay as
/// they are [RFC 4884].
template <class Family>
void rewrite_icmp_error(const PacketView& packet, const Parsed<Family>& parsed,
                        const Tuple<Family>& quoted, const typename Family::Address& source,
                        const typename Family::Address& destination);

}  // namespace noclash::nat
