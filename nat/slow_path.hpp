// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "engine/flow_adoption.hpp"
#include "engine/flow_worker.hpp"
#include "engine/reservation.hpp"
#include "nat/address_check.hpp"
#include "nat/conntrack/conntrack.hpp"
#include "nat/conntrack/reset_ends.hpp"
#include "nat/conntrack/timestamps.hpp"
#include "nat/flow_plan.hpp"
#include "nat/forwarding.hpp"
#include "nat/limits/early_drop.hpp"
#include "nat/limits/half_open.hpp"
#include "nat/limits/limits.hpp"
#include "nat/limits/openings.hpp"
#include "nat/mapping/mappings.hpp"
#include "nat/packet/packet_context.hpp"
#include "nat/packet/parse.hpp"
#include "nat/packet/rewrite.hpp"
#include "nat/policy/policy_snapshot.hpp"
#include "nat/ports/port_allocator.hpp"
#include "nat/setup_verdict.hpp"
#include "nat/source_translation.hpp"
#include "nat/syn_proxy/syn_proxy.hpp"
#include "nat/untracked.hpp"

namespace noclash::nat {

/// State that the pipelines of all workers share. It outlives them.
template <class Family, class Traits>
struct PipelineShared {
    OccupancyMaps<Family, Traits>& crowded;
    Limits<Family, Traits>& limits;
    std::size_t rules;                                    ///< how many may have a number
    Timestamps<Family, Traits>* timestamps = nullptr;     ///< null: they pass as they are
    std::span<const RssModel<Family>> steering = {};      ///< by port; empty: no locality
    ResetEnds* reset_ends = nullptr;                      ///< null: no connection is ever reset
    SynProxyShared<Family, Traits>* syn_proxy = nullptr;  ///< null: no service is ever guarded
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
    using Shared = PipelineShared<Family, Traits>;
    using Round = RoutedRound<Family, RouterType>;

    static constexpr std::size_t burst = FlowPlanner<Family, RouterType, Traits>::burst;

    SlowPath(Worker& worker, const Shared& shared)
        : worker_(worker),
          limits_(shared.limits),
          timestamps_(shared.timestamps),
          reset_ends_(shared.reset_ends),
          proposals_(shared.crowded),
          planner_(worker.table().index(), proposals_,
                   Localities<Family>(shared.steering, worker.id())),
          mappings_(worker, shared.crowded, proposals_, shared.limits),
          source_(worker, shared.timestamps, shared.limits, proposals_, mappings_),
          rule_hits_(shared.rules),
          early_drop_(worker),
          half_open_(worker, shared.rules),
          syn_proxy_(shared.syn_proxy, worker.table().workers()) {}

    /// Takes this worker's flows out of those that were adopted. Before the worker begins.
    void adopt(const FlowAdoption<Family, Traits>& adopted, Round round) {
        std::vector<FlowId> half_open;
        adopted.give(worker_.id(), [&](FlowId id, const Record& flow) {
            openings::forget(worker_.record(id));
            if (may_stay_half_open(flow))
                half_open.push_back(id);
            else
                worker_.arm(id, round.now_ms);
        });
        // In the order in which they began, the oldest first.
        std::ranges::sort(half_open, [&](FlowId one, FlowId other) {
            return ms_between(worker_.record(one).expires.load(std::memory_order_relaxed),
                              worker_.record(other).expires.load(std::memory_order_relaxed)) > 0;
        });
        for (const FlowId id : half_open)
            half_open_.take(id, round.policy.half_open_percent, round.now_ms, gone(round));
    }

    /// The packets' plans, in their order; the buckets of the proposals are being prefetched.
    [[nodiscard]] const FlowPlan* plan(std::span<PacketContext<Family>* const> contexts,
                                       Round round) {
        const FlowPlan* const plans = planner_.plan(contexts, round);
        if (round.policy.service_rules.any()) [[unlikely]]
            fetch_of_services(std::span(plans, contexts.size()));
        return plans;
    }

