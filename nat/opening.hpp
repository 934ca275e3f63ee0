// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/tuple_index.hpp"
#include "nat/ports/locality.hpp"
#include "nat/mapping/mapping.hpp"
#include "nat/ports/port_allocator.hpp"
#include "nat/packet/protocols.hpp"
#include "nat/policy/rule_match.hpp"
#include "nat/packet/verdict.hpp"

namespace noclash::nat {

/// How a flow gets its source.
enum class SourceBy : std::uint8_t {
    nothing,          ///< there will be no flow
    keeping,          ///< no source NAT, or a static one: nothing to choose
    mapping,          ///< an endpoint-independent mapping has it
    drawing,          ///< an address and a port of those that there are
    drawing_address,  ///< likewise, of a protocol without ports
};

/// What a packet without a flow would open, as far as policy and route decide. Where it goes is
/// written to its job.
template <class Family>
struct Opening {
    const Rule<Family>* rule;          ///< null: none matches
    const Rule<Family>* source_rule;   ///< that says how the source is translated; mostly the same
    Tuple<Family> reply;               ///< before source NAT
    typename Family::Address outside;  ///< what `masquerade` gives
    SourceBy source;
    bool routed;          ///< the job's hop leads towards the flow's destination
    bool preserves_port;  ///< the client's port is tried first
    bool binds_source;    ///< a static mapping says what the source becomes
    bool redirects;       ///< the destination is translated
    PortSet ports;        ///< that source NAT may choose from
    FlowId mapping;       ///< whose outside endpoint the packet goes to, or `no_flow`
    std::span<const typename Family::Address> addresses;  ///< as `ports`
    Tuple<Family> proposal;  ///< the reply tuple to try first; or the mapping's original tuple
    std::uint64_t hash;      ///< of `proposal`
    /// Of its replies. None of a flow whose source a mapping translates.
    Locality<Family> locality;
};

/// Decides what packets without a flow would open, before anything is claimed, and brings what
/// setting them up will touch into the cache. One per worker.
template <class Family, class RouterType, class Traits>
class Openings {
  public:
    static constexpr std::size_t burst = 32;

    Openings(const PolicyConfig<Family>& policy, const RouterType& router,
             const TupleIndex<Family, Traits>& index, PortAllocator<Family, Traits>& proposals,
             const Localities<Family>& localities)
        : policy_(policy),
          router_(router),
          index_(index),
          proposals_(proposals),
          localities_(localities) {}

    /// What the jobs, at most `burst`, would open, in their order; until the next call. In three
    /// loops: what one stores field by field, the next loads as a whole, which is quick only when
    /// the stores are long done.
    [[nodiscard]] const Opening<Family>* prepare(std::span<Job<Family>* const> jobs) {
        Opening<Family>* opening = openings_.data();
        for (Job<Family>* const job : jobs)
            apply_policy(*job, *opening++);
        opening = openings_.data();
        for (const Job<Family>* const job : jobs) {
            if (opening->source == SourceBy::drawing) [[likely]]
                draw(*opening);
            else
                propose_otherwise(*job, *opening);
            ++opening;
        }
        for (Opening<Family>& prepared : std::span(openings_).first(jobs.size())) {
            if (prepared.source == SourceBy::nothing) continue;
            prepared.hash = index_.hash(prepared.proposal);
            index_.prefetch_for_write(prepared.hash);
        }
        return openings_.data();
    }

    /// Whether a packet to an outside endpoint is of a host whose source is translated outwards.
    /// A rule that says nothing of where it comes from would match those outside, too.
    /// @param outward  what `prepare` made of it
    [[nodiscard]] bool from_inside(const Job<Family>& job, const Opening<Family>& outward) const {
        if (outward.source == SourceBy::nothing || outward.source == SourceBy::keeping)
            return false;
        return outward.rule->ingress_port || !outward.rule->from.empty() ||
               job.hop.port != job.ingress_port;
    }

