// SPDX-License-Identifier: Apache-2.0
#pragma once

// # The pipeline
//
// What happens to a burst of IP packets, in the order it happens (`Pipeline::process`):
//
//     parse      bytes -> tuple, or a drop with its reason; prefetch its bucket
//     look up    bucket -> the flow that it probably is; prefetch it
//     hit        `track` its state, `forward` it: time to live, MTU
//     being set up by another worker          -> park, and adopt the winner's flow next time
//     prepare    for those without a flow: policy, route, a first proposal; prefetch its bucket
//     open       `set_up`: claim, reserve, publish; then as a hit
//     rewrite    what was forwarded
//
// Each is a loop over the whole burst, so that cache misses overlap.
//
// Policy, route and MTU are decided *before* the claim, so that nothing has to be undone because of
// them. Every way out is a Verdict; every drop has a reason. Nothing here allocates, locks, logs or
// makes a system call.

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/flow_worker.hpp"
#include "engine/reservation.hpp"
#include "nat/conntrack.hpp"
#include "nat/early_drop.hpp"
#include "nat/forwarding.hpp"
#include "nat/headers.hpp"
#include "nat/limits.hpp"
#include "nat/opening.hpp"
#include "nat/parse.hpp"
#include "nat/port_proposals.hpp"
#include "nat/rewrite.hpp"
#include "nat/served_ports.hpp"
#include "nat/source_translation.hpp"
#include "nat/step_cycles.hpp"
#include "nat/timestamps.hpp"
#include "nat/tuple_reuse.hpp"
#include "nat/verdict.hpp"

namespace noclash::nat {

/// What a pipeline counts beside drops. Written by its worker.
struct PipelineCounters {
    Counter clash_resolved;  ///< packets that adopted a flow another worker was setting up
    Counter uncounted;       ///< flows that limits do not know: the table of sources had no place
};

template <class Family, class RouterType, class Traits = Production>
requires Router<RouterType, Family>
class Pipeline {
  public:
    using Worker = FlowWorker<Family, Traits>;
    using Record = typename Worker::Record;
    using Address = typename Family::Address;

    static constexpr std::size_t burst = Openings<Family, RouterType, Traits>::burst;

    /// What all workers share, and lives as long as the pipelines.
    struct Shared {
        const PolicyConfig<Family>& policy;
        const Timeouts& timeouts;
        const RouterType& router;
        const ServedPorts<Family>& served;
        CrowdedDestinations<Family, Traits>& crowded;
        Timestamps<Family, Traits>* timestamps = nullptr;  ///< null: they pass as they are
        Limits<Family, Traits>* limits = nullptr;          ///< null: none
        std::span<const Steering<Family>> steering = {};   ///< by port; empty: no locality
    };

    Pipeline(Worker& worker, const Shared& shared)
        : worker_(worker),
          shared_(shared),
          proposals_(shared.crowded, shared.served),
          openings_(shared.policy, shared.router, worker.table().index(), proposals_,
                    Localities<Family>(shared.steering, worker.id())),
          mappings_(worker, shared.crowded, proposals_, shared.limits, shared.timeouts),
          source_(worker, shared.policy, shared.timeouts, shared.timestamps, shared.limits,
                  proposals_, mappings_),
          maps_endpoints_(has_mappings(shared.policy)),
          rule_hits_(shared.policy.rules.size()),
          early_drop_(worker, shared.policy.early_drop) {}