    /// Sets up the packet's flow and translates the packet, or writes the reason for a refusal to
    /// its verdict. Returns a flow when another packet was faster: then the packet has no verdict
    /// yet, and adopts that flow.
    ///
    /// Flows are found by both ends' addresses and ports, so what comes from anybody but a flow's
    /// peer finds none: APDF, unless a mapping says otherwise [RFC 4787 REQ-8] [RFC 5382 REQ-3].
    /// @param plan  the packet's, made by `plan`
    [[nodiscard, gnu::always_inline]] Found set_up(PacketContext<Family>& context,
                                                   const FlowPlan& plan, Round round) {
        const auto& [policy, now_ms] = round;
        const Parsed<Family>& packet = context.parsed;
        if (packet.kind == PacketKind::icmp_error) return drop(context, DropReason::icmp_unrelated);
        const auto& router = policy.router;
        const bool to_us = router.is_reserved(packet.tuple.destination);
        if (to_us || is_martian(packet.tuple) || router.is_reserved(packet.tuple.source) ||
            router.checks_reverse_path()) [[unlikely]] {
            const bool to_service = plan.rule != nullptr && plan.redirects;
            if (const DropReason reason =
                    check_addresses(packet.tuple, context.ingress_port, router, to_service);
                reason != DropReason::none)
                return drop(context, reason);
        }
        // A packet that may open a flow is checked whole: a corrupted one must not make state.
        if (!l4_checksum_ok<Family>(context.packet, packet))
            return drop(context, DropReason::bad_l4_checksum);
        if (packet.kind == PacketKind::tcp && !is_opening(packet)) [[unlikely]] {
            if (plan.rule != nullptr && syn_proxy_.may_have_cookies(*plan.rule))
                if (const std::optional<Found> found = complete_opening(context, plan, round))
                    return *found;
            if (was_reset(context, now_ms))
                return decided(context, Verdict::reset(DropReason::tcp_ended));
            if (!may_open(packet.tcp_flags, policy.tcp))
                return belongs_to_nothing(context, plan, policy);
        }
        if (packet.kind == PacketKind::sctp && (packet.tcp_flags & tcp_flag::syn) == 0)
            return drop(context, DropReason::sctp_not_init);

        const Rule<Family>* rule = plan.rule;
        if (rule != nullptr && forbids(rule->action)) return forbid(context, *rule);
        if (rule != nullptr && rule->is_service() && plan.backend == nullptr) [[unlikely]]
            return no_backend(context, *rule, policy);
        if (to_us) [[unlikely]] {
            if (policy.maps_endpoints)
                if (const std::optional<Found> found = to_mapping(context, plan, round))
                    return *found;
            if (rule == nullptr || !plan.redirects) return local(context, policy);
        }
        if (packet.kind == PacketKind::icmp_reply) return drop(context, DropReason::icmp_unrelated);
        if (rule == nullptr) return drop(context, DropReason::no_rule);
        if (plan.backend != nullptr) [[unlikely]]
            if (is_opening(packet) && syn_proxy_.guards(*rule, now_ms))
                return answer_in_backends_place(context, plan, round);
        return create_flow(context, plan, round);
    }

    /// Whether a SYN from `direction` has its tuple's flow end, and is asked anew: see
    /// `nat::gives_way`; or the flow is of a service that sends the SYN elsewhere today; or it is
    /// over, and its service answers SYNs itself.
    [[nodiscard, gnu::noinline]] bool gives_way(const Record& flow, TcpState state,
                                                Direction direction, Round round) const {
        const auto& [policy, now_ms] = round;
        if (nat::gives_way(flow, state, direction, policy.tcp.window, now_ms)) return true;
        if (direction == Direction::reply) return false;
        const bool over = is_over(state, policy.tcp.window);
        // Without windows a RST proves nothing, but SYNs of proxied clients go nowhere else.
        if (tcp_progress(flow).is_proxied() && (over || state == TcpState::close)) return true;
        if (!policy.service_rules.any()) return false;
        const Rule<Family>* rule = policy.find_rule(flow.rule);
        if (rule == nullptr || !rule->is_service()) return false;
        if (over && syn_proxy_.guards(*rule, now_ms)) return true;
        const bool may_live = state != TcpState::syn_sent && !over;
        return policy.service_rules.leads_elsewhere(*rule, flow.tuple(Direction::original),
                                                    flow.tuple(Direction::reply), may_live);
    }

