// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "engine/flow_worker.hpp"
#include "engine/reservation.hpp"
#include "nat/address_check.hpp"
#include "nat/conntrack/conntrack.hpp"
#include "nat/conntrack/timestamps.hpp"
#include "nat/flow_plan.hpp"
#include "nat/forwarding.hpp"
#include "nat/limits/early_drop.hpp"
#include "nat/limits/half_open.hpp"
#include "nat/limits/limits.hpp"
#include "nat/mapping/mappings.hpp"
#include "nat/packet/packet_context.hpp"
#include "nat/packet/parse.hpp"
#include "nat/packet/rewrite.hpp"
#include "nat/policy/reserved_ports.hpp"
#include "nat/ports/port_allocator.hpp"
#include "nat/setup_verdict.hpp"
#include "nat/source_translation.hpp"
#include "nat/untracked.hpp"

namespace noclash::nat {

/// What the pipelines of all workers share, and lives as long as they.
template <class Family, class RouterType, class Traits>
struct PipelineShared {
    const PolicyConfig<Family>& policy;
    const Timeouts& timeouts;
    const RouterType& router;
    const ReservedPorts<Family>& served;
    OccupancyMaps<Family, Traits>& crowded;
    Timestamps<Family, Traits>* timestamps = nullptr;  ///< null: they pass as they are
    Limits<Family, Traits>* limits = nullptr;          ///< null: none
    std::span<const RssModel<Family>> steering = {};   ///< by port; empty: no locality
};

/// Packets without a flow: whether they may set one up, and how it is set up. Policy, route and MTU
/// are decided *before* the claim, so that nothing has to be undone because of them. One per
/// worker.
template <class Family, class RouterType, class Traits>
class SlowPath {
  public:
    using Worker = FlowWorker<Family, Traits>;
    using Record = typename Worker::Record;
    using FlowPlan = nat::FlowPlan<Family>;
    using Shared = PipelineShared<Family, RouterType, Traits>;

    static constexpr std::size_t burst = FlowPlanner<Family, RouterType, Traits>::burst;

    /// @param untracked  outlives it
    SlowPath(Worker& worker, const Shared& shared, const Untracked<Family, RouterType>& untracked)
        : worker_(worker),
          shared_(shared),
          untracked_(untracked),
          proposals_(shared.crowded, shared.served),
          planner_(shared.policy, shared.router, worker.table().index(), proposals_,
                   Localities<Family>(shared.steering, worker.id())),
          mappings_(worker, shared.crowded, proposals_, shared.limits, shared.timeouts),
          source_(worker, shared.policy, shared.timeouts, shared.timestamps, shared.limits,
                  proposals_, mappings_),
          maps_endpoints_(has_mappings(shared.policy)),
          rule_hits_(shared.policy.rules.size()),
          early_drop_(worker, shared.policy.early_drop),
          half_open_(worker, shared.policy.rules.size(), shared.policy.half_open_percent) {}

    /// The packets' plans, in their order; the buckets of the proposals are being prefetched.
    [[nodiscard]] const FlowPlan* plan(std::span<PacketContext<Family>* const> contexts) {
        return planner_.plan(contexts);
    }