    /// What a packet to the outside endpoint of a live mapping would open: a flow to its inside
    /// endpoint. From outside its source stays; from inside, hairpin, it becomes what it becomes
    /// towards the outside [RFC 4787 REQ-9] [RFC 5382 REQ-8].
    /// @param job      which gets another hop
    /// @param outward  what `prepare` made of the packet
    template <class Record>
    [[nodiscard]] const Opening<Family>& inward(Job<Family>& job, const Opening<Family>& outward,
                                                FlowId id, const Record& mapping) {
        const bool hairpin = from_inside(job, outward);
        inward_ = outward;
        inward_.mapping = id;
        inward_.rule = outward.source_rule;
        inward_.reply = job.parsed.tuple.inverse();
        inward_.reply.source = mapping.tuple(Direction::original).source;
        inward_.reply.source_port = mapping.tuple(Direction::original).source_port;
        inward_.routed = router_.route(inward_.reply.source, job.hop);
        inward_.locality = {};
        if (!hairpin) {
            inward_.rule = &policy_.rules[mapping.rule];
            inward_.source_rule = inward_.rule;
            keep_source(inward_);
        }
        if (inward_.source == SourceBy::mapping) return inward_;
        inward_.proposal = inward_.reply;
        if (hairpin) draw(inward_);
        inward_.hash = index_.hash(inward_.proposal);
        return inward_;
    }

  private:
    using Address = typename Family::Address;

    void draw(Opening<Family>& opening) {
        if (opening.preserves_port)
            proposals_.preserve(opening.reply, opening.addresses, opening.ports, opening.proposal,
                                opening.locality);
        else
            proposals_.draw(opening.reply, opening.addresses, opening.ports, opening.proposal,
                            opening.locality);
    }

    /// Where address and port need not both be drawn.
    [[gnu::noinline]] void propose_otherwise(const Job<Family>& job, Opening<Family>& opening) {
        if (opening.source == SourceBy::nothing) return;
        const Rule<Family>& rule = *opening.source_rule;
        const bool pool = rule.source_nat == SourceNat::pool;
        opening.proposal = opening.reply;
        if (opening.source == SourceBy::mapping)
            opening.proposal = mapping_of_source(
                job.parsed.tuple, pool ? Address{} : opening.addresses.front(),
                static_cast<std::uint16_t>(pool ? rule.pool + 1U : opening.ports.first()));
        if (opening.source == SourceBy::drawing_address)
            opening.proposal.destination =
                pool ? first_address(opening, policy_.pools[rule.pool]) : opening.outside;
        if (ip_protocol::is_portless(opening.proposal.protocol))
            opening.proposal.destination_port = Be16{};
    }

    /// Without ports; first of all, the address that the inside host has with other protocols.
    const Address& first_address(const Opening<Family>& opening, const Pool<Family>& pool) {
        const auto size = static_cast<std::uint32_t>(pool.addresses.size());
        return pool.addresses[pool.pooling == Pooling::paired
                                  ? pool.pairing.choose(opening.reply.destination, size)
                                  : proposals_.random().below(size)];
    }

    /// What policy and route say about a packet without a flow.
    [[gnu::always_inline]] void apply_policy(Job<Family>& job, Opening<Family>& opening) {
        opening.source = SourceBy::nothing;
        opening.routed = false;
        opening.binds_source = false;
        opening.mapping = no_flow;
        opening.rule = first_match<Family>(policy_.rules, job.parsed.tuple, job.ingress_port);
        if (opening.rule == nullptr) return;
        const Rule<Family>& rule = *opening.rule;
        Tuple<Family>::invert(job.parsed.tuple, opening.reply);
        opening.redirects = !rule.targets.empty();
        if (opening.redirects) redirect(opening.reply, rule.targets);
        if (rule.mapping) bind(job.parsed.tuple, opening);
        opening.routed = router_.route(opening.reply.source, job.hop);
        if (!opening.routed) return;
        opening.source_rule = &rule;
        opening.outside = router_.port_address(job.hop.port);
        if (rule.action == Action::dnat && job.hop.port == job.ingress_port)
            let_answers_come_back(job, opening);
        choose_source(*opening.source_rule, job.hop.port, opening);
    }

