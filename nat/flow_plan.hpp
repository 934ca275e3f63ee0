// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/tuple_index.hpp"
#include "nat/mapping/mapping.hpp"
#include "nat/packet/packet_context.hpp"
#include "nat/packet/protocols.hpp"
#include "nat/policy/policy_snapshot.hpp"
#include "nat/ports/locality.hpp"
#include "nat/ports/port_allocator.hpp"
#include "nat/ports/port_offer.hpp"
#include "nat/service_choice.hpp"

namespace noclash::nat {

/// How a flow gets its source.
enum class SourceBy : std::uint8_t {
    nothing,          ///< there will be no flow
    keeping,          ///< no source NAT, or a static one: nothing to choose
    mapping,          ///< an endpoint-independent mapping has it
    drawing,          ///< an address and a port of those that there are
    drawing_address,  ///< likewise, of a protocol without ports
};

/// The flow that a packet without one would set up, as policy and route decide. The packet's hop is
/// written to its context.
template <class Family>
struct FlowPlan {
    const Rule<Family>* rule;          ///< null: none matches
    const Rule<Family>* source_rule;   ///< that says how the source is translated; mostly the same
    Tuple<Family> reply;               ///< before source NAT
    typename Family::Address outside;  ///< what `masquerade` gives
    SourceBy source;
    bool routed;        ///< the packet's hop leads towards the flow's destination
    bool binds_source;  ///< a static mapping says what the source becomes
    bool redirects;     ///< the destination is translated
    /// Whom the flow goes to, of a service; null: the service has no backend, or it is none.
    const ChosenBackend<Family>* backend;
    FlowId mapping;  ///< whose outside endpoint the packet goes to, or `no_flow`
    /// The choice of source NAT; without locality where a mapping translates the source.
    PortOffer<Family> offer;
    Tuple<Family> proposal;  ///< the reply tuple to try first; or the mapping's original tuple
    std::uint64_t hash;      ///< of `proposal`
};

/// Plans the flows of packets without one, before anything is claimed, and brings the memory that
/// their set-up will touch into the cache. One per worker.
template <class Family, class RouterType, class Traits>
class FlowPlanner {
  public:
    static constexpr std::size_t burst = 32;

    using Round = RoutedRound<Family, RouterType>;

    FlowPlanner(const TupleIndex<Family, Traits>& index, PortAllocator<Family, Traits>& proposals,
                const Localities<Family>& localities)
        : index_(index), proposals_(proposals), localities_(localities) {}

    /// The plans of at most `burst` packets, in their order; valid until the next call. In three
    /// loops: one stores a plan field by field, the next loads it as a whole, which is quick only
    /// when the stores are long done. Services are asked before that.
    [[nodiscard]] const FlowPlan<Family>* plan(std::span<PacketContext<Family>* const> contexts,
                                               Round round) {
        assert(contexts.size() <= burst);
        FlowPlan<Family>* plan = plans_.data();
        if (round.policy.service_rules.any()) [[unlikely]] {
            apply_services(contexts, round);
        } else {
            for (PacketContext<Family>* const context : contexts)
                apply_policy(*context, round, *plan++);
            plan = plans_.data();
        }
        for (const PacketContext<Family>* const context : contexts) {
            if (plan->source == SourceBy::drawing) [[likely]]
                proposals_.propose(plan->reply, plan->offer, plan->proposal);
            else
                propose_otherwise(*context, round, *plan);
            ++plan;
        }
        for (FlowPlan<Family>& planned : std::span(plans_).first(contexts.size())) {
            if (planned.source == SourceBy::nothing) continue;
            planned.hash = index_.hash(planned.proposal);
            index_.prefetch_for_write(planned.hash);
        }
        return plans_.data();
    }

