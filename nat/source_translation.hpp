// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "engine/flow_worker.hpp"
#include "engine/reservation.hpp"
#include "nat/conntrack/timestamps.hpp"
#include "nat/flow_plan.hpp"
#include "nat/mapped_source.hpp"
#include "nat/mapping/mappings.hpp"
#include "nat/packet/headers.hpp"
#include "nat/packet/packet_context.hpp"
#include "nat/packet/protocols.hpp"
#include "nat/ports/address_allocator.hpp"
#include "nat/ports/port_allocator.hpp"
#include "nat/reuse/time_wait_reuse.hpp"

namespace noclash::nat {

/// Finds the reply tuple of a claimed flow, and reserves it: the source as it is, one that a
/// mapping has, or one that is drawn; when none is free, one that a finished connection gives up.
/// One per worker.
template <class Family, class Traits>
class SourceTranslation {
  public:
    using Worker = FlowWorker<Family, Traits>;
    using Record = typename Worker::Record;
    using Address = typename Family::Address;
    using Claim = Reservation<Family, Traits>;
    using FlowPlan = nat::FlowPlan<Family>;
    using References = typename Mappings<Family, Traits>::References;

    using Round = nat::Round<Family>;

    /// All outlive this; `timestamps` may be null.
    SourceTranslation(Worker& worker, Timestamps<Family, Traits>* timestamps,
                      Limits<Family, Traits>& limits, PortAllocator<Family, Traits>& proposals,
                      Mappings<Family, Traits>& mappings)
        : worker_(worker),
          timestamps_(timestamps),
          proposals_(proposals),
          mappings_(mappings),
          reuse_(worker.table(), limits) {}

    /// Reserves the reply tuple, and takes the references that the flow needs.
    [[gnu::always_inline]] SetupError translate(Claim& claim, const PacketContext<Family>& context,
                                                const FlowPlan& plan, References& references,
                                                Round round) {
        if (plan.source != SourceBy::drawing || plan.mapping != no_flow) [[unlikely]]
            return translate_otherwise(claim, context, plan, references, round);
        const SetupError error = proposals_.reserve_from(claim, plan.proposal, plan.hash,
                                                         plan.offer, to_moment(round.now_ms));
        if (error == SetupError::none) [[likely]]
            return error;
        return not_reserved(error, claim, context, plan, round);
    }

    /// Flows that succeeded a finished one before its time.
    [[nodiscard]] const Counter& tuples_reused() const { return reused_; }

  private:
    [[gnu::noinline]] SetupError translate_otherwise(Claim& claim,
                                                     const PacketContext<Family>& context,
                                                     const FlowPlan& plan, References& references,
                                                     Round round) {
        const SetupError error = by_its_way(claim, context, plan, references, round);
        if (error != SetupError::none || plan.mapping == no_flow) return error;
        const Record& flow = claim.record();
        return mappings_.hold_destination(
            references, plan.mapping,
            to_destination(flow.tuple(Direction::original), flow.tuple(Direction::reply)));
    }
    SetupError by_its_way(Claim& claim, const PacketContext<Family>& context, const FlowPlan& plan,
                          References& references, Round round) {
        switch (plan.source) {
            case SourceBy::keeping:
                return keep_source(claim, context, plan, round);
            case SourceBy::mapping:
                return map_source(mappings_, references, claim, plan, worker_, round);
            default:
                return choose(claim, context, plan, round);
        }
    }

    /// The source stays, unless that very tuple has another owner: then its port moves.
    SetupError keep_source(Claim& claim, const PacketContext<Family>& context, const FlowPlan& plan,
                           Round round) {
        if (const SetupError error = claim.reserve(plan.reply, plan.hash);
            error != SetupError::taken)
            return error;
        // The owner may be this very connection, opened from the other side at the same moment
        // [RFC 5382 REQ-2] and being set up by another worker: that one's set-up serves both.
        if (claim.owner().direction == Direction::original &&
            worker_.record(claim.owner().flow).status.load(std::memory_order_acquire) !=  // (5)
                FlowStatus::live)
            return SetupError::pending;
        return plan.binds_source ? SetupError::exhausted : choose(claim, context, plan, round);
    }

    SetupError choose(Claim& claim, const PacketContext<Family>& context, const FlowPlan& plan,
                      Round round) {
        const SetupError error = ip_protocol::is_portless(plan.proposal.protocol)
                                     ? reserve_address(claim, plan.proposal, plan.hash,
                                                       plan.offer.addresses, proposals_.random())
                                     : proposals_.reserve_from(claim, plan.proposal, plan.hash,
                                                               plan.offer, to_moment(round.now_ms));
        return error == SetupError::none ? error : not_reserved(error, claim, context, plan, round);
    }
    [[gnu::noinline]] SetupError not_reserved(SetupError error, Claim& claim,
                                              const PacketContext<Family>& context,
                                              const FlowPlan& plan, Round round) {
        const bool given_up =
            error == SetupError::exhausted && succeeds(claim, context, plan, round);
        return given_up ? SetupError::none : error;
    }

    /// No port is free; but a connection that has ended may have one to give. Not for a flow that
    /// may still be given up: of its destination's mapping.
    bool succeeds(Claim& claim, const PacketContext<Family>& context, const FlowPlan& plan,
                  Round round) {
        if (timestamps_ == nullptr || round.policy.tcp_reuse == TcpReuse::never ||
            !is_opening(context.parsed) || plan.mapping != no_flow)
            return false;
        const auto segment_from = [&](const Address& address) {
            return OpeningSegment{
                header<TcpHeader>(context.packet, context.parsed.l4_offset).sequence.get().host(),
                timestamps_->offered(context.packet, context.parsed, address, round.now_ms)};
        };
        const bool done = reuse_.succeed(claim, plan.reply, plan.offer.addresses, plan.offer.ports,
                                         proposals_.random(), round, segment_from);
        if (done) reused_.add();
        return done;
    }

    Worker& worker_;
    Timestamps<Family, Traits>* timestamps_;
    PortAllocator<Family, Traits>& proposals_;
    Mappings<Family, Traits>& mappings_;
    TimeWaitReuse<Family, Traits> reuse_;
    Counter reused_;
};

}  // namespace noclash::nat