    /// Gives each job its verdict; at most `burst` jobs.
    void process(std::span<Job<Family>> jobs, std::uint64_t now_ms) {
        now_ms_ = now_ms;
        attends_all_ = !shared_.timeouts.inbound_refresh ||
                       (shared_.timestamps != nullptr && shared_.timestamps->changes_all());
        end_step(Step::receive);
        const auto& index = worker_.table().index();
        for (Job<Family>& job : jobs) {
            job.rewrite = false;
            job.verdict.outcome = Outcome::drop;
            job.verdict.reason = parse<Family>(job.packet, 0, job.parsed);
            // An ICMP error concerns the flow of the packet it quotes, seen from the other side.
            if (job.parsed.kind == PacketKind::icmp_error) [[unlikely]]
                job.parsed.tuple = job.parsed.tuple.inverse();
            job.hash = index.hash(job.parsed.tuple);
            index.prefetch(job.hash);
        }
        end_step(Step::parse);
        // Whatever did not parse is looked up, too: that is less than to ask each time.
        for (Job<Family>& job : jobs) {
            job.found = index.candidate(job.hash);
            worker_.table().pool().prefetch_far(job.found.flow);
        }
        end_step(Step::look_up);
        std::array<std::uint8_t, burst> without_flow;
        std::size_t misses = 0;
        for (std::size_t i = 0; i < jobs.size(); ++i) {
            Job<Family>& job = jobs[i];
            if (!parsed(job)) continue;
            Record& likely = worker_.record(job.found.flow);
            if (likely.tuple(job.found.direction) == job.parsed.tuple) [[likely]]
                hit(job, likely, job.found.direction);
            else
                without_flow[misses++] = static_cast<std::uint8_t>(i);
        }
        end_step(Step::hit);
        open(jobs, std::span(without_flow).first(misses));
        for (const Job<Family>& job : jobs)
            if (job.rewrite) rewrite_and_forward<Family>(job.packet, job.parsed, job.to);
        end_step(Step::rewrite);
    }

    /// Has each step timed from now on; null: no longer. The pipeline's owner times what is before
    /// and after, with the same clock.
    void profile(StepCycles* cycles) { cycles_ = cycles; }

    /// Between bursts: timers, reclamation, random numbers.
    void maintain(std::uint64_t now_ms, std::uint32_t budget) {
        worker_.maintain(now_ms, budget, mappings_.end(), [this, now_ms](Record& record) {
            return mappings_.lives_on(record, now_ms);
        });
        early_drop_.round_is_over();
        proposals_.top_up();
    }

    /// Random numbers for whatever else its worker decides.
    [[nodiscard]] RandomBuffer& random() { return proposals_.random(); }

    [[nodiscard]] const PipelineCounters& counters() const { return counters_; }
    /// Flows that succeeded a finished one before its time.
    [[nodiscard]] const Counter& tuples_reused() const { return source_.tuples_reused(); }
    [[nodiscard]] const MappingCounters& mapping_counters() const { return mappings_.counters(); }
    [[nodiscard]] const EarlyDrop<Family, Traits>& early_drop() const { return early_drop_; }
    [[nodiscard]] std::uint64_t rule_hits(std::size_t rule) const {
        return rule_hits_[rule].value();
    }

  private:
    /// Segments that may end or restart a connection.
    static constexpr std::uint8_t decisive = tcp_flag::syn | tcp_flag::fin | tcp_flag::rst;

    using V = Verdict<Family>;
    using Claim = Reservation<Family, Traits>;
    using Opening = nat::Opening<Family>;
    using References = typename Mappings<Family, Traits>::References;

    static bool has_mappings(const PolicyConfig<Family>& policy) {
        return std::ranges::any_of(policy.rules, [](const Rule<Family>& rule) {
            return rule.behavior.mapping == Mapping::endpoint_independent;
        });
    }
    static bool parsed(const Job<Family>& job) { return job.verdict.reason == DropReason::none; }

    void end_step(Step step) {
        if (cycles_ != nullptr) [[unlikely]]
            cycles_->end(step);
    }