    /// Sets up the packet's flow and translates the packet, or writes the reason for a refusal to
    /// its verdict. Returns a flow when another packet was faster: then the packet has no verdict
    /// yet, and adopts that flow.
    ///
    /// Flows are found by both ends' addresses and ports, so what comes from anybody but a flow's
    /// peer finds none: APDF, unless a mapping says otherwise [RFC 4787 REQ-8] [RFC 5382 REQ-3].
    /// @param plan  the packet's, made by `plan`
    [[nodiscard, gnu::always_inline]] Found set_up(PacketContext<Family>& context,
                                                   const FlowPlan& plan, std::uint64_t now_ms) {
        now_ms_ = now_ms;
        const Parsed<Family>& packet = context.parsed;
        if (packet.kind == PacketKind::icmp_error) return drop(context, DropReason::icmp_unrelated);
        const auto& router = shared_.router;
        const bool to_us = router.is_reserved(packet.tuple.destination);
        if (to_us || is_martian(packet.tuple) || router.is_reserved(packet.tuple.source) ||
            router.checks_reverse_path()) [[unlikely]] {
            const bool to_service = plan.rule != nullptr && plan.redirects;
            if (const DropReason reason =
                    check_addresses(packet.tuple, context.ingress_port, router, to_service);
                reason != DropReason::none)
                return drop(context, reason);
        }
        // What may open a flow is checked whole: a corrupted packet must not make state.
        if (!l4_checksum_ok<Family>(context.packet, packet))
            return drop(context, DropReason::bad_l4_checksum);
        if (packet.kind == PacketKind::tcp && !may_open(packet.tcp_flags, shared_.policy.tcp))
            return belongs_to_nothing(context, plan);
        if (packet.kind == PacketKind::sctp && (packet.tcp_flags & tcp_flag::syn) == 0)
            return drop(context, DropReason::sctp_not_init);

        const Rule<Family>* rule = plan.rule;
        if (rule != nullptr && forbids(rule->action)) return forbid(context, *rule);
        if (to_us) return set_up_to_us(context, plan);
        return set_up_by_rule(context, plan);
    }

    /// As `set_up`, of a SYN of `direction` whose tuple a flow still has that gives way to it
    /// (`gives_way`). The SYN is asked as if there were no such flow: rules, filtering and all.
    /// Only when it may open one does that one end; and what the two both refer to does not end
    /// with it.
    /// @param predecessor  none: it has ended meanwhile
    [[nodiscard, gnu::noinline]] Found set_up_in_place_of(Found predecessor,
                                                          PacketContext<Family>& context,
                                                          const FlowPlan& plan,
                                                          std::uint64_t now_ms) {
        if (!predecessor) return set_up(context, plan, now_ms);
        References kept(mappings_);
        mappings_.hold_again(kept, worker_.record(predecessor.flow));
        predecessor_ = predecessor;
        const Found found = set_up(context, plan, now_ms);
        predecessor_ = {};
        return found;
    }

    /// Over a limit. Half-open connections that are too many are dropped in silence, as by a full
    /// backlog: their sources may be forged.
    [[nodiscard]] Verdict refused(Admitted admitted) const {
        if (admitted == Admitted::busy) return Verdict::park();
        const DropReason reason = reason_of(admitted);
        return concerns_half_open(admitted) ? Verdict::drop(reason) : no_room(reason);
    }

    /// Between bursts, when the worker's own round is over.
    void round_is_over() {
        early_drop_.round_is_over();
        proposals_.top_up();
    }

    /// Between bursts: which connections from outside are not half open any more.
    void look_at_half_open(std::uint64_t now_ms, std::uint32_t budget) {
        half_open_.maintain(now_ms, budget, mappings_.end());
    }

    /// Random numbers for whatever else its worker decides.
    [[nodiscard]] RandomBuffer& random() { return proposals_.random(); }
    [[nodiscard]] Mappings<Family, Traits>& mappings() { return mappings_; }
    [[nodiscard]] const Mappings<Family, Traits>& mappings() const { return mappings_; }
    /// Flows that succeeded a finished one before its time.
    [[nodiscard]] const Counter& tuples_reused() const { return source_.tuples_reused(); }
    [[nodiscard]] const EarlyDrop<Family, Traits>& early_drop() const { return early_drop_; }
    [[nodiscard]] const HalfOpen<Family, Traits>& half_open() const { return half_open_; }
    [[nodiscard]] std::uint64_t rule_hits(std::size_t rule) const {
        return rule_hits_[rule].value();
    }
    /// Flows that limits do not know: the table of sources had no place.
    [[nodiscard]] const Counter& uncounted() const { return uncounted_; }

  private:
    using Claim = Reservation<Family, Traits>;
    using References = typename Mappings<Family, Traits>::References;

    static bool has_mappings(const PolicyConfig<Family>& policy) {
        return std::ranges::any_of(policy.rules, [](const Rule<Family>& rule) {
            return rule.behavior.mapping == Mapping::endpoint_independent;
        });
    }