    /// Whether a packet to an outside endpoint is of a host whose source is translated outwards.
    /// A rule that says nothing of where it comes from would match those outside, too.
    /// @param outward  the packet's plan
    [[nodiscard]] bool from_inside(const PacketContext<Family>& context,
                                   const FlowPlan<Family>& outward) const {
        if (outward.source == SourceBy::nothing || outward.source == SourceBy::keeping)
            return false;
        return outward.rule->ingress_port || !outward.rule->from.empty() ||
               context.hop.port != context.ingress_port;
    }

    /// The plan of a packet to the outside endpoint of a live mapping: a flow to its inside
    /// endpoint. From outside its source stays; from inside, hairpin, it becomes what it becomes
    /// towards the outside [RFC 4787 REQ-9] [RFC 5382 REQ-8].
    /// @param context  which gets another hop
    /// @param outward  the packet's plan
    /// @return a plan without a rule, when the policy does not have the mapping's any more
    template <class Record>
    [[nodiscard]] const FlowPlan<Family>& inward(PacketContext<Family>& context, Round round,
                                                 const FlowPlan<Family>& outward, FlowId id,
                                                 const Record& mapping) {
        const bool hairpin = from_inside(context, outward);
        inward_ = outward;
        inward_.mapping = id;
        inward_.rule = outward.source_rule;
        inward_.reply = context.parsed.tuple.inverse();
        inward_.reply.source = mapping.tuple(Direction::original).source;
        inward_.reply.source_port = mapping.tuple(Direction::original).source_port;
        inward_.routed = round.policy.router.route(inward_.reply.source, context.hop);
        inward_.offer.locality = {};
        if (!hairpin) {
            inward_.rule = round.policy.find_rule(mapping.rule);
            inward_.source_rule = inward_.rule;
            keep_source(round, inward_);
        }
        if (inward_.source == SourceBy::mapping) return inward_;
        inward_.proposal = inward_.reply;
        if (hairpin) proposals_.propose(inward_.reply, inward_.offer, inward_.proposal);
        inward_.hash = index_.hash(inward_.proposal);
        return inward_;
    }

  private:
    using Address = typename Family::Address;

    /// Where address and port need not both be drawn.
    [[gnu::noinline]] void propose_otherwise(const PacketContext<Family>& context, Round round,
                                             FlowPlan<Family>& plan) {
        if (plan.source == SourceBy::nothing) return;
        const Rule<Family>& rule = *plan.source_rule;
        const Pool<Family>* pool =
            rule.source_nat == SourceNat::pool ? &round.policy.pools[rule.pool] : nullptr;
        plan.proposal = plan.reply;
        if (plan.source == SourceBy::mapping)
            plan.proposal = mapping_of_source(
                context.parsed.tuple, pool != nullptr ? Address{} : plan.offer.addresses.front(),
                static_cast<std::uint16_t>(pool != nullptr ? pool->id + 1U
                                                           : plan.offer.ports.first()));
        if (plan.source == SourceBy::drawing_address)
            plan.proposal.destination = pool != nullptr ? first_address(plan, *pool) : plan.outside;
        if (ip_protocol::is_portless(plan.proposal.protocol))
            plan.proposal.destination_port = Be16{};
    }

    /// Without ports; first of all, the address that the inside host has with other protocols.
    const Address& first_address(const FlowPlan<Family>& plan, const Pool<Family>& pool) {
        const auto size = static_cast<std::uint32_t>(pool.addresses.size());
        return pool.addresses[pool.pooling == Pooling::paired
                                  ? pool.pairing.choose(plan.reply.destination, size)
                                  : proposals_.random().below(size)];
    }

