// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "nat/flow_plan.hpp"
#include "nat/mapping/mappings.hpp"

namespace noclash::nat {

/// Translates the source of the flow that is claimed to the outside endpoint of its mapping
/// [RFC 4787 REQ-1] [RFC 5382 REQ-1] [RFC 5508 REQ-1] [RFC 6888 REQ-7], and reserves the reply
/// tuple that follows from it. The mapping owns the endpoint, so nobody else has it
/// [RFC 4787 REQ-3] [RFC 5382 REQ-7].
template <class Family, class Traits>
[[nodiscard]] SetupError map_source(Mappings<Family, Traits>& mappings,
                                    typename Mappings<Family, Traits>::References& references,
                                    Reservation<Family, Traits>& claim,
                                    const FlowPlan<Family>& plan,
                                    FlowWorker<Family, Traits>& worker, Round<Family> round) {
    Tuple<Family> reply = plan.reply;
    const MappingRequest<Family> request{plan.proposal, plan.hash, plan.offer, plan.source_rule->id,
                                         plan.source_rule->behavior.filtering};
    if (const SetupError error = mappings.hold_source(references, request, reply, round);
        error != SetupError::none)
        return error;
    const bool hairpin = plan.mapping != no_flow;
    const Tuple<Family>& original = claim.record().tuple(Direction::original);
    const Tuple<Family> from_remote = hairpin ? to_destination(original, reply).inverse() : reply;
    if (const SetupError error = mappings.permit(references, from_remote, round.now_ms);
        error != SetupError::none)
        return error;
    if (const SetupError error = claim.reserve(reply); error != SetupError::taken) return error;
    // To its own outside endpoint: a flow cannot be its own answer.
    if (claim.owner().flow == claim.id()) return SetupError::filtered;
    // The same connection, opened from the other side at this moment [RFC 5382 REQ-2], or the one
    // before it, on its way out. Else an untranslated flow, which knows no mappings, is in the way.
    const auto& status = worker.record(claim.owner().flow).status;
    return status.load(std::memory_order_acquire) == FlowStatus::live  // (5)
               ? SetupError::exhausted
               : SetupError::pending;
}

}  // namespace noclash::nat