    /// The context has its verdict. (Written in place: what is handed up is copied, level by
    /// level.)
    static Found decided(PacketContext<Family>& context, Verdict verdict) {
        context.verdict = verdict;
        return {};
    }
    static Found drop(PacketContext<Family>& context, DropReason reason) {
        return decided(context, Verdict::drop(reason));
    }

    [[gnu::noinline]] Found forbid(PacketContext<Family>& context, const Rule<Family>& rule) {
        rule_hits_[rule_number(rule)].add();
        if (rule.action == Action::drop) return drop(context, DropReason::rule);
        return decided(context,
                       Verdict::reject(DropReason::rejected, icmp_error::admin_prohibited));
    }

    /// A TCP segment of no flow that opens none. An inside host may be told so by a RST; a host
    /// that sends to an address of ours hears nothing [RFC 5382 REQ-4], and no RST answers a RST
    /// (RFC 9293, section 3.10.7.1).
    [[gnu::noinline]] Found belongs_to_nothing(PacketContext<Family>& context,
                                               const FlowPlan& plan) {
        constexpr auto reason = DropReason::tcp_not_syn;
        const bool answers = shared_.policy.tcp_unknown == TcpUnknown::reset &&
                             (context.parsed.tcp_flags & tcp_flag::rst) == 0 &&
                             !shared_.router.is_own(context.parsed.tuple.destination) &&
                             is_outbound(plan);
        return decided(context, answers ? Verdict::reset(reason) : Verdict::drop(reason));
    }
    /// Of a host whose source would be translated, or that a rule forwards as it is.
    static bool is_outbound(const FlowPlan& plan) {
        if (plan.rule == nullptr || plan.source == SourceBy::nothing || plan.redirects)
            return false;
        return plan.source != SourceBy::keeping || plan.binds_source ||
               plan.rule->action == Action::forward;
    }

    [[gnu::always_inline]] Found set_up_by_rule(PacketContext<Family>& context,
                                                const FlowPlan& plan) {
        if (context.parsed.kind == PacketKind::icmp_reply)
            return drop(context, DropReason::icmp_unrelated);
        if (plan.rule == nullptr) return drop(context, DropReason::no_rule);
        return create_flow(context, plan);
    }

    /// To an address of ours: perhaps to a mapping, or a service.
    [[gnu::noinline]] Found set_up_to_us(PacketContext<Family>& context, const FlowPlan& plan) {
        if (maps_endpoints_)
            if (const std::optional<Found> found = to_mapping(context, plan)) return *found;
        if (plan.rule == nullptr || !plan.redirects) return local(context);
        return set_up_by_rule(context, plan);
    }

    /// To the outside endpoint of a mapping, from outside or, hairpin, from inside; nothing, when
    /// it is not, or when a service may have the packet. (A service with ports of its own has them
    /// for itself; one with all ports of an address shares it with mappings.)
    std::optional<Found> to_mapping(PacketContext<Family>& context, const FlowPlan& plan) {
        const Parsed<Family>& packet = context.parsed;
        if (packet.kind != PacketKind::tcp && packet.kind != PacketKind::udp &&
            packet.kind != PacketKind::udp_lite)
            return {};
        const bool service = plan.rule != nullptr && plan.rule->action == Action::dnat;
        if (service && plan.rule->to_port) return {};
        const Found found = mappings_.find_destination(packet.tuple);
        if (!found) return {};
        const Record& mapping = worker_.record(found.flow);
        if (mapping.status.load(std::memory_order_acquire) != FlowStatus::live)  // (5)
            return decided(context, Verdict::park());
        // Of a hairpin, the remote is known only when its source is translated.
        const bool open = shared_.timeouts.inbound_refresh || mappings_.in_use(found.flow, now_ms_);
        const bool admitted = open && mappings_.admits(found.flow, packet.tuple);
        if (!admitted && !planner_.from_inside(context, plan)) {
            if (service) return {};
            return drop(context, DropReason::filtered);
        }
        return create_flow(context, planner_.inward(context, plan, found.flow, mapping));
    }

