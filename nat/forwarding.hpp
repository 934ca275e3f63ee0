// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include "nat/packet/drop_reason.hpp"
#include "nat/packet/headers.hpp"
#include "nat/packet/icmp.hpp"
#include "nat/packet/packet_context.hpp"
#include "nat/packet/rewrite.hpp"
#include "nat/policy/policy.hpp"

namespace noclash::nat {

/// The packet can go to its hop as it is, as nearly all can.
template <class Family>
[[nodiscard]] bool fits(const PacketContext<Family>& context) {
    return context.parsed.ttl > 1 && context.parsed.length <= context.hop.mtu;
}

/// "Don't fragment" asks a packet that came in fragments for no more than that none of them is
/// cut: it was cut by its sender, who wants to hear of smaller MTUs.
template <class Family>
[[nodiscard]] bool may_be_fragmented(const PacketContext<Family>& context) {
    const std::uint16_t largest = context.packet.largest_fragment;
    const std::uint16_t word = header<IpHeader<Family>>(context.packet, 0).fragment.get().host();
    return (word & IpHeader<Family>::dont_fragment) == 0 ||
           (largest != 0 && largest <= context.hop.mtu);
}

/// How the packet, which need not fit, goes to its hop, or why it cannot [RFC 4787 REQ-13].
/// @param routed  it has one
template <class Family>
[[nodiscard, gnu::noinline]] Verdict routable(const PacketContext<Family>& context, bool routed) {
    if (context.parsed.ttl <= 1) return Verdict::reject(DropReason::ttl, icmp_error::ttl_exceeded);
    if (!routed) return Verdict::reject(DropReason::no_route, icmp_error::net_unreachable);
    if (context.parsed.length <= context.hop.mtu) return Verdict::transmit();
    if (may_be_fragmented(context)) return Verdict::fragment();
    return Verdict::reject(DropReason::too_big, icmp_error::fragmentation_needed(context.hop.mtu));
}

/// Clamps the MSS of a SYN or SYN-ACK. The segments that it asks for will come from behind its hop
/// and go back where it came from.
template <class Family, class RouterType>
[[gnu::always_inline]] inline void clamp_to_path(const PacketContext<Family>& context,
                                                 const Rule<Family>& rule,
                                                 const RouterType& router) {
    if (!rule.mss_clamp || context.parsed.kind != PacketKind::tcp) [[likely]]
        return;
    constexpr std::uint16_t headers = sizeof(IpHeader<Family>) + sizeof(TcpHeader);
    const auto back = router.route(context.parsed.tuple.source);
    const std::uint16_t mtu = back ? std::min(context.hop.mtu, back->mtu) : context.hop.mtu;
    const auto fits = static_cast<std::uint16_t>(mtu - headers);
    clamp_mss<Family>(context.packet, context.parsed, std::min(*rule.mss_clamp, fits));
}

}  // namespace noclash::nat
