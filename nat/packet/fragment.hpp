// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "nat/packet/drop_reason.hpp"
#include "nat/packet/packet.hpp"

namespace noclash::nat {

/// Bytes; offsets of fragments are counted in them (RFC 791, section 3.1).
inline constexpr std::uint32_t fragment_unit = 8;

/// Whether a packet that `parse` refused as `DropReason::fragment` can be a part of a packet of at
/// most `most` bytes (RFC 791, section 3.2): `none`, or why not. Its IP header has been checked by
/// `parse`; whether the parts fit together shows when all are there.
///
/// Small fragments are nothing to refuse: policy and translation see whole packets only, so there
/// is nothing behind which a transport header could hide (RFC 1858, RFC 3128).
template <class Family>
[[nodiscard]] DropReason check_fragment(const PacketView& packet, std::uint32_t most);

}  // namespace noclash::nat