    /// Flows are found by both ends' addresses and ports, so what comes from anybody but a flow's
    /// peer finds none: APDF, unless a mapping says otherwise [RFC 4787 REQ-8] [RFC 5382 REQ-3].
    void open(std::span<Job<Family>> jobs, std::span<const std::uint8_t> which) {
        if (which.empty()) [[likely]]
            return;
        openings_.prepare(jobs, which);
        end_step(Step::prepare);
        for (const std::uint8_t i : which) {
            Job<Family>& job = jobs[i];
            // The bucket may have pointed to another flow; or a packet before this one in the burst
            // may have set the flow up.
            if (const Found found = worker_.table().index().find(job.parsed.tuple, job.hash)) {
                hit_late(job, found);
                continue;
            }
            const V verdict = miss(job, openings_[i]);
            if (!job.rewrite) job.verdict = verdict;  // else `translated` has written the same
        }
        end_step(Step::open);
    }

    [[gnu::always_inline]] void hit(Job<Family>& job, Record& flow, Direction direction) {
        if (flow.status.load(std::memory_order_acquire) != FlowStatus::live) {  // (5)
            job.verdict = V::park();
        } else if (job.parsed.kind == PacketKind::icmp_error) {
            job.verdict = translate_error(job, flow, direction);
        } else {
            forward(job, flow, direction);
        }
    }

    /// As `hit`, where it is too rare to be inlined.
    [[gnu::noinline]] void hit_late(Job<Family>& job, Found found) {
        hit(job, worker_.record(found.flow), found.direction);
    }

    [[gnu::always_inline]] void forward(Job<Family>& job, Record& flow, Direction direction) {
        Tuple<Family>::invert(flow.tuple(opposite(direction)), job.to);
        const bool routed = shared_.router.route(job.to.destination, job.verdict.hop);
        if (!routed || !fits(job)) [[unlikely]] {
            const auto hop = routed ? std::optional(job.verdict.hop) : std::nullopt;
            if (const V verdict = routable(job, hop); verdict.outcome != Outcome::transmit) {
                job.verdict = verdict;
                return;
            }
        }
        if (is_eventful(job, flow)) [[unlikely]] {
            if (!attend(job, flow, direction)) return;
        } else if (const DropReason reason = track(job, flow, direction);
                   reason != DropReason::none) [[unlikely]] {
            job.verdict.reason = reason;
            return;
        }
        translated(job);
    }

    [[gnu::always_inline]] DropReason track(Job<Family>& job, Record& flow, Direction direction) {
        return nat::track(flow, direction, job.packet, job.parsed, shared_.timeouts,
                          shared_.policy.tcp.window, now_ms_);
    }

    /// Whether more is to be seen to than the flow's state and timeout. Of what comes on
    /// established flows, hardly ever.
    bool is_eventful(const Job<Family>& job, const Record& flow) const {
        if (attends_all_) return true;
        if ((flow.marks.load(std::memory_order_relaxed) & flow_mark::half_open) != 0) return true;
        if ((job.parsed.tcp_flags & decisive) != 0) return true;
        return job.parsed.kind == PacketKind::tcp && tcp_state(flow) != TcpState::established;
    }

    /// Tracks a packet, with all that hangs on its flow's state; false when it goes no further, and
    /// then the verdict says why.
    [[gnu::noinline]] bool attend(Job<Family>& job, Record& flow, Direction direction) {
        bool reopens = false;
        // What may end or restart a connection is checked whole, like what opens one.
        if ((job.parsed.tcp_flags & decisive) != 0) {
            if (!l4_checksum_ok<Family>(job.packet, job.parsed)) {
                job.verdict.reason = DropReason::bad_l4_checksum;
                return false;
            }
            reopens = is_opening(job.parsed) && direction == Direction::original &&
                      is_over(tcp_state(flow));
            if (reopens && shared_.limits != nullptr && !may_reopen(job, flow)) return false;
        }
        if (const DropReason reason = track(job, flow, direction); reason != DropReason::none) {
            job.verdict.reason = reason;
            return false;
        }
        if (reopens && flow.status.load(std::memory_order_seq_cst) != FlowStatus::live) {  // (33)
            job.verdict = V::park();  // another worker may be giving the tuple to a new flow
            return false;
        }
        if (!shared_.timeouts.inbound_refresh)
            mappings_.note_outward(flow, direction, flow.expires.load(std::memory_order_relaxed));
        if ((flow.marks.load(std::memory_order_relaxed) & flow_mark::half_open) != 0 &&
            !is_half_open(flow))
            shared_.limits->opened(flow);
        if ((job.parsed.tcp_flags & tcp_flag::syn) != 0 && flow.rule < shared_.policy.rules.size())
            clamp(job, shared_.policy.rules[flow.rule]);
        if (shared_.timestamps != nullptr && job.parsed.kind == PacketKind::tcp)
            shared_.timestamps->passes(job.packet, job.parsed, flow, direction, reopens, now_ms_);
        return true;
    }

