// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_mbuf.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "nat/packet/headers.hpp"
#include "nat/packet/packet.hpp"

namespace noclash::dpdk {

inline constexpr std::uint16_t link_header_bytes = sizeof(nat::EthernetHeader);

/// The Ethernet header of a received frame, which is at least that long.
[[nodiscard]] inline nat::EthernetHeader& ethernet(rte_mbuf* frame) {
    return *rte_pktmbuf_mtod(frame, nat::EthernetHeader*);
}

/// Takes a VLAN tag out of a received frame of at least an Ethernet header and a tag.
inline void remove_vlan_tag(rte_mbuf* frame) {
    auto* bytes = rte_pktmbuf_mtod(frame, std::uint8_t*);
    std::memmove(bytes + sizeof(nat::VlanTag), bytes, offsetof(nat::EthernetHeader, type));
    rte_pktmbuf_adj(frame, sizeof(nat::VlanTag));
    frame->ol_flags &= ~(RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_QINQ);
}

/// Recognizes the IP packets that are sent to one station alone.
class Station {
  public:
    explicit Station(const nat::MacAddress& mac) {
        std::memcpy(&wanted_, mac.bytes.data(), mac.bytes.size());
    }
    /// @param bytes  of a frame of at least an Ethernet header
    [[nodiscard]] bool takes_ip(const std::uint8_t* bytes) const {
        constexpr unsigned beyond = 64 - 8 * sizeof(nat::MacAddress);
        static_assert(std::endian::native == std::endian::little);
        return (nat::word_at<std::uint64_t>(bytes) ^ wanted_) << beyond == 0 &&
               nat::word_at<std::uint16_t>(bytes + offsetof(nat::EthernetHeader, type)) ==
                   Be16::from_host(nat::ether_type::ipv4).wire();
    }

  private:
    std::uint64_t wanted_ = 0;  ///< the address, as it lies in a frame, and zeros
};

/// The device's statement about a checksum.
[[nodiscard]] inline nat::Checked checked(std::uint64_t flags, std::uint64_t good,
                                          std::uint64_t bad) {
    if ((flags & (good | bad)) == good) return nat::Checked::good;
    if ((flags & (good | bad)) == bad) return nat::Checked::bad;
    return nat::Checked::unknown;
}

/// The IP packet in a frame. One that the device spread over several buffers shows its first part
/// only, and is refused by `parse` as truncated: ports are set up so that it does not happen.
inline void take_ip_packet(rte_mbuf* frame, nat::PacketView& view) {
    constexpr std::uint64_t said = RTE_MBUF_F_RX_IP_CKSUM_MASK | RTE_MBUF_F_RX_L4_CKSUM_MASK;
    view = {rte_pktmbuf_mtod_offset(frame, std::uint8_t*, sizeof(nat::EthernetHeader)),
            rte_pktmbuf_data_len(frame) - static_cast<std::uint32_t>(sizeof(nat::EthernetHeader))};
    const std::uint64_t flags = frame->ol_flags;
    if ((flags & said) != 0) {
        view.ip_checksum = checked(flags, RTE_MBUF_F_RX_IP_CKSUM_GOOD, RTE_MBUF_F_RX_IP_CKSUM_BAD);
        view.l4_checksum = checked(flags, RTE_MBUF_F_RX_L4_CKSUM_GOOD, RTE_MBUF_F_RX_L4_CKSUM_BAD);
    }
}
/// Likewise, and also of a frame that is longer than a buffer can say (see
/// dpdk/datapath/reassembly.hpp).
[[nodiscard]] inline nat::PacketView ip_packet(rte_mbuf* frame) {
    nat::PacketView view{};
    take_ip_packet(frame, view);
    if (frame->nb_segs == 1)
        view.length = rte_pktmbuf_pkt_len(frame) - std::uint32_t{sizeof(nat::EthernetHeader)};
    return view;
}

/// How long a frame in one buffer is: only `pkt_len` can say more than 65,535 bytes.
inline void set_frame_bytes(rte_mbuf* frame, std::uint32_t bytes) {
    frame->pkt_len = bytes;
    frame->data_len = static_cast<std::uint16_t>(bytes < UINT16_MAX ? bytes : UINT16_MAX);
}

}  // namespace noclash::dpdk