    /// As `set_up`, of a SYN of `direction` whose tuple a flow still has that gives way to it
    /// (`gives_way`). The SYN is asked as if there were no such flow: rules, filtering and all.
    /// Only when it may open one does that one end; and what the two both refer to does not end
    /// with it.
    /// @param predecessor  none: it has ended meanwhile
    [[nodiscard, gnu::noinline]] Found set_up_in_place_of(Found predecessor,
                                                          PacketContext<Family>& context,
                                                          const FlowPlan& plan, Round round) {
        if (!predecessor) return set_up(context, plan, round);
        References kept(mappings_);
        mappings_.hold_again(kept, worker_.record(predecessor.flow));
        predecessor_ = predecessor;
        const Found found = set_up(context, plan, round);
        predecessor_ = {};
        return found;
    }

    /// Over a limit. Half-open connections that are too many are dropped in silence, as by a full
    /// backlog: their sources may be forged.
    [[nodiscard]] static Verdict refused(Admitted admitted, Round round) {
        if (admitted == Admitted::busy) return Verdict::park();
        const DropReason reason = reason_of(admitted);
        return concerns_half_open(admitted) ? Verdict::drop(reason) : no_room(round.policy, reason);
    }

    /// Between bursts, when the worker's own round is over.
    void round_is_over() {
        early_drop_.round_is_over();
        proposals_.top_up();
    }

    /// Between bursts: which connections from outside are not half open any more.
    void look_at_half_open(Round round, std::uint32_t budget) {
        half_open_.maintain(round.now_ms, budget, gone(round));
    }

    /// Random numbers for whatever else its worker decides.
    [[nodiscard]] RandomBuffer& random() { return proposals_.random(); }
    [[nodiscard]] Mappings<Family, Traits>& mappings() { return mappings_; }
    [[nodiscard]] const Mappings<Family, Traits>& mappings() const { return mappings_; }
    /// Flows that succeeded a finished one before its time.
    [[nodiscard]] const Counter& tuples_reused() const { return source_.tuples_reused(); }
    [[nodiscard]] const EarlyDrop<Family, Traits>& early_drop() const { return early_drop_; }
    [[nodiscard]] const HalfOpen<Family, Traits>& half_open() const { return half_open_; }
    [[nodiscard]] SynProxy<Family, Traits>& syn_proxy() { return syn_proxy_; }
    [[nodiscard]] const SynProxy<Family, Traits>& syn_proxy() const { return syn_proxy_; }
    [[nodiscard]] std::uint64_t rule_hits(RuleId rule) const { return rule_hits_[rule].value(); }
    /// Flows that limits do not know: the table of sources had no place.
    [[nodiscard]] const Counter& uncounted() const { return uncounted_; }

  private:
    using Snapshot = PolicySnapshot<Family, RouterType>;
    using Claim = Reservation<Family, Traits>;
    using References = typename Mappings<Family, Traits>::References;

    [[nodiscard]] auto gone(Round round) {
        return mappings_.end().under(round.policy, round.now_ms);
    }

    /// What flows through services will write beside their records.
    [[gnu::noinline]] void fetch_of_services(std::span<const FlowPlan> plans) {
        for (const FlowPlan& plan : plans) {
            if (plan.backend == nullptr) continue;
            __builtin_prefetch(&rule_hits_[plan.rule->id], 1, 3);
            half_open_.prefetch(plan.rule->id);
        }
        for (const FlowPlan& plan : plans)
            if (plan.backend != nullptr) half_open_.prefetch_last(plan.rule->id);
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
        rule_hits_[rule.id].add();
        if (rule.action == Action::drop) return drop(context, DropReason::rule);
        return decided(context,
                       Verdict::reject(DropReason::rejected, icmp_error::admin_prohibited));
    }

    /// To a service that has nobody to send it to [field f].
    [[gnu::noinline]] Found no_backend(PacketContext<Family>& context, const Rule<Family>& rule,
                                       const Snapshot& policy) {
        constexpr auto reason = DropReason::no_backend;
        if (policy.service_rules.service_of(rule).no_backend == NoBackend::drop)
            return drop(context, reason);
        return decided(context, context.parsed.kind == PacketKind::tcp
                                    ? Verdict::reset(reason)
                                    : Verdict::reject(reason, icmp_error::port_unreachable));
    }