    std::size_t rule_number(const Rule<Family>& rule) const {
        return nat::rule_number(shared_.policy, rule);
    }

    /// To one of our own addresses, and no service of ours: echo is answered, the rest is not ours,
    /// and gets no answer [RFC 5382 REQ-4].
    Found local(PacketContext<Family>& context) {
        if (!is_echo_request<Family>(context.packet, context.parsed))
            return drop(context, DropReason::unsolicited);
        if (!shared_.router.route(context.parsed.tuple.source, context.hop))
            return drop(context, DropReason::no_route);
        make_echo_reply<Family>(context.packet, context.parsed);
        const bool whole = context.parsed.length <= context.hop.mtu;
        return decided(context, whole ? Verdict::transmit() : Verdict::fragment());
    }

    Verdict no_room(DropReason reason) const { return nat::no_room(shared_.policy, reason); }

    /// The life of a first packet: claim, reserve, fill in, publish [field a].
    Found create_flow(PacketContext<Family>& context, const FlowPlan& plan) {
        Outcome forwarded = Outcome::transmit;
        if (!plan.routed || !fits(context)) [[unlikely]] {
            const Verdict verdict = routable(context, plan.routed);
            if (!verdict.transmits()) return decided(context, verdict);
            forwarded = verdict.outcome;
        }

        const std::size_t rule = rule_number(*plan.rule);
        std::optional<Admission<Family, Traits>> admission;  // nothing without limits
        if (shared_.limits != nullptr && !comes_inward(plan)) [[unlikely]] {
            Admitted glance = shared_.limits->glance(context.parsed.tuple, rule);
            if (glance == Admitted::over_half_open_service &&
                half_open_.end_oldest(rule, now_ms_, mappings_.end()))
                glance = shared_.limits->glance(context.parsed.tuple, rule);
            if (!is_in(glance)) return over_limit(context, glance);
            admission.emplace(*shared_.limits, context.parsed.tuple, rule);
        }
        if (predecessor_ && !end_predecessor()) [[unlikely]]
            return decided(context, Verdict::park());
        Claim claim(worker_, context.parsed.tuple, context.hash);
        if (claim.error() != SetupError::none) [[unlikely]]
            return not_claimed(context, claim);
        if (admission) [[unlikely]] {
            const Admitted admitted = admission->enter(worker_.id());
            if (!is_in(admitted)) return decided(context, refused(admitted));
            if (admitted == Admitted::uncounted) uncounted_.add();
        }
        References references(mappings_);
        if (const SetupError error = source_.translate(claim, context, plan, references, now_ms_);
            error != SetupError::none) [[unlikely]]
            return decided(context, without_source(context, plan, rule, error));

        Record& flow = claim.record();
        if (untracked_.any() && leaves_answers_untracked(flow, context)) [[unlikely]]
            return drop(context, DropReason::untracked_answers);
        rule_hits_[rule].add();
        flow.rule = static_cast<std::uint16_t>(rule);
        Tuple<Family> to;
        Tuple<Family>::invert(flow.tuple(Direction::reply), to);
        const Translation translation = nat::translation(context.parsed.tuple, to);
        keep(flow, translation);
        if (admission) [[unlikely]]
            admission->commit(flow);
        Moment expires =
            track_first(flow, context.packet, context.parsed, shared_.timeouts, now_ms_);
        references.keep(flow);
        if (!shared_.timeouts.inbound_refresh) [[unlikely]] {
            if (comes_inward(plan)) expires = mappings_.bounded(plan.mapping, expires);
            mappings_.note_outward(flow, Direction::original, expires);
        }
        if (shared_.timestamps != nullptr)
            shared_.timestamps->opens(context.packet, context.parsed, flow, now_ms_);
        if (may_stay_half_open(context, plan)) [[unlikely]]
            half_open_.take(claim.publish_held(expires), now_ms_, mappings_.end());
        else
            claim.publish(expires, now_ms_);
        clamp_to_path(context, *plan.rule, shared_.router);
        translate(context.packet, context.parsed, flow.tuple(Direction::reply), translation);
        context.verdict.outcome = forwarded;
        return {};
    }

