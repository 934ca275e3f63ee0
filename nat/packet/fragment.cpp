// SPDX-License-Identifier: Apache-2.0
#include "nat/packet/fragment.hpp"

#include "nat/packet/headers.hpp"

namespace noclash::nat {

template <>
DropReason check_fragment<V4>(const PacketView& packet, std::uint32_t most) {
    const auto& ip = header<IpHeader<V4>>(packet, 0);
    const std::uint32_t header_length = ip.header_length();
    const std::uint32_t payload = ip.total_length.get().host() - header_length;
    const std::uint16_t word = ip.fragment.get().host();
    const bool last = (word & IpHeader<V4>::more_fragments) == 0;
    if (payload == 0 || (!last && payload % fragment_unit != 0))
        return DropReason::fragment_invalid;
    const std::uint32_t offset = (word & IpHeader<V4>::offset_mask) * fragment_unit;
    // Otherwise the length of the whole packet might not fit its field ("ping of death").
    if (header_length + offset + payload > most) return DropReason::fragment_too_big;
    return DropReason::none;
}

}  // namespace noclash::nat
