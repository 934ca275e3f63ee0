// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "nat/headers.hpp"
#include "nat/packet.hpp"

namespace noclash::dpdk {

/// The Ethernet header of a received frame, which is at least that long.
[[nodiscard]] inline nat::EthernetHeader& ethernet(rte_mbuf* frame) {
    return *rte_pktmbuf_mtod(frame, nat::EthernetHeader*);
}

/// Whether a frame is an IP packet that is sent to `own` alone.
[[nodiscard]] inline bool is_ip_for(rte_mbuf* frame, const nat::MacAddress& own) {
    if (rte_pktmbuf_data_len(frame) < sizeof(nat::EthernetHeader)) return false;
    const nat::EthernetHeader& header = ethernet(frame);
    return header.destination == own && header.type.get() == Be16::from_host(nat::ether_type::ipv4);
}

/// What the device says about a checksum.
[[nodiscard]] inline nat::Checked checked(std::uint64_t flags, std::uint64_t good,
                                          std::uint64_t bad) {
    if ((flags & (good | bad)) == good) return nat::Checked::good;
    if ((flags & (good | bad)) == bad) return nat::Checked::bad;
    return nat::Checked::unknown;
}

/// The IP packet in a frame. One that the device spread over several buffers shows its first part
/// only, and is refused by `parse` as truncated: ports are set up so that it does not happen.
[[nodiscard]] inline nat::PacketView ip_packet(rte_mbuf* frame) {
    return {rte_pktmbuf_mtod_offset(frame, std::uint8_t*, sizeof(nat::EthernetHeader)),
            rte_pktmbuf_data_len(frame) - static_cast<std::uint32_t>(sizeof(nat::EthernetHeader)),
            checked(frame->ol_flags, RTE_MBUF_F_RX_IP_CKSUM_GOOD, RTE_MBUF_F_RX_IP_CKSUM_BAD),
            checked(frame->ol_flags, RTE_MBUF_F_RX_L4_CKSUM_GOOD, RTE_MBUF_F_RX_L4_CKSUM_BAD), 0};
}

}  // namespace noclash::dpdk