    /// What source NAT may choose from.
    void choose_source(const Rule<Family>& rule, std::uint16_t egress_port,
                       Opening<Family>& opening) {
        if (rule.source_nat == SourceNat::keep) return keep_source(opening);
        const bool masquerade = rule.source_nat == SourceNat::masquerade;
        const Pool<Family>* pool = masquerade ? nullptr : &policy_.pools[rule.pool];
        opening.addresses = masquerade ? std::span<const Address>(&opening.outside, 1)
                                       : addresses_for(opening.reply, *pool);
        const PortLikeness likeness = masquerade ? rule.likeness : pool->likeness;
        opening.ports = likeness.choose_from(masquerade ? rule.ports : pool->ports,
                                             opening.reply.destination_port.host(),
                                             ip_protocol::has_ports(opening.reply.protocol));
        opening.preserves_port = likeness.preservation;
        opening.locality = {};
        if (ip_protocol::is_portless(opening.reply.protocol)) [[unlikely]] {
            opening.source = SourceBy::drawing_address;
        } else if (rule.behavior.mapping == Mapping::endpoint_independent) {
            opening.source = SourceBy::mapping;
        } else {
            opening.source = SourceBy::drawing;
            if (!localities_.empty()) [[unlikely]]
                opening.locality = localities_.of(opening.reply, egress_port);
        }
    }
    /// Only when that very tuple is taken, its port moves: within its class.
    static void keep_source(Opening<Family>& opening) {
        constexpr PortRange all{1, 65535};
        opening.source = SourceBy::keeping;
        opening.addresses = {&opening.reply.destination, 1};
        opening.ports = of_same_class(all, opening.reply.destination_port.host());
        opening.locality = {};
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
    void let_answers_come_back(const Job<Family>& job, Opening<Family>& opening) const {
        if (opening.rule->source_nat != SourceNat::keep) return;
        const auto towards = router_.route(job.parsed.tuple.destination);
        if (!towards) return;
        const auto outward = std::ranges::find_if(policy_.rules, [&](const Rule<Family>& rule) {
            return rule.action != Action::dnat && matches(rule, job.parsed.tuple, job.ingress_port);
        });
        if (outward == policy_.rules.end() || outward->source_nat == SourceNat::keep) return;
        opening.source_rule = &*outward;
        opening.outside = router_.port_address(towards->port);
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
    void bind(const Tuple<Family>& tuple, Opening<Family>& opening) const {
        for (const Rule<Family>& rule : policy_.rules) {
            if (!rule.mapping || (rule.protocol && *rule.protocol != tuple.protocol)) continue;
            const StaticMapping<Family>& mapping = *rule.mapping;
            if (!opening.binds_source && mapping.leaves(tuple)) {
                opening.binds_source = true;
                opening.reply.destination = mapping.outside.address;
                if (mapping.outside.port)
                    opening.reply.destination_port = Be16::from_host(*mapping.outside.port);
            }
            if (!opening.redirects && mapping.enters(tuple)) {
                opening.redirects = true;
                opening.reply.source = mapping.inside.address;
                if (mapping.inside.port)
                    opening.reply.source_port = Be16::from_host(*mapping.inside.port);
            }
        }
    }

    const PolicyConfig<Family>& policy_;
    const RouterType& router_;
    const TupleIndex<Family, Traits>& index_;
    PortAllocator<Family, Traits>& proposals_;
    Localities<Family> localities_;
    std::array<Opening<Family>, burst> openings_{};
    Opening<Family> inward_{};  ///< the latest
};

}  // namespace noclash::nat
