// SPDX-License-Identifier: Apache-2.0
#include "dpdk/datapath/frame_kind.hpp"

#include <cstddef>
#include <cstdint>

#include "dpdk/datapath/frame.hpp"

namespace noclash::dpdk {
namespace {

using nat::DropReason;
namespace ether_type = nat::ether_type;

/// A priority tag of a service provider's network and one of its customer's (IEEE 802.1ad).
constexpr int most_tags = 2;

bool is_tag(std::uint16_t type) {
    return type == ether_type::vlan || type == ether_type::service_vlan;
}

/// 01:80:c2:00:00:00 to 0f, which no bridge forwards (IEEE 802.1Q, table 8-1).
bool stays_on_link(const nat::MacAddress& destination) {
    const auto& bytes = destination.bytes;
    return bytes[0] == 1 && bytes[1] == 0x80 && bytes[2] == 0xc2 && bytes[3] == 0 &&
           bytes[4] == 0 && bytes[5] < 0x10;
}

/// The reason to drop a frame that is neither IPv4 nor ARP.
DropReason reason_of(std::uint16_t type, const nat::MacAddress& destination) {
    if (type < ether_type::least || stays_on_link(destination)) return DropReason::link_control;
    switch (type) {
        case ether_type::pause:
        case ether_type::slow_protocols:
        case ether_type::eapol:
        case ether_type::lldp:
        case ether_type::link_oam:
            return DropReason::link_control;
        case ether_type::vlan:
        case ether_type::service_vlan:
            return DropReason::vlan;
        case ether_type::ipv6:
            return DropReason::ipv6;
        default:
            return DropReason::not_ip;
    }
}

/// Takes off the tags that tell a priority only.
/// @return false when the frame ends within a tag
bool remove_priority_tags(rte_mbuf* frame) {
    for (int tags = 0; tags < most_tags; ++tags) {
        if (!is_tag(ethernet(frame).type.get().host())) return true;
        if (rte_pktmbuf_data_len(frame) < sizeof(nat::EthernetHeader) + sizeof(nat::VlanTag))
            return false;
        const auto& tag = *rte_pktmbuf_mtod_offset(frame, const nat::VlanTag*,
                                                   offsetof(nat::EthernetHeader, type));
        if (tag.vlan() != 0) return true;
        remove_vlan_tag(frame);
    }
    return true;
}

}  // namespace

DropReason unfit_frame(rte_mbuf* frame, const nat::MacAddress& own) {
    if (rte_pktmbuf_data_len(frame) < sizeof(nat::EthernetHeader) || !remove_priority_tags(frame))
        return DropReason::truncated;
    const nat::EthernetHeader& header = ethernet(frame);
    const bool to_us = header.destination == own;
    // A frame that a switch floods to all its ports is none of our business, whatever it holds.
    if (!to_us && !header.destination.is_group()) return DropReason::other_station;
    const std::uint16_t type = header.type.get().host();
    if (type == ether_type::ipv4) return to_us ? DropReason::none : DropReason::other_station;
    if (type == ether_type::arp) {
        const bool heard = to_us || header.destination == nat::broadcast_mac;
        return heard ? DropReason::none : DropReason::other_station;
    }
    return reason_of(type, header.destination);
}

}  // namespace noclash::dpdk