    /// A segment, no SYN, of an end whose connection was reset here: `tcp_pickup` has no say about
    /// it. No RST answers a RST (RFC 9293, section 3.10.7.1).
    bool was_reset(const PacketContext<Family>& context, std::uint64_t now_ms) const {
        return reset_ends_ != nullptr && (context.parsed.tcp_flags & tcp_flag::rst) == 0 &&
               reset_ends_->has(context.hash, now_ms);
    }

    /// A SYN to a service that is guarded.
    [[gnu::noinline]] Found answer_in_backends_place(PacketContext<Family>& context,
                                                     const FlowPlan& plan, Round round) {
        const auto& [policy, now_ms] = round;
        const auto back = policy.router.route(context.parsed.tuple.source);
        if (!back) return drop(context, DropReason::no_route);
        if (!syn_proxy_.outbox().has_room(1)) return drop(context, DropReason::no_buffer);
        if (predecessor_ && !end_for_good(round)) return decided(context, Verdict::park());
        constexpr std::uint16_t headers = sizeof(IpHeader<Family>) + sizeof(TcpHeader);
        const Rule<Family>& rule = *plan.rule;
        // As long as it is guarded, no SYN makes a flow: nobody else looks at those that are left.
        syn_proxy_.note_half_open(policy.service_rules, rule, half_open_.length(rule.id), now_ms);
        SynOffer offer = syn_proxy_.offer_of(policy.service_rules.service_of(rule), rule.id);
        offer.max_segment_size =
            std::min(offer.max_segment_size, static_cast<std::uint16_t>(back->mtu - headers));
        syn_proxy_.answer(context, offer, now_ms);
        return decided(context, Verdict::taken());
    }

    /// A TCP segment of no flow that may show a cookie, and then opens a connection, whatever
    /// became of the last one with its addresses and ports. Nothing: it shows none, and the service
    /// is not guarded, or the segment is of a connection that was reset.
    [[gnu::noinline]] std::optional<Found> complete_opening(PacketContext<Family>& context,
                                                            const FlowPlan& plan, Round round) {
        const auto& [policy, now_ms] = round;
        const std::optional<ProxiedOpening> opening = syn_proxy_.opening_of(context, now_ms);
        if (opening) return open_proxied(context, plan, *opening, round);
        if (was_reset(context, now_ms)) return {};
        if (!syn_proxy_.guards(*plan.rule, now_ms)) return {};
        constexpr auto reason = DropReason::syn_cookie;
        const bool is_reset = (context.parsed.tcp_flags & tcp_flag::rst) != 0;
        return decided(context, is_reset ? Verdict::drop(reason) : Verdict::reset(reason));
    }

    /// Sets up the flow of a client that has shown its cookie, as by the SYN that it has sent. It
    /// believes that it is connected, and hears of any refusal.
    Found open_proxied(PacketContext<Family>& context, const FlowPlan& plan,
                       const ProxiedOpening& opening, Round round) {
        if (plan.backend == nullptr)
            return decided(context, Verdict::reset(DropReason::no_backend));
        if (!syn_proxy_.outbox().has_room(1)) return drop(context, DropReason::no_buffer);
        OwnSegment<Family> syn = SynProxy<Family, Traits>::syn_of(context, opening);
        PacketContext<Family> first;
        first.packet = {syn.bytes().data(), static_cast<std::uint32_t>(syn.bytes().size())};
        first.ingress_port = context.ingress_port;
        first.hash = context.hash;
        first.hop = context.hop;
        [[maybe_unused]] const DropReason wrong = parse<Family>(first.packet, 0, first.parsed);
        assert(wrong == DropReason::none && first.parsed.tuple == context.parsed.tuple);
        opening_ = &opening;
        const Found winner = create_flow(first, plan, round);
        opening_ = nullptr;
        if (winner) return winner;
        if (first.verdict.outcome == Outcome::park) return decided(context, first.verdict);
        if (!first.verdict.transmits())
            return decided(context, Verdict::reset(first.verdict.reason));
        syn_proxy_.opened(syn);
        return decided(context, Verdict::taken());
    }

