// SPDX-License-Identifier: Apache-2.0
#include "dpdk/datapath/fragmenter.hpp"

#include <rte_ip_frag.h>
#include <rte_mbuf.h>

#include "dpdk/datapath/frame.hpp"
#include "nat/packet/checksum.hpp"
#include "nat/packet/headers.hpp"

namespace noclash::dpdk {

namespace {

using Ip = nat::IpHeader<V4>;

/// DPDK leaves both to others.
void finish_header(Ip& ip, bool dont_fragment) {
    if (dont_fragment)
        ip.fragment = Be16::from_host(
            static_cast<std::uint16_t>(ip.fragment.get().host() | Ip::dont_fragment));
    ip.checksum = Be16{};
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&ip);
    ip.checksum = nat::checksum::finish(nat::checksum::sum({bytes, ip.header_length()}));
}

}  // namespace

std::size_t fragment_packet(rte_mbuf* frame, std::uint16_t mtu, rte_mempool* buffers,
                            std::span<rte_mbuf*> fragments) {
    // By copying: transmit queues that free in bulk want direct buffers of one pool in one segment.
    frame->data_off = static_cast<std::uint16_t>(frame->data_off + link_header_bytes);
    set_frame_bytes(frame, rte_pktmbuf_pkt_len(frame) - link_header_bytes);
    auto& ip = *rte_pktmbuf_mtod(frame, Ip*);
    const std::uint16_t word = ip.fragment.get().host();
    const bool dont_fragment = (word & Ip::dont_fragment) != 0;
    ip.fragment = Be16{};  // DPDK refuses "don't fragment"
    const std::int32_t count = rte_ipv4_fragment_copy_nonseg_packet(
        frame, fragments.data(), static_cast<std::uint16_t>(fragments.size()), mtu, buffers);
    if (count <= 0) return 0;
    const auto made = fragments.first(static_cast<std::size_t>(count));
    for (rte_mbuf* fragment : made) {
        finish_header(*rte_pktmbuf_mtod(fragment, Ip*), dont_fragment);
        rte_pktmbuf_prepend(fragment, link_header_bytes);
    }
    return made.size();
}

}  // namespace noclash::dpdk
