// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include "nat/packet/drop_reason.hpp"
#include "nat/packet/headers.hpp"
#include "nat/packet/icmp.hpp"
#include "nat/policy/policy.hpp"
#include "nat/packet/rewrite.hpp"
#include "nat/packet/verdict.hpp"

namespace noclash::nat {

/// The packet can go to its hop as it is, as nearly all can.
template <class Family>
[[nodiscard]] bool fits(const Job<Family>& job) {
    return job.parsed.ttl > 1 && job.parsed.length <= job.hop.mtu;
}

/// "Don't fragment" asks a packet that came in fragments for no more than that none of them is
/// cut: it was cut by its sender, who wants to hear of smaller MTUs.
template <class Family>
[[nodiscard]] bool may_be_fragmented(const Job<Family>& job) {
    const std::uint16_t largest = job.packet.largest_fragment;
    const std::uint16_t word = header<IpHeader<Family>>(job.packet, 0).fragment.get().host();
    return (word & IpHeader<Family>::dont_fragment) == 0 ||
           (largest != 0 && largest <= job.hop.mtu);
}

/// How the packet, which need not fit, goes to its hop, or why it cannot [RFC 4787 REQ-13].
/// @param routed  it has one
template <class Family>
[[nodiscard, gnu::noinline]] Verdict routable(const Job<Family>& job, bool routed) {
    if (job.parsed.ttl <= 1) return Verdict::reject(DropReason::ttl, icmp_error::ttl_exceeded);
    if (!routed) return Verdict::reject(DropReason::no_route, icmp_error::net_unreachable);
    if (job.parsed.length <= job.hop.mtu) return Verdict::transmit();
    if (may_be_fragmented(job)) return Verdict::fragment();
    return Verdict::reject(DropReason::too_big, icmp_error::fragmentation_needed(job.hop.mtu));
}

/// Of a SYN or SYN-ACK. The segments that it asks for will come from behind its hop and go back
/// where it came from.
template <class Family, class RouterType>
[[gnu::always_inline]] inline void clamp_to_path(const Job<Family>& job, const Rule<Family>& rule,
                                                 const RouterType& router) {
    if (!rule.mss_clamp || job.parsed.kind != PacketKind::tcp) [[likely]]
        return;
    constexpr std::uint16_t headers = sizeof(IpHeader<Family>) + sizeof(TcpHeader);
    const auto back = router.route(job.parsed.tuple.source);
    const std::uint16_t mtu = back ? std::min(job.hop.mtu, back->mtu) : job.hop.mtu;
    const auto fits = static_cast<std::uint16_t>(mtu - headers);
    clamp_mss<Family>(job.packet, job.parsed, std::min(*rule.mss_clamp, fits));
}

}  // namespace noclash::nat