    /// A TCP segment of no flow that opens none. An inside host may be told so by a RST; a client
    /// of a service always is, as by a server that has forgotten it. A host that sends to another
    /// address of ours hears nothing [RFC 5382 REQ-4], and no RST answers a RST (RFC 9293, section
    /// 3.10.7.1).
    [[gnu::noinline]] Found belongs_to_nothing(PacketContext<Family>& context, const FlowPlan& plan,
                                               const Snapshot& policy) {
        constexpr auto reason = DropReason::tcp_not_syn;
        const bool of_service = plan.rule != nullptr && plan.rule->is_service();
        const bool for_outside = policy.tcp_unknown == TcpUnknown::reset &&
                                 !policy.router.is_own(context.parsed.tuple.destination) &&
                                 is_outbound(plan);
        const bool answers =
            (of_service || for_outside) && (context.parsed.tcp_flags & tcp_flag::rst) == 0;
        return decided(context, answers ? Verdict::reset(reason) : Verdict::drop(reason));
    }
    /// Whether the packet is of a host whose source is translated, or that a rule forwards as it
    /// is.
    static bool is_outbound(const FlowPlan& plan) {
        if (plan.rule == nullptr || plan.source == SourceBy::nothing || plan.redirects)
            return false;
        return plan.source != SourceBy::keeping || plan.binds_source ||
               plan.rule->action == Action::forward;
    }

    /// To the outside endpoint of a mapping, from outside or, hairpin, from inside; nothing, when
    /// it is not, or when a service may have the packet. (A service with ports of its own has them
    /// for itself, as a static mapping has its endpoint; a service with all ports of an address
    /// shares it with mappings.)
    [[gnu::noinline]] std::optional<Found> to_mapping(PacketContext<Family>& context,
                                                      const FlowPlan& plan, Round round) {
        const Parsed<Family>& packet = context.parsed;
        if (packet.kind != PacketKind::tcp && packet.kind != PacketKind::udp &&
            packet.kind != PacketKind::udp_lite)
            return {};
        const bool service = plan.rule != nullptr && plan.rule->action == Action::dnat;
        const bool bound = plan.rule != nullptr && plan.rule->action == Action::bind;
        if ((service && plan.rule->to_port) || (bound && plan.redirects)) return {};
        const Found found = mappings_.find_destination(packet.tuple);
        if (!found) return {};
        const Record& mapping = worker_.record(found.flow);
        if (mapping.status.load(std::memory_order_acquire) != FlowStatus::live)  // (5)
            return decided(context, Verdict::park());
        // A hairpin's remote is known only when its source is translated.
        const bool open =
            round.policy.timeouts.inbound_refresh || mappings_.in_use(found.flow, round.now_ms);
        const bool admitted = open && mappings_.admits(found.flow, packet.tuple);
        if (!admitted && !planner_.from_inside(context, plan)) {
            if (service) return {};
            return drop(context, DropReason::filtered);
        }
        const FlowPlan& inward = planner_.inward(context, round, plan, found.flow, mapping);
        if (inward.rule == nullptr) return drop(context, DropReason::no_rule);
        return create_flow(context, inward, round);
    }

    /// To one of our own addresses, and no service of ours: echo is answered, the rest is not ours,
    /// and gets no answer [RFC 5382 REQ-4].
    [[gnu::noinline]] Found local(PacketContext<Family>& context, const Snapshot& policy) {
        if (!is_echo_request<Family>(context.packet, context.parsed))
            return drop(context, DropReason::unsolicited);
        if (!policy.router.route(context.parsed.tuple.source, context.hop))
            return drop(context, DropReason::no_route);
        make_echo_reply<Family>(context.packet, context.parsed);
        const bool whole = context.parsed.length <= context.hop.mtu;
        return decided(context, whole ? Verdict::transmit() : Verdict::fragment());
    }