    /// Applies services, then rules and routes to packets without a flow.
    [[gnu::noinline]] void apply_services(std::span<PacketContext<Family>* const> contexts,
                                          Round round) {
        const ServiceChoice<Family>* choice =
            services_.choose(contexts, round.policy.service_rules);
        FlowPlan<Family>* plan = plans_.data();
        for (PacketContext<Family>* const context : contexts) {
            if (choice->rule == nullptr)
                apply_policy(*context, round, *plan);
            else
                apply_service(*context, round, *choice, *plan);
            ++choice;
            ++plan;
        }
    }
    /// Lets the flow go to the backend that was chosen.
    void apply_service(PacketContext<Family>& context, Round round,
                       const ServiceChoice<Family>& choice, FlowPlan<Family>& plan) {
        const auto& [policy, now_ms] = round;
        begin(plan);
        plan.rule = choice.rule;
        plan.backend = choice.backend;
        plan.redirects = true;
        Tuple<Family>::invert(context.parsed.tuple, plan.reply);
        if (choice.backend == nullptr) return;
        __builtin_prefetch(&choice.backend->counters->openings, 1);
        plan.reply.source = choice.backend->address;
        if (choice.backend->port != Be16{}) plan.reply.source_port = choice.backend->port;
        plan.routed = policy.router.route(plan.reply.source, context.hop);
        if (!plan.routed) return;
        plan.source_rule = choice.rule;
        plan.outside = policy.router.port_address(context.hop.port);
        const bool keeps = choice.head->source_nat() == SourceNat::keep;
        if (keeps && context.hop.port != context.ingress_port) return keep_source(round, plan);
        if (keeps) plan.source_rule = &policy.service_rules.hairpin();
        choose_source(*plan.source_rule, context.hop.port, round, plan);
    }

    static void begin(FlowPlan<Family>& plan) {
        plan.source = SourceBy::nothing;
        plan.routed = false;
        plan.binds_source = false;
        plan.mapping = no_flow;
        plan.backend = nullptr;
    }

    /// Applies rules and routes to a packet without a flow that is for no service.
    [[gnu::always_inline]] void apply_policy(PacketContext<Family>& context, Round round,
                                             FlowPlan<Family>& plan) {
        const auto& [policy, now_ms] = round;
        begin(plan);
        plan.rule = policy.classifier.find(context.parsed.tuple, context.ingress_port);
        if (plan.rule == nullptr) return;
        const Rule<Family>& rule = *plan.rule;
        Tuple<Family>::invert(context.parsed.tuple, plan.reply);
        plan.redirects = !rule.targets.empty();
        if (plan.redirects) redirect(plan.reply, rule.targets);
        if (rule.mapping) bind(context.parsed.tuple, policy.bindings, plan);
        plan.routed = policy.router.route(plan.reply.source, context.hop);
        if (!plan.routed) return;
        plan.source_rule = &rule;
        plan.outside = policy.router.port_address(context.hop.port);
        if (rule.action == Action::dnat && context.hop.port == context.ingress_port)
            let_answers_come_back(context, round, plan);
        choose_source(*plan.source_rule, context.hop.port, round, plan);
    }

    /// Fills in the offer of source NAT.
    void choose_source(const Rule<Family>& rule, std::uint16_t egress_port, Round round,
                       FlowPlan<Family>& plan) {
        if (rule.source_nat == SourceNat::keep) return keep_source(round, plan);
        const bool masquerade = rule.source_nat == SourceNat::masquerade;
        const Pool<Family>* pool = masquerade ? nullptr : &round.policy.pools[rule.pool];
        PortOffer<Family>& offer = plan.offer;
        offer.reserved = &round.policy.reserved_ports;
        offer.addresses = masquerade ? std::span<const Address>(&plan.outside, 1)
                                     : addresses_for(plan.reply, *pool);
        const PortLikeness likeness = masquerade ? rule.likeness : pool->likeness;
        offer.ports = likeness.choose_from(masquerade ? rule.ports : pool->ports,
                                           plan.reply.destination_port.host(),
                                           ip_protocol::has_ports(plan.reply.protocol));
        offer.preserves_port = likeness.preservation;
        offer.locality = {};
        if (ip_protocol::is_portless(plan.reply.protocol)) [[unlikely]] {
            plan.source = SourceBy::drawing_address;
        } else if (rule.behavior.mapping == Mapping::endpoint_independent) {
            plan.source = SourceBy::mapping;
        } else {
            plan.source = SourceBy::drawing;
            if (!localities_.empty()) [[unlikely]]
                offer.locality = localities_.of(plan.reply, egress_port);
        }
    }
    /// Only when that very tuple is taken, its port moves: within its class.
    static void keep_source(Round round, FlowPlan<Family>& plan) {
        constexpr PortRange all{1, 65535};
        plan.source = SourceBy::keeping;
        plan.offer = {.addresses = {&plan.reply.destination, 1},
                      .ports = of_same_class(all, plan.reply.destination_port.host()),
                      .reserved = &round.policy.reserved_ports};
    }