    /// False when another worker was faster, or has a packet that keeps it alive: a SYN of its
    /// other end moves the state first and then looks at the status (33), this one changes the
    /// status (6) and then looks at the state. At least one sees the other.
    [[gnu::noinline]] bool end_predecessor() {
        auto& table = worker_.table();
        const Found found = std::exchange(predecessor_, {});
        if (!table.begin_end(found.flow)) return false;
        Record& flow = worker_.record(found.flow);
        const TcpProgress seen(flow.protocol_state.load(std::memory_order_seq_cst));  // (32)
        if (!gives_way(flow, seen.state(), found.direction, shared_.policy.tcp.window, now_ms_)) {
            table.revive(found.flow);
            return false;
        }
        table.end(found.flow, worker_.counters(), mappings_.end());
        return true;
    }

    /// A connection that somebody outside may have begun, who need not exist.
    static bool may_stay_half_open(const PacketContext<Family>& context, const FlowPlan& plan) {
        const bool inbound =
            plan.redirects || (plan.source == SourceBy::keeping && !plan.binds_source);
        return inbound && is_opening(context.parsed);
    }

    /// The ports of a service may all have gone to connections that nobody finishes: then the
    /// oldest gives up its own, and the packet comes again.
    [[gnu::noinline]] Verdict without_source(const PacketContext<Family>& context,
                                             const FlowPlan& plan, std::size_t rule,
                                             SetupError error) {
        const Verdict refusal = verdict_of(shared_.policy, error);
        const bool gives_up = error == SetupError::exhausted && may_stay_half_open(context, plan) &&
                              half_open_.end_crowded(rule, now_ms_, mappings_.end());
        return gives_up ? Verdict::park(refusal) : refusal;
    }

    /// That they are to be translated, and a rule would forward them as they are.
    bool leaves_answers_untracked(const Record& flow, const PacketContext<Family>& context) const {
        const Tuple<Family>& reply = flow.tuple(Direction::reply);
        return reply != context.parsed.tuple.inverse() &&
               untracked_.rule_for(reply, context.hop.port) != nullptr;
    }

    /// From outside to a mapping: it takes no port, and its sender is no subscriber.
    static bool comes_inward(const FlowPlan& plan) {
        return plan.mapping != no_flow && plan.source == SourceBy::keeping;
    }

    /// Unless it is this very flow, set up since it was looked up, that is one too many.
    Found over_limit(PacketContext<Family>& context, Admitted admitted) {
        if (const Found found = worker_.table().index().find(context.parsed.tuple, context.hash))
            return found;
        return decided(context, refused(admitted));
    }

    [[gnu::noinline]] Found not_claimed(PacketContext<Family>& context, const Claim& claim) {
        if (claim.error() == SetupError::taken) return claim.owner();
        const Verdict refusal = verdict_of(shared_.policy, claim.error());
        const bool room_soon =
            claim.error() == SetupError::table_full &&
            (early_drop_.make_room(now_ms_, mappings_.end()) || half_open_gives_room());
        return decided(context, room_soon ? Verdict::park(refusal) : refusal);
    }

    /// Early drop knows what is in the wheel.
    bool half_open_gives_room() {
        return shared_.policy.early_drop && half_open_.end_longest(now_ms_, mappings_.end());
    }

    Worker& worker_;
    Shared shared_;
    const Untracked<Family, RouterType>& untracked_;
    PortAllocator<Family, Traits> proposals_;
    FlowPlanner<Family, RouterType, Traits> planner_;
    Mappings<Family, Traits> mappings_;
    SourceTranslation<Family, Traits> source_;
    bool maps_endpoints_;  ///< some rule does
    std::vector<Counter> rule_hits_;
    EarlyDrop<Family, Traits> early_drop_;
    HalfOpen<Family, Traits> half_open_;
    Counter uncounted_;
    Found predecessor_{};  ///< ends before the packet's flow is claimed
    std::uint64_t now_ms_ = 0;
};

}  // namespace noclash::nat