    /// The life of a first packet: claim, reserve, fill in, publish [field a].
    Found create_flow(PacketContext<Family>& context, const FlowPlan& plan, Round round) {
        const auto& [policy, now_ms] = round;
        Outcome forwarded = Outcome::transmit;
        if (!plan.routed || !fits(context)) [[unlikely]] {
            const Verdict verdict = routable(context, plan.routed);
            if (!verdict.transmits()) return decided(context, verdict);
            forwarded = verdict.outcome;
        }

        const Rule<Family>& rule = *plan.rule;
        std::optional<Admission<Family, Traits>> admission;  // nothing without limits
        if (policy.limits_anything && !comes_inward(plan)) [[unlikely]] {
            Admitted glance = limits_.glance(policy, context.parsed.tuple, rule);
            if (glance == Admitted::over_half_open_service &&
                half_open_.end_oldest(rule.id, now_ms, gone(round)))
                glance = limits_.glance(policy, context.parsed.tuple, rule);
            if (!is_in(glance)) return over_limit(context, glance, round);
            admission.emplace(limits_, policy, context.parsed.tuple, rule);
        }
        if (predecessor_ && !end_predecessor(round)) [[unlikely]]
            return decided(context, Verdict::park());
        Claim claim(worker_, context.parsed.tuple, context.hash);
        if (claim.error() != SetupError::none) [[unlikely]]
            return not_claimed(context, claim, round);
        if (admission) [[unlikely]] {
            const Admitted admitted = admission->enter(worker_.id());
            if (!is_in(admitted)) return decided(context, refused(admitted, round));
            if (admitted == Admitted::uncounted) uncounted_.add();
        }
        References references(mappings_);
        if (const SetupError error = source_.translate(claim, context, plan, references, round);
            error != SetupError::none) [[unlikely]]
            return decided(context, without_source(context, plan, error, round));

        Record& flow = claim.record();
        if (policy.untracked.any() && leaves_answers_untracked(policy, flow, context)) [[unlikely]]
            return drop(context, DropReason::untracked_answers);
        rule_hits_[rule.id].add();
        flow.rule = rule.id;
        Tuple<Family> to;
        Tuple<Family>::invert(flow.tuple(Direction::reply), to);
        const Translation translation = nat::translation(context.parsed.tuple, to);
        keep(flow, translation);
        if (admission) [[unlikely]]
            admission->commit(flow);
        Moment expires = track_first(flow, context.packet, context.parsed, policy.timeouts, now_ms);
        if (plan.backend != nullptr) [[unlikely]]
            openings::begin(flow, *plan.backend->counters, awaits_answer(context.parsed), now_ms);
        references.keep(flow);
        if (!policy.timeouts.inbound_refresh) [[unlikely]] {
            if (comes_inward(plan)) expires = mappings_.bounded(plan.mapping, expires);
            mappings_.note_outward(flow, Direction::original, expires);
        }
        if (opening_ != nullptr) [[unlikely]]
            expires = syn_proxy_.begin(flow, *opening_, now_ms);
        else if (timestamps_ != nullptr)
            timestamps_->opens(context.packet, context.parsed, flow, now_ms);
        if (may_stay_half_open(context, plan)) [[unlikely]]
            hold_half_open(claim.publish_held(expires), plan, round);
        else
            claim.publish(expires, now_ms);
        clamp_to_path(context, rule, policy.router);
        translate(context.packet, context.parsed, flow.tuple(Direction::reply), translation);
        context.verdict.outcome = forwarded;
        return {};
    }

    /// False when another worker was faster, or has a packet that keeps it alive: a SYN of its
    /// other end moves the state first and then looks at the status (33), this one changes the
    /// status (6) and then looks at the state. At least one sees the other.
    [[gnu::noinline]] bool end_predecessor(Round round) {
        auto& table = worker_.table();
        const Found found = std::exchange(predecessor_, {});
        if (!table.begin_end(found.flow)) return false;
        Record& flow = worker_.record(found.flow);
        const TcpProgress seen(flow.protocol_state.load(std::memory_order_seq_cst));  // (32)
        if (!gives_way(flow, seen.state(), found.direction, round)) {
            table.revive(found.flow);
            return false;
        }
        table.end(found.flow, worker_.counters(), gone(round));
        return true;
    }

    /// As `end_predecessor`, where no flow follows at once that would lead its backend's segments
    /// anywhere: a backend that still holds the connection hears of its end when it says something.
    [[gnu::noinline]] bool end_for_good(Round round) {
        const auto& index = worker_.table().index();
        const Record& flow = worker_.record(predecessor_.flow);
        const std::uint64_t of_backend = index.hash(flow.tuple(Direction::reply));
        if (!end_predecessor(round)) return false;
        if (reset_ends_ != nullptr) reset_ends_->note(of_backend, round.now_ms);
        return true;
    }

    void hold_half_open(FlowId id, const FlowPlan& plan, Round round) {
        const auto& [policy, now_ms] = round;
        half_open_.take(id, policy.half_open_percent, now_ms, gone(round));
        if (plan.backend == nullptr) return;
        const Rule<Family>& rule = *plan.rule;
        syn_proxy_.note_half_open(policy.service_rules, rule, half_open_.length(rule.id), now_ms);
    }

