// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "nat/flow_plan.hpp"
#include "nat/mapping/mappings.hpp"
#include "nat/packet/verdict.hpp"

namespace noclash::nat {

/// What becomes of a packet whose flow cannot have the references it needs.
struct NotMapped {
    Outcome outcome;  ///< `reject`: as the policy says of what finds no room
    DropReason reason;
};

[[nodiscard]] constexpr NotMapped not_mapped_because(Mapped why) {
    switch (why) {
        case Mapped::held:  // not asked for
        case Mapped::refused:
            return {Outcome::drop, DropReason::filtered};
        case Mapped::wait:
            return {Outcome::park, DropReason::park_timeout};
        case Mapped::busy:
            return {Outcome::park, DropReason::chain_too_long};
        case Mapped::unfinished:
            return {Outcome::park, DropReason::search_timeout};
        case Mapped::table_full:
            return {Outcome::reject, DropReason::table_full};
        case Mapped::chain_too_long:
            return {Outcome::reject, DropReason::chain_too_long};
        case Mapped::exhausted:
            break;
    }
    return {Outcome::reject, DropReason::exhausted};
}

/// Translates the source of the flow that is claimed to the outside endpoint of its mapping
/// [RFC 4787 REQ-1] [RFC 5382 REQ-1] [RFC 5508 REQ-1] [RFC 6888 REQ-7], and reserves the reply
/// tuple that follows from it. The mapping owns the endpoint, so nobody else has it
/// [RFC 4787 REQ-3] [RFC 5382 REQ-7].
/// @param rule  the number of the rule that translates the source
template <class Family, class Traits>
[[nodiscard]] Mapped map_source(Mappings<Family, Traits>& mappings,
                                typename Mappings<Family, Traits>::References& references,
                                Reservation<Family, Traits>& claim, const FlowPlan<Family>& plan,
                                std::uint16_t rule, FlowWorker<Family, Traits>& worker,
                                std::uint64_t now_ms) {
    Tuple<Family> reply = plan.reply;
    const MappingRequest<Family> request{plan.proposal,
                                         plan.hash,
                                         plan.addresses,
                                         plan.ports,
                                         plan.preserves_port,
                                         rule,
                                         plan.source_rule->behavior.filtering};
    if (const Mapped held = mappings.hold_source(references, request, reply, now_ms);
        held != Mapped::held)
        return held;
    const bool hairpin = plan.mapping != no_flow;
    const Tuple<Family>& original = claim.record().tuple(Direction::original);
    const Tuple<Family> from_remote = hairpin ? to_destination(original, reply).inverse() : reply;
    if (const Mapped held = mappings.permit(references, from_remote, now_ms); held != Mapped::held)
        return held;
    switch (claim.reserve(reply)) {
        case InsertOutcome::inserted:
            return Mapped::held;
        case InsertOutcome::busy:
            return Mapped::busy;
        case InsertOutcome::chain_too_long:
            return Mapped::chain_too_long;
        case InsertOutcome::taken:
            break;
    }
    // To its own outside endpoint: a flow cannot be its own answer.
    if (claim.owner().flow == claim.id()) return Mapped::refused;
    // The same connection, opened from the other side at this moment [RFC 5382 REQ-2], or the one
    // before it, on its way out. Else an untranslated flow, which knows no mappings, is in the way.
    const auto& status = worker.record(claim.owner().flow).status;
    return status.load(std::memory_order_acquire) == FlowStatus::live  // (5)
               ? Mapped::exhausted
               : Mapped::wait;
}

}  // namespace noclash::nat
