// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/tuple_index.hpp"
#include "nat/port_proposals.hpp"
#include "nat/rule_match.hpp"
#include "nat/verdict.hpp"

namespace noclash::nat {

/// What a packet without a flow would open, as far as policy and route decide.
template <class Family>
struct Opening {
    const Rule<Family>* rule;
    std::optional<Hop<Family>> hop;  ///< towards the flow's destination
    Tuple<Family> reply;             ///< before source NAT
    /// That source NAT may choose from; empty when no flow will be set up.
    std::span<const typename Family::Address> addresses;
    PortSet ports;           ///< likewise
    bool preserves_port;     ///< the client's port is tried first
    bool keeps_source;       ///< no source NAT
    Tuple<Family> proposal;  ///< the reply tuple to try first
    std::uint64_t hash;      ///< of `proposal`
};

/// Decides what packets without a flow would open, before anything is claimed, and brings what
/// setting them up will touch into the cache. One per worker.
template <class Family, class RouterType, class Traits>
class Openings {
  public:
    static constexpr std::size_t burst = 32;

    Openings(const PolicyConfig<Family>& policy, const RouterType& router,
             const TupleIndex<Family, Traits>& index, PortProposals<Family, Traits>& proposals)
        : policy_(policy), router_(router), index_(index), proposals_(proposals) {}

    /// For the jobs that `which` numbers; at most `burst` jobs. In three loops: what one stores
    /// field by field, the next loads as a whole, which is quick only when the stores are long
    /// done.
    void prepare(std::span<const Job<Family>> jobs, std::span<const std::uint8_t> which) {
        for (const std::uint8_t i : which)
            apply_policy(jobs[i], openings_[i]);
        for (const std::uint8_t i : which) {
            Opening<Family>& opening = openings_[i];
            const bool draws = !opening.addresses.empty() && !opening.keeps_source;
            opening.proposal = draws ? first_proposal(opening) : opening.reply;
        }
        for (const std::uint8_t i : which) {
            if (openings_[i].addresses.empty()) continue;
            if (ip_protocol::is_portless(openings_[i].proposal.protocol))
                openings_[i].proposal.destination_port = Be16{};
            openings_[i].hash = index_.hash(openings_[i].proposal);
            index_.prefetch_for_write(openings_[i].hash);
        }
    }

    /// Of the job with that number, when the latest `prepare` was told to.
    [[nodiscard]] const Opening<Family>& operator[](std::size_t job) const {
        return openings_[job];
    }

  private:
    using Address = typename Family::Address;

    /// What policy and route say about a packet without a flow.
    void apply_policy(const Job<Family>& job, Opening<Family>& opening) {
        opening.addresses = {};
        opening.rule = first_match<Family>(policy_.rules, job.parsed.tuple, job.ingress_port);
        if (opening.rule == nullptr) return;
        const Rule<Family>& rule = *opening.rule;
        opening.reply = job.parsed.tuple.inverse();
        if (!rule.targets.empty()) redirect(opening.reply, rule.targets);
        opening.hop = router_.route(opening.reply.source);
        if (!opening.hop) return;
        opening.keeps_source = rule.source_nat == SourceNat::keep;
        if (opening.keeps_source) {
            opening.addresses = {&opening.reply.destination, 1};
            opening.ports = PortRange{};
        } else {
            const bool masquerade = rule.source_nat == SourceNat::masquerade;
            const Pool<Family>* pool = masquerade ? nullptr : &policy_.pools[rule.pool];
            opening.addresses = masquerade ? std::span(&opening.hop->port_address, 1)
                                           : addresses_for(job.parsed.tuple.source, *pool);
            const PortLikeness likeness = masquerade ? rule.likeness : pool->likeness;
            opening.ports = likeness.choose_from(masquerade ? rule.ports : pool->ports,
                                                 opening.reply.destination_port.host());
            opening.preserves_port = likeness.preservation;
        }
    }

    /// Those of the pool that an inside host's flows may get.
    static std::span<const Address> addresses_for(const Address& inside, const Pool<Family>& pool) {
        const std::span<const Address> all = pool.addresses;
        if (pool.pooling == Pooling::arbitrary || all.size() == 1) return all;
        return all.subspan(pool.pairing.choose(inside, all.size()), 1);
    }

    Tuple<Family> first_proposal(const Opening<Family>& opening) {
        return opening.preserves_port
                   ? proposals_.preserve(opening.reply, opening.addresses, opening.ports)
                   : proposals_.draw(opening.reply, opening.addresses, opening.ports);
    }

    /// Lets `reply` come from one of `targets`. Of packets that open the same flow at once, each
    /// draws its own, and the one that claims the flow decides for all [field b].
    void redirect(Tuple<Family>& reply, const std::vector<Target<Family>>& targets) {
        const auto count = static_cast<std::uint32_t>(targets.size());
        const Target<Family>& target = targets[count == 1 ? 0 : proposals_.random().below(count)];
        reply.source = target.address;
        if (target.port) reply.source_port = Be16::from_host(*target.port);
    }

    const PolicyConfig<Family>& policy_;
    const RouterType& router_;
    const TupleIndex<Family, Traits>& index_;
    PortProposals<Family, Traits>& proposals_;
    std::array<Opening<Family>, burst> openings_{};  ///< by job
};

}  // namespace noclash::nat
