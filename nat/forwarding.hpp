// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "nat/drop_reason.hpp"
#include "nat/icmp.hpp"
#include "nat/verdict.hpp"

namespace noclash::nat {

/// The packet can go to its verdict's hop as it is, as nearly all can.
template <class Family>
[[nodiscard]] bool fits(const Job<Family>& job) {
    return job.parsed.ttl > 1 && job.parsed.length <= job.verdict.hop.mtu;
}

/// "Don't fragment" asks a packet that came in fragments for no more than that none of them is
/// cut: it was cut by its sender, who wants to hear of smaller MTUs.
template <class Family>
[[nodiscard]] bool may_be_fragmented(const Job<Family>& job, const Hop<Family>& hop) {
    const std::uint16_t largest = job.packet.largest_fragment;
    return !job.parsed.dont_fragment || (largest != 0 && largest <= hop.mtu);
}

/// A verdict other than `transmit` says why the packet cannot go to `hop`; nothing is no route
/// [RFC 4787 REQ-13].
template <class Family>
[[nodiscard]] Verdict<Family> routable(const Job<Family>& job,
                                       const std::optional<Hop<Family>>& hop) {
    using V = Verdict<Family>;
    if (job.parsed.ttl <= 1) return V::reject(DropReason::ttl, icmp_error::ttl_exceeded);
    if (!hop) return V::reject(DropReason::no_route, icmp_error::net_unreachable);
    if (job.parsed.length > hop->mtu && !may_be_fragmented(job, *hop))
        return V::reject(DropReason::too_big, icmp_error::fragmentation_needed(hop->mtu));
    return V::transmit(*hop);
}

/// The packet goes to its verdict's hop as `job.to`. The whole burst is rewritten when all of it is
/// decided: while flows are on their way from memory, nothing else stands between one and the next.
/// Written in place: a verdict that is handed up and copied costs more than what it says.
template <class Family>
void translated(Job<Family>& job) {
    job.verdict.outcome = Outcome::transmit;
    job.verdict.reason = DropReason::none;
    job.rewrite = true;
}

}  // namespace noclash::nat