    /// A connection that somebody outside may have begun, who need not exist: of a client that has
    /// shown its cookie, we know that it does.
    bool may_stay_half_open(const PacketContext<Family>& context, const FlowPlan& plan) const {
        if (opening_ != nullptr) return false;
        const bool inbound =
            plan.redirects || (plan.source == SourceBy::keeping && !plan.binds_source);
        return inbound && is_opening(context.parsed);
    }

    /// All but a TCP connection that was picked up in its midst.
    static bool awaits_answer(const Parsed<Family>& packet) {
        return packet.kind != PacketKind::tcp || is_opening(packet);
    }

    /// As above, of a flow that is there.
    static bool may_stay_half_open(const Record& flow) {
        const auto& [original, reply] = flow.tuples;
        if (original.protocol != ip_protocol::tcp || is_wildcard(flow) || !is_half_open(flow) ||
            tcp_progress(flow).is_proxied())
            return false;
        const bool redirected =
            original.destination != reply.source || original.destination_port != reply.source_port;
        return redirected || (original.source == reply.destination &&
                              original.source_port == reply.destination_port);
    }

    /// The ports of a service may all have gone to connections that nobody finishes: then the
    /// oldest gives up its own, and the packet comes again.
    [[gnu::noinline]] Verdict without_source(const PacketContext<Family>& context,
                                             const FlowPlan& plan, SetupError error, Round round) {
        const Verdict refusal = verdict_of(round.policy, error);
        const bool gives_up = error == SetupError::exhausted && may_stay_half_open(context, plan) &&
                              half_open_.end_crowded(plan.rule->id, round.now_ms, gone(round));
        return gives_up ? Verdict::park(refusal) : refusal;
    }

    /// Whether a flow's answers are to be translated, but a rule would forward them as they are.
    static bool leaves_answers_untracked(const Snapshot& policy, const Record& flow,
                                         const PacketContext<Family>& context) {
        const Tuple<Family>& reply = flow.tuple(Direction::reply);
        return reply != context.parsed.tuple.inverse() &&
               Untracked<Family, RouterType>::is_untracked(policy, reply, context.hop.port);
    }

    /// From outside to a mapping: it takes no port, and its sender is no subscriber.
    static bool comes_inward(const FlowPlan& plan) {
        return plan.mapping != no_flow && plan.source == SourceBy::keeping;
    }

    /// Unless it is this very flow, set up since it was looked up, that is one too many.
    Found over_limit(PacketContext<Family>& context, Admitted admitted, Round round) {
        if (const Found found = worker_.table().index().find(context.parsed.tuple, context.hash))
            return found;
        return decided(context, refused(admitted, round));
    }

    [[gnu::noinline]] Found not_claimed(PacketContext<Family>& context, const Claim& claim,
                                        Round round) {
        if (claim.error() == SetupError::taken) return claim.owner();
        const Verdict refusal = verdict_of(round.policy, claim.error());
        // Half-open connections are not in the wheel, which early drop looks at.
        const bool room_soon = claim.error() == SetupError::table_full && round.policy.early_drop &&
                               (early_drop_.make_room(round.now_ms, gone(round)) ||
                                half_open_.end_longest(round.now_ms, gone(round)));
        return decided(context, room_soon ? Verdict::park(refusal) : refusal);
    }

    Worker& worker_;
    Limits<Family, Traits>& limits_;
    Timestamps<Family, Traits>* timestamps_;
    ResetEnds* reset_ends_;
    PortAllocator<Family, Traits> proposals_;
    FlowPlanner<Family, RouterType, Traits> planner_;
    Mappings<Family, Traits> mappings_;
    SourceTranslation<Family, Traits> source_;
    std::vector<Counter> rule_hits_;  ///< by rule
    EarlyDrop<Family, Traits> early_drop_;
    HalfOpen<Family, Traits> half_open_;
    Counter uncounted_;
    SynProxy<Family, Traits> syn_proxy_;
    Found predecessor_{};                      ///< ends before the packet's flow is claimed
    const ProxiedOpening* opening_ = nullptr;  ///< of the flow that is being set up; null: none
};

}  // namespace noclash::nat