    /// A SYN on a finished connection makes one more that is half open; when it may not, the
    /// verdict says why.
    bool may_reopen(Job<Family>& job, Record& flow) {
        const Admitted admitted = shared_.limits->reopen(flow, worker_.id());
        if (!is_in(admitted)) job.verdict = refused(admitted);
        return is_in(admitted);
    }

    /// The segments that a SYN asks for will come from behind its hop and go back where it came
    /// from.
    void clamp(Job<Family>& job, const Rule<Family>& rule) const {
        if (!rule.mss_clamp || job.parsed.kind != PacketKind::tcp) return;
        constexpr std::uint16_t headers = sizeof(IpHeader<Family>) + sizeof(TcpHeader);
        const auto back = shared_.router.route(job.parsed.tuple.source);
        const std::uint16_t mtu =
            back ? std::min(job.verdict.hop.mtu, back->mtu) : job.verdict.hop.mtu;
        const auto fits = static_cast<std::uint16_t>(mtu - headers);
        clamp_mss<Family>(job.packet, job.parsed, std::min(*rule.mss_clamp, fits));
    }

    /// The quoted packet gets back the addresses its sender knows, and where the sender knows
    /// another destination than the error's reporter, the error comes from there: [RFC 5508 REQ-4]
    /// [RFC 5508 REQ-5] [RFC 5382 REQ-9]; of a hairpinned flow too [RFC 5508 REQ-7]. Neither state
    /// nor timeout of the flow changes: [RFC 5508 REQ-6] [RFC 4787 REQ-12] [RFC 5382 REQ-10].
    V translate_error(Job<Family>& job, const Record& flow, Direction direction) {
        if (!l4_checksum_ok<Family>(job.packet, job.parsed))
            return V::drop(DropReason::bad_l4_checksum);
        const auto& outer = header<IpHeader<Family>>(job.packet, 0);
        // The error goes to whom the quoted packet came from, as its reporter saw it.
        if (outer.destination.get() != job.parsed.tuple.destination)
            return V::drop(DropReason::icmp_unrelated);
        const Tuple<Family>& quoted = flow.tuple(opposite(direction));
        const Address sender = outer.source.get();
        const Address source =
            quoted.destination == job.parsed.tuple.source ? sender : quoted.destination;
        const auto hop = shared_.router.route(quoted.source);
        if (const V verdict = routable(job, hop); verdict.outcome != Outcome::transmit)
            return V::drop(verdict.reason);  // no error about an error
        rewrite_icmp_error<Family>(job.packet, job.parsed, quoted, source, quoted.source);
        decrement_ttl<Family>(job.packet);
        return V::transmit(*hop);
    }