    /// Those of the pool that a flow may get. Without ports, a paired address stands for one inside
    /// host at a time: then any other is better than none.
    static std::span<const Address> addresses_for(const Tuple<Family>& reply,
                                                  const Pool<Family>& pool) {
        const std::span<const Address> all = pool.addresses;
        const bool pairs = pool.pooling == Pooling::paired && all.size() > 1;
        if (!pairs || ip_protocol::is_portless(reply.protocol)) return all;
        return all.subspan(pool.pairing.choose(reply.destination, all.size()), 1);
    }

    /// A port-forward sends the packet back to the link that it came from: with its source kept,
    /// the answer would go past us. So its source becomes what it becomes towards the outside,
    /// where the client took the service to be: hairpin [RFC 4787 REQ-9] [RFC 5382 REQ-8].
    static void let_answers_come_back(const PacketContext<Family>& context, Round round,
                                      FlowPlan<Family>& plan) {
        const auto& [policy, now_ms] = round;
        if (plan.rule->source_nat != SourceNat::keep) return;
        const auto towards = policy.router.route(context.parsed.tuple.destination);
        if (!towards) return;
        const Rule<Family>* outward =
            policy.outward.find(context.parsed.tuple, context.ingress_port);
        if (outward == nullptr || outward->source_nat == SourceNat::keep) return;
        plan.source_rule = outward;
        plan.outside = policy.router.port_address(towards->port);
    }

    /// Lets `reply` come from one of `targets`. Of packets that open the same flow at once, each
    /// draws its own, and the one that claims the flow decides for all [field b].
    void redirect(Tuple<Family>& reply, const std::vector<Target<Family>>& targets) {
        const auto count = static_cast<std::uint32_t>(targets.size());
        const Target<Family>& target = targets[count == 1 ? 0 : proposals_.random().below(count)];
        reply.source = target.address;
        if (target.port) reply.source_port = Be16::from_host(*target.port);
    }

    /// Either end of the flow may be bound, or both: then inside hosts meet by their outside
    /// addresses (RFC 4787 REQ-9).
    static void bind(const Tuple<Family>& tuple, const StaticBindings<Family>& bindings,
                     FlowPlan<Family>& plan) {
        if (const StaticMapping<Family>* mapping = bindings.leaving(tuple)) {
            plan.binds_source = true;
            plan.reply.destination = mapping->outside.address;
            if (mapping->outside.port)
                plan.reply.destination_port = Be16::from_host(*mapping->outside.port);
        }
        if (const StaticMapping<Family>* mapping = bindings.entering(tuple)) {
            plan.redirects = true;
            plan.reply.source = mapping->inside.address;
            if (mapping->inside.port)
                plan.reply.source_port = Be16::from_host(*mapping->inside.port);
        }
    }

    const TupleIndex<Family, Traits>& index_;
    PortAllocator<Family, Traits>& proposals_;
    Localities<Family> localities_;
    ServiceChooser<Family> services_;
    std::array<FlowPlan<Family>, burst> plans_{};
    FlowPlan<Family> inward_{};  ///< the latest
};

}  // namespace noclash::nat
