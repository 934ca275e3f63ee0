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

template <class Family>
[[nodiscard]] std::size_t rule_number(const PolicyConfig<Family>& policy,
                                      const Rule<Family>& rule) {
    return static_cast<std::size_t>(&rule - policy.rules.data());
}

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

    /// All outlive this; `timestamps` and `limits` may be null.
    SourceTranslation(Worker& worker, const PolicyConfig<Family>& policy, const Timeouts& timeouts,
                      Timestamps<Family, Traits>* timestamps, Limits<Family, Traits>* limits,
                      PortAllocator<Family, Traits>& proposals, Mappings<Family, Traits>& mappings)
        : worker_(worker),
          policy_(policy),
          timestamps_(timestamps),
          proposals_(proposals),
          mappings_(mappings),
          reuse_(worker.table(), timeouts, limits, policy.tcp.window) {}

    /// Reserves the reply tuple, and takes the references that the flow needs.
    [[gnu::always_inline]] SetupError translate(Claim& claim, const PacketContext<Family>& context,
                                                const FlowPlan& plan, References& references,
                                                std::uint64_t now_ms) {
        now_ms_ = now_ms;
        if (plan.source == SourceBy::drawing && plan.mapping == no_flow) [[likely]]
            return draw(claim, context, plan);
        return translate_otherwise(claim, context, plan, references);
    }

    /// Flows that succeeded a finished one before its time.
    [[nodiscard]] const Counter& tuples_reused() const { return reused_; }

  private:
    [[gnu::noinline]] SetupError translate_otherwise(Claim& claim,
                                                     const PacketContext<Family>& context,
                                                     const FlowPlan& plan, References& references) {
        const SetupError error = by_its_way(claim, context, plan, references);
        if (error != SetupError::none || plan.mapping == no_flow) return error;
        const Record& flow = claim.record();
        return mappings_.hold_destination(
            references, plan.mapping,
            to_destination(flow.tuple(Direction::original), flow.tuple(Direction::reply)));
    }
    SetupError by_its_way(Claim& claim, const PacketContext<Family>& context, const FlowPlan& plan,
                          References& references) {
        switch (plan.source) {
            case SourceBy::keeping:
                return keep_source(claim, context, plan);
            case SourceBy::mapping:
                return map_source(
                    mappings_, references, claim, plan,
                    static_cast<std::uint16_t>(rule_number(policy_, *plan.source_rule)), worker_,
                    now_ms_);
            default:
                return choose(claim, context, plan);
        }
    }

    /// The source stays, unless that very tuple has another owner: then its port moves.
    SetupError keep_source(Claim& claim, const PacketContext<Family>& context,
                           const FlowPlan& plan) {
        if (const SetupError error = claim.reserve(plan.reply, plan.hash);
            error != SetupError::taken)
            return error;
        // The owner may be this very connection, opened from the other side at the same moment
        // [RFC 5382 REQ-2] and being set up by another worker: that one's set-up serves both.
        if (claim.owner().direction == Direction::original &&
            worker_.record(claim.owner().flow).status.load(std::memory_order_acquire) !=  // (5)
                FlowStatus::live)
            return SetupError::pending;
        return plan.binds_source ? SetupError::exhausted : choose(claim, context, plan);
    }

    [[gnu::always_inline]] SetupError draw(Claim& claim, const PacketContext<Family>& context,
                                           const FlowPlan& plan) {
        const SetupError error =
            proposals_.reserve_from(claim, plan.proposal, plan.hash, plan.addresses, plan.ports,
                                    to_moment(now_ms_), plan.locality);
        if (error == SetupError::none) [[likely]]
            return error;
        return not_reserved(error, claim, context, plan);
    }
    SetupError choose(Claim& claim, const PacketContext<Family>& context, const FlowPlan& plan) {
        if (!ip_protocol::is_portless(plan.proposal.protocol)) return draw(claim, context, plan);
        const SetupError error =
            reserve_address(claim, plan.proposal, plan.hash, plan.addresses, proposals_.random());
        return error == SetupError::none ? error : not_reserved(error, claim, context, plan);
    }
    [[gnu::noinline]] SetupError not_reserved(SetupError error, Claim& claim,
                                              const PacketContext<Family>& context,
                                              const FlowPlan& plan) {
        const bool given_up = error == SetupError::exhausted && succeeds(claim, context, plan);
        return given_up ? SetupError::none : error;
    }

    /// No port is free; but a connection that has ended may have one to give. Not for a flow that
    /// may still be given up: of its destination's mapping.
    bool succeeds(Claim& claim, const PacketContext<Family>& context, const FlowPlan& plan) {
        if (timestamps_ == nullptr || policy_.tcp_reuse == TcpReuse::never ||
            !is_opening(context.parsed) || plan.mapping != no_flow)
            return false;
        const auto segment_from = [&](const Address& address) {
            return OpeningSegment{
                header<TcpHeader>(context.packet, context.parsed.l4_offset).sequence.get().host(),
                timestamps_->offered(context.packet, context.parsed, address, now_ms_)};
        };
        const bool done = reuse_.succeed(claim, plan.reply, plan.addresses, plan.ports,
                                         proposals_.random(), now_ms_, segment_from);
        if (done) reused_.add();
        return done;
    }

    Worker& worker_;
    const PolicyConfig<Family>& policy_;
    Timestamps<Family, Traits>* timestamps_;
    PortAllocator<Family, Traits>& proposals_;
    Mappings<Family, Traits>& mappings_;
    TimeWaitReuse<Family, Traits> reuse_;
    Counter reused_;
    std::uint64_t now_ms_ = 0;
};

}  // namespace noclash::nat