    V miss(Job<Family>& job, const Opening& opening) {
        const Parsed<Family>& packet = job.parsed;
        if (packet.kind == PacketKind::icmp_error) return V::drop(DropReason::icmp_unrelated);
        // What may open a flow is checked whole: a corrupted packet must not make state.
        if (!l4_checksum_ok<Family>(job.packet, packet))
            return V::drop(DropReason::bad_l4_checksum);

        if (packet.kind == PacketKind::tcp && !may_open(packet.tcp_flags, shared_.policy.tcp))
            return V::drop(DropReason::tcp_not_syn);

        if (packet.kind == PacketKind::sctp && (packet.tcp_flags & tcp_flag::syn) == 0)
            return V::drop(DropReason::sctp_not_init);

        const Rule<Family>* rule = opening.rule;
        if (rule != nullptr && forbids(rule->action)) {
            rule_hits_[rule_number(*rule)].add();
            return rule->action == Action::drop
                       ? V::drop(DropReason::rule)
                       : V::reject(DropReason::rejected, icmp_error::admin_prohibited);
        }
        const bool own = shared_.router.is_own(packet.tuple.destination);
        if (own && maps_endpoints_)
            if (const std::optional<V> verdict = to_mapping(job, opening)) return *verdict;
        if (own && (rule == nullptr || !opening.redirects)) return local(job);
        if (packet.kind == PacketKind::icmp_reply) return V::drop(DropReason::icmp_unrelated);
        if (rule == nullptr) return V::drop(DropReason::no_rule);
        return set_up(job, opening);
    }

    /// To the outside endpoint of a mapping, from outside or, hairpin, from inside; nothing, when
    /// it is not, or when a service may have the packet. (A service with ports of its own has them
    /// for itself; one with all ports of an address shares it with mappings.)
    std::optional<V> to_mapping(Job<Family>& job, const Opening& opening) {
        const Parsed<Family>& packet = job.parsed;
        if (packet.kind != PacketKind::tcp && packet.kind != PacketKind::udp &&
            packet.kind != PacketKind::udp_lite)
            return {};
        const bool service = opening.rule != nullptr && opening.rule->action == Action::dnat;
        if (service && opening.rule->to_port) return {};
        const Found found = mappings_.find_destination(packet.tuple);
        if (!found) return {};
        const Record& mapping = worker_.record(found.flow);
        if (mapping.status.load(std::memory_order_acquire) != FlowStatus::live)  // (5)
            return V::park();
        const Opening& inward = openings_.inward(job, opening, found.flow, mapping);
        // Of a hairpin, the remote is known only when its source is translated.
        const bool open = shared_.timeouts.inbound_refresh || mappings_.in_use(found.flow, now_ms_);
        if (inward.keeps_source && !(open && mappings_.admits(found.flow, packet.tuple))) {
            if (service) return {};
            return V::drop(DropReason::filtered);
        }
        return set_up(job, inward);
    }

    std::size_t rule_number(const Rule<Family>& rule) const {
        return nat::rule_number(shared_.policy, rule);
    }

    /// To one of our own addresses, and no service of ours: echo is answered, the rest is not ours,
    /// and gets no answer [RFC 5382 REQ-4].
    V local(Job<Family>& job) {
        if (!is_echo_request<Family>(job.packet, job.parsed))
            return V::drop(DropReason::unsolicited);
        const auto hop = shared_.router.route(job.parsed.tuple.source);
        if (!hop) return V::drop(DropReason::no_route);
        make_echo_reply<Family>(job.packet, job.parsed);
        return V::transmit(*hop);
    }

    V no_room(DropReason reason) const { return nat::no_room(shared_.policy, reason); }

    /// Over a limit. Half-open connections that are too many are dropped in silence, as by a full
    /// backlog: their sources may be forged.
    V refused(Admitted admitted) const {
        if (admitted == Admitted::busy) return V::park();
        const DropReason reason = reason_of(admitted);
        return concerns_half_open(admitted) ? V::drop(reason) : no_room(reason);
    }

    /// The life of a first packet: claim, reserve, fill in, publish [field a].
    V set_up(Job<Family>& job, const Opening& opening) {
        const auto& hop = opening.hop;
        if (const V verdict = routable(job, hop); verdict.outcome != Outcome::transmit)
            return verdict;

        const std::size_t rule = rule_number(*opening.rule);
        // What comes from outside to a mapping takes no port, and its sender is no subscriber.
        const bool inward = opening.mapping != no_flow && opening.keeps_source;
        if (shared_.limits == nullptr || inward) return claim_and_reserve(job, opening, nullptr);
        if (const Admitted glance = shared_.limits->glance(job.parsed.tuple, rule);
            !is_in(glance)) {
            // Unless it is this very flow, set up since it was looked up, that is one too many.
            if (const Found found = worker_.table().index().find(job.parsed.tuple, job.hash))
                return adopt(job, found);
            return refused(glance);
        }
        Admission<Family, Traits> admission(*shared_.limits, job.parsed.tuple, rule);
        return claim_and_reserve(job, opening, &admission);
    }

    /// @param admission  null when there are no limits
    V claim_and_reserve(Job<Family>& job, const Opening& opening,
                        Admission<Family, Traits>* admission) {
        Claim claim(worker_, job.parsed.tuple, job.hash);
        switch (claim.outcome()) {
            case ClaimOutcome::claimed:
                break;
            case ClaimOutcome::taken:
                return adopt(job, claim.owner());
            case ClaimOutcome::busy:
                return V::park(no_room(DropReason::chain_too_long));
            case ClaimOutcome::table_full: {
                const V full = no_room(DropReason::table_full);
                return early_drop_.make_room(now_ms_, mappings_.end()) ? V::park(full) : full;
            }
            case ClaimOutcome::chain_too_long:
                return no_room(DropReason::chain_too_long);
        }
        if (admission != nullptr) {
            const Admitted admitted = admission->enter(worker_.id());
            if (!is_in(admitted)) return refused(admitted);
            if (admitted == Admitted::uncounted) counters_.uncounted.add();
        }
        References references(mappings_);
        const V verdict = source_.translate(claim, job, opening, references, now_ms_);
        if (verdict.outcome != Outcome::transmit) return verdict;

        rule_hits_[rule_number(*opening.rule)].add();
        Record& flow = claim.record();
        flow.rule = static_cast<std::uint16_t>(rule_number(*opening.rule));
        Tuple<Family>::invert(flow.tuple(Direction::reply), job.to);
        if (admission != nullptr) admission->commit(flow);
        Moment expires = track_first(flow, job.packet, job.parsed, shared_.timeouts, now_ms_);
        references.keep(flow);
        if (!shared_.timeouts.inbound_refresh) [[unlikely]] {
            if (opening.mapping != no_flow && opening.keeps_source)
                expires = mappings_.bounded(opening.mapping, expires);
            mappings_.note_outward(flow, Direction::original, expires);
        }
        if (shared_.timestamps != nullptr)
            shared_.timestamps->opens(job.packet, job.parsed, flow, now_ms_);
        claim.publish(expires, now_ms_);
        job.verdict.hop = *opening.hop;
        clamp(job, *opening.rule);
        translated(job);
        return verdict;
    }

    /// Another packet of this flow was faster, in this burst or on another worker (invariant 2).
    V adopt(Job<Family>& job, Found owner) {
        hit_late(job, owner);
        if (job.verdict.outcome != Outcome::park) counters_.clash_resolved.add();
        return job.verdict;
    }

    Worker& worker_;
    Shared shared_;
    PortProposals<Family, Traits> proposals_;
    Openings<Family, RouterType, Traits> openings_;
    Mappings<Family, Traits> mappings_;
    SourceTranslation<Family, Traits> source_;
    bool maps_endpoints_;  ///< some rule does
    std::vector<Counter> rule_hits_;
    EarlyDrop<Family, Traits> early_drop_;
    PipelineCounters counters_;
    std::uint64_t now_ms_ = 0;
    bool attends_all_ = false;  ///< no packet of this burst is uneventful
    StepCycles* cycles_ = nullptr;
};

}  // namespace noclash::nat
