// SPDX-License-Identifier: Apache-2.0
#pragma once

// # The pipeline
//
// The stages of a burst of IP packets, in their order (`Pipeline::process`):
//
//     parse      bytes -> tuple, or a drop with its reason. Where a rule says so, `forward` it
//                untracked, and that is all (nat/untracked.hpp)
//     look up    prefetch the buckets; bucket -> the flow that it probably is; prefetch it
//     hit        `forward` it: time to live, MTU, its flow's state; rewrite it
//     being set up by another worker          -> park, and adopt the winner's flow next time
//     plan       for those without a flow: policy, route, a first proposal; prefetch its bucket
//     set up     claim, reserve, publish, rewrite (nat/slow_path.hpp)
//
// Each is a loop over the whole burst, so that cache misses overlap. Every way out is a Verdict;
// every drop has a reason. Nothing here allocates, locks, logs or makes a system call.

#include <array>
#include <cassert>
#include <cstdint>
#include <span>

#include "engine/flow_worker.hpp"
#include "nat/address_check.hpp"
#include "nat/conntrack/conntrack.hpp"
#include "nat/conntrack/icmp_doubt.hpp"
#include "nat/conntrack/timestamps.hpp"
#include "nat/conntrack/track_fast.hpp"
#include "nat/forwarding.hpp"
#include "nat/limits/limits.hpp"
#include "nat/limits/openings.hpp"
#include "nat/packet/headers.hpp"
#include "nat/packet/packet_context.hpp"
#include "nat/packet/parse.hpp"
#include "nat/packet/rewrite.hpp"
#include "nat/policy/policy_snapshot.hpp"
#include "nat/reuse/incarnations.hpp"
#include "nat/router.hpp"
#include "nat/slow_path.hpp"
#include "nat/step_cycles.hpp"
#include "nat/untracked.hpp"

namespace noclash::nat {

template <class Family, class RouterType, class Traits = Production>
requires Router<RouterType, Family>
class Pipeline {
  public:
    using Worker = FlowWorker<Family, Traits>;
    using Record = typename Worker::Record;
    using Address = typename Family::Address;
    using Shared = PipelineShared<Family, Traits>;
    using Round = RoutedRound<Family, RouterType>;

    static constexpr std::size_t burst = SlowPath<Family, RouterType, Traits>::burst;

    Pipeline(Worker& worker, const Shared& shared)
        : worker_(worker),
          limits_(shared.limits),
          timestamps_(shared.timestamps),
          untracked_(shared.rules),
          slow_path_(worker, shared),
          incarnations_(worker, shared.timestamps, slow_path_.mappings().end()) {}

    /// Takes this worker's flows out of those that were adopted. Before the worker begins.
    void adopt(const FlowAdoption<Family, Traits>& adopted, Round round) {
        slow_path_.adopt(adopted, round);
    }

    /// Gives each context its verdict; at most `burst` contexts.
    void process(std::span<PacketContext<Family>> contexts, Round round) {
        assert(contexts.size() <= burst);
        const Snapshot& policy = round.policy;
        const Burst by{round,
                       FastTracking(policy.timeouts, policy.tcp.window, round.now_ms,
                                    policy.timeouts.inbound_refresh &&
                                        (timestamps_ == nullptr || !timestamps_->changes_all()))};
        end_step(Step::receive);
        const auto& index = worker_.table().index();
        if (policy.untracked.any()) [[unlikely]] {
            const bool tracks = begin_or_forward(contexts, round);
            end_step(Step::parse);
            if (!tracks) return;
        } else {
            for (PacketContext<Family>& context : contexts) {
                begin(context);
                context.hash = index.hash(context.parsed.tuple);
            }
            end_step(Step::parse);
        }
        // In a loop of its own: what misses the TLB, too, is fetched best with nothing in between.
        for (const PacketContext<Family>& context : contexts) {
            if (context.parsed.tcp_flags == tcp_flag::syn)
                index.prefetch_for_write(
                    context.hash);  // as one's own: no other worker will be asked
            else
                index.prefetch(context.hash);
        }
        Record* const records = &worker_.record(no_flow);
        // Packets that did not parse are looked up, too: that is less than to ask each time.
        index.candidates(
            contexts, [](const PacketContext<Family>& context) { return context.hash; },
            [records](PacketContext<Family>& context, Found likely) {
                context.found = likely;
                Worker::Table::Pool::prefetch_far(records[likely.flow]);
            });
        end_step(Step::look_up);
        std::array<PacketContext<Family>*, burst> without_flow;
        std::size_t misses = 0;
        for (PacketContext<Family>& context : contexts) {
            if (!undecided(context)) continue;
            Record& likely = records[context.found.flow];
            if (likely.tuple(context.found.direction) == context.parsed.tuple) [[likely]]
                hit(context, likely, context.found.direction, by);
            else
                without_flow[misses++] = &context;
        }
        end_step(Step::hit);
        if (misses > 0) [[unlikely]]
            set_up(std::span(without_flow).first(misses), by);
        if (successors_ > 0) [[unlikely]]
            set_up_successors(by);
    }

    /// Has each step timed from now on; null: no longer. The pipeline's owner times what is before
    /// and after, with the same clock.
    void profile(StepCycles* cycles) { cycles_ = cycles; }

    /// Between bursts: timers, reclamation, random numbers.
    void maintain(Round round, std::uint32_t budget) {
        auto& mappings = slow_path_.mappings();
        worker_.maintain(round.now_ms, budget, mappings.end().under(round.policy, round.now_ms),
                         [this, &mappings, round](Record& record) {
                             return mappings.lives_on(record, round) ||
                                    slow_path_.syn_proxy().lives_on(record, round);
                         });
        slow_path_.look_at_half_open(round, budget);
        slow_path_.round_is_over();
    }

    /// Segments of the gateway's own that the caller has to send: after each burst, and after
    /// `maintain`.
    [[nodiscard]] OwnSegments<Family>& outbox() { return slow_path_.syn_proxy().outbox(); }

    /// Random numbers for whatever else its worker decides.
    [[nodiscard]] RandomBuffer& random() { return slow_path_.random(); }

    /// For what it counts.
    [[nodiscard]] const SlowPath<Family, RouterType, Traits>& slow_path() const {
        return slow_path_;
    }
    [[nodiscard]] const Untracked<Family, RouterType>& untracked() const { return untracked_; }
    /// Flows that a rule decided about; of untracked rules, packets.
    [[nodiscard]] std::uint64_t rule_hits(RuleId rule) const {
        return slow_path_.rule_hits(rule) + untracked_.rule_hits(rule);
    }
    /// Packets that adopted a flow another worker was setting up.
    [[nodiscard]] const Counter& clash_resolved() const { return clash_resolved_; }

  private:
    using Snapshot = PolicySnapshot<Family, RouterType>;

    /// The round, and what follows from it for established packets.
    struct Burst {
        Round round;
        FastTracking fast;
    };

    /// Neither refused by `parse` nor forwarded untracked.
    static bool undecided(const PacketContext<Family>& context) {
        return context.verdict.reason == DropReason::none &&
               context.verdict.outcome == Outcome::drop;
    }

    [[gnu::always_inline]] static DropReason begin(PacketContext<Family>& context) {
        context.verdict.outcome = Outcome::drop;
        const DropReason reason = parse<Family>(context.packet, 0, context.parsed);
        context.verdict.reason = reason;
        // An ICMP error concerns the flow of the packet it quotes, seen from the other side.
        if (context.parsed.kind == PacketKind::icmp_error) [[unlikely]]
            context.parsed.tuple = context.parsed.tuple.inverse();
        return reason;
    }

    /// Where packets may be forwarded untracked; false when none is left that is to be looked up.
    [[gnu::noinline]] bool begin_or_forward(std::span<PacketContext<Family>> contexts,
                                            Round round) {
        bool tracks = false;
        for (PacketContext<Family>& context : contexts) {
            if (begin(context) == DropReason::none && !untracked_.forward(context, round)) {
                context.hash = worker_.table().index().hash(context.parsed.tuple);
                tracks = true;
            } else {
                context.hash = 0;  // looked up with the others, always in the same bucket
            }
        }
        return tracks;
    }

    void end_step(Step step) {
        if (cycles_ != nullptr) [[unlikely]]
            cycles_->end(step);
    }

    [[gnu::noinline]] void set_up(std::span<PacketContext<Family>* const> contexts,
                                  const Burst& by) {
        const FlowPlan<Family>* plan = slow_path_.plan(contexts, by.round);
        end_step(Step::plan);
        for (PacketContext<Family>* const context : contexts) {
            // The bucket may have pointed to another flow; or a packet before this one in the burst
            // may have set the flow up.
            if (const Found found =
                    worker_.table().index().find(context->parsed.tuple, context->hash))
                hit_late(*context, found, by);
            else if (const Found winner = slow_path_.set_up(*context, *plan, by.round))
                adopt(*context, winner, by);
            ++plan;
        }
        end_step(Step::set_up);
    }

    /// A SYN to whose tuple's flow it does not belong any more: see `gives_way`. It is asked when
    /// all others of the burst are decided.
    void ask_anew(PacketContext<Family>& context) {
        context.verdict = Verdict::park();
        if (successors_ < burst) successor_[successors_++] = &context;
    }
    [[gnu::noinline]] void set_up_successors(const Burst& by) {
        // A packet that is to be asked anew a second time stays parked.
        for (std::size_t i = 0, count = successors_; i < count; ++i) {
            PacketContext<Family>& context = *successor_[i];
            const Found found = worker_.table().index().find(context.parsed.tuple, context.hash);
            if (found && worker_.record(found.flow).status.load(std::memory_order_acquire) !=
                             FlowStatus::live)  // (5)
                continue;                       // parked
            context.verdict = {};
            const FlowPlan<Family>& plan = *slow_path_.plan({&successor_[i], 1}, by.round);
            if (const Found winner = slow_path_.set_up_in_place_of(found, context, plan, by.round))
                adopt(context, winner, by);
        }
        successors_ = 0;
    }

    /// Another packet of this flow was faster, in this burst or on another worker (invariant 2).
    [[gnu::noinline]] void adopt(PacketContext<Family>& context, Found winner, const Burst& by) {
        hit_late(context, winner, by);
        if (context.verdict.outcome != Outcome::park) clash_resolved_.add();
    }

    [[gnu::always_inline]] void hit(PacketContext<Family>& context, Record& flow,
                                    Direction direction, const Burst& by) {
        if (flow.status.load(std::memory_order_acquire) != FlowStatus::live) [[unlikely]]  // (5)
            context.verdict = Verdict::park();
        else if (context.parsed.kind == PacketKind::tcp) [[likely]]
            forward<PacketKind::tcp>(context, flow, direction, by);
        else if (context.parsed.kind == PacketKind::udp) [[likely]]
            forward<PacketKind::udp>(context, flow, direction, by);
        else
            hit_by_other(context, flow, direction, by);
    }
    [[gnu::noinline]] void hit_by_other(PacketContext<Family>& context, Record& flow,
                                        Direction direction, const Burst& by) {
        if (context.parsed.kind == PacketKind::icmp_error)
            context.verdict = translate_error(context, flow, direction, by.round);
        else
            forward<PacketKind::other>(context, flow, direction, by);
    }

    /// As `hit`, where it is too rare to be inlined.
    [[gnu::noinline]] void hit_late(PacketContext<Family>& context, Found found, const Burst& by) {
        hit(context, worker_.record(found.flow), found.direction, by);
    }

    /// @tparam kind  the packet's; `other`: any other than TCP and UDP
    template <PacketKind kind>
    [[gnu::always_inline]] void forward(PacketContext<Family>& context, Record& flow,
                                        Direction direction, const Burst& by) {
        const Tuple<Family>& answer = flow.tuple(opposite(direction));
        const bool routed = by.round.policy.router.route(answer.source, context.hop);
        if (!routed || !fits(context)) [[unlikely]]
            return forward_unfit(context, flow, direction, by.round, routed);
        if (!by.fast.may_suffice || !track_fast<kind>(flow, direction, context.packet,
                                                      context.parsed, by.fast)) [[unlikely]]
            if (!track_slow(context, flow, direction, by.round)) return;
        translate<kind>(context.packet, context.parsed, answer, translation_of(flow, direction));
        context.verdict.outcome = Outcome::transmit;
    }

    /// As `forward`, of a packet that does not fit its hop as it is.
    [[gnu::noinline]] void forward_unfit(PacketContext<Family>& context, Record& flow,
                                         Direction direction, Round round, bool routed) {
        const Verdict verdict = routable(context, routed);
        if (!verdict.transmits()) {
            context.verdict = verdict;
        } else if (track_slow(context, flow, direction, round)) {
            translate(context.packet, context.parsed, flow.tuple(opposite(direction)),
                      translation_of(flow, direction));
            context.verdict = verdict;
        }
    }

    /// Tracks a packet, with all that hangs on its flow's state; false when it goes no further, and
    /// then the verdict says why.
    [[gnu::noinline]] bool track_slow(PacketContext<Family>& context, Record& flow,
                                      Direction direction, Round round) {
        const auto& [policy, now_ms] = round;
        if (context.parsed.kind == PacketKind::tcp && tcp_progress(flow).is_proxied()) [[unlikely]]
            return track_proxied(context, flow, direction, round);
        bool reopens = false;
        // A segment that may end or restart a connection is checked whole, like one that opens it.
        if ((context.parsed.tcp_flags & tcp_flag::decisive) != 0) {
            if (!l4_checksum_ok<Family>(context.packet, context.parsed)) {
                context.verdict.reason = DropReason::bad_l4_checksum;
                return false;
            }
            if (is_opening(context.parsed)) {
                if (slow_path_.gives_way(flow, tcp_state(flow), direction, round)) {
                    ask_anew(context);
                    return false;
                }
                reopens =
                    direction == Direction::original && is_over(tcp_state(flow), policy.tcp.window);
                if (reopens && policy.limits_anything && !may_reopen(context, flow, round))
                    return false;
            }
        }
        if (context.parsed.kind == PacketKind::tcp && !reopens) {
            const OfIncarnation is = incarnations_.track(context, flow, direction, round);
            if (is == OfIncarnation::later) context.verdict = Verdict::park();
            if (is == OfIncarnation::yes) note_of_incarnation(context, flow, direction, round);
            if (is != OfIncarnation::no) return is == OfIncarnation::yes;
        }
        StateMove move;
        if (!move_state(context, flow, direction, move, round)) return false;
        if (reopens && flow.status.load(std::memory_order_seq_cst) != FlowStatus::live) {  // (33)
            context.verdict =
                Verdict::park();  // another worker may be giving the tuple to a new flow
            return false;
        }
        if (!policy.timeouts.inbound_refresh)
            slow_path_.mappings().note_outward(flow, direction,
                                               flow.expires.load(std::memory_order_relaxed));
        heed_move(context, flow, direction, move, round);
        if (timestamps_ != nullptr && context.parsed.kind == PacketKind::tcp)
            timestamps_->passes(context.packet, context.parsed, flow, direction, reopens, now_ms);
        return true;
    }

    /// As `track_slow`, of a flow whose client was answered in the backend's place: the segment is
    /// tracked by the backend's numbers.
    [[gnu::noinline]] bool track_proxied(PacketContext<Family>& context, Record& flow,
                                         Direction direction, Round round) {
        SynProxy<Family, Traits>& proxy = slow_path_.syn_proxy();
        const TcpProgress seen(flow.protocol_state.load(std::memory_order_acquire));  // (34)
        if ((context.parsed.tcp_flags & tcp_flag::decisive) != 0 &&
            !l4_checksum_ok<Family>(context.packet, context.parsed)) {
            context.verdict.reason = DropReason::bad_l4_checksum;
            return false;
        }
        if (is_opening(context.parsed)) {
            if (slow_path_.gives_way(flow, seen.state(), direction, round)) {
                ask_anew(context);
                return false;
            }
            if (direction == Direction::original) {
                context.verdict = Verdict::taken();
                if (proxy.outbox().has_room(1))
                    proxy.challenge(context, flow);
                else
                    context.verdict = Verdict::drop(DropReason::no_buffer);
                return false;
            }
        }
        if (is_waiting(seen)) {
            const bool changes = seen.state() == TcpState::syn_recv;
            if (changes || !proxy.outbox().has_room(2)) {
                context.verdict = changes ? Verdict::park() : Verdict::drop(DropReason::no_buffer);
                return false;
            }
            proxy.wait(context, flow, direction, round);
            note_opening(context, flow, direction, round);
            if (const TcpProgress now = tcp_progress(flow); !is_waiting(now))
                count_opening(context, flow, direction,
                              {static_cast<std::uint8_t>(seen.state()),
                               static_cast<std::uint8_t>(now.state())},
                              round);
            return false;
        }
        if (direction == Direction::original && never_opened(flow) &&
            (context.parsed.tcp_flags & tcp_flag::rst) == 0) {
            context.verdict = Verdict::reset(DropReason::tcp_ended);
            return false;
        }
        const SequenceShift shift = shift_of(flow);
        if (direction == Direction::original)
            shift_to_backend(context.packet, context.parsed, shift);
        StateMove move;
        if (!move_state(context, flow, direction, move, round)) return false;
        if (direction == Direction::original)
            proxy.note_timestamp(context, flow);
        else
            shift_to_client(context.packet, context.parsed, shift);
        heed_move(context, flow, direction, move, round);
        return true;
    }

    /// Moves the flow's state; false when the packet does not fit, and then the verdict says why.
    static bool move_state(PacketContext<Family>& context, Record& flow, Direction direction,
                           StateMove& move, Round round) {
        const auto& [policy, now_ms] = round;
        const DropReason reason = track(flow, direction, context.packet, context.parsed,
                                        policy.timeouts, policy.tcp.window, now_ms, move);
        if (reason != DropReason::none) context.verdict.reason = reason;
        return reason == DropReason::none;
    }
    /// What hangs on such a move.
    void heed_move(const PacketContext<Family>& context, Record& flow, Direction direction,
                   StateMove move, Round round) {
        note_opening(context, flow, direction, round);
        count_opening(context, flow, direction, move, round);
    }
    /// A packet that `Incarnations` has tracked.
    void note_of_incarnation(const PacketContext<Family>& context, Record& flow,
                             Direction direction, Round round) {
        flow.counter(direction).add(context.parsed.length);
        note_opening(context, flow, direction, round);
    }
    void note_opening(const PacketContext<Family>& context, Record& flow, Direction direction,
                      Round round) {
        const auto& [policy, now_ms] = round;
        if ((flow.marks.load(std::memory_order_relaxed) & flow_mark::half_open) != 0 &&
            !is_half_open(flow))
            limits_.opened(flow);
        if ((context.parsed.tcp_flags & tcp_flag::syn) == 0) return;
        const Rule<Family>* const rule = policy.find_rule(flow.rule);
        if (rule == nullptr) return;
        if (rule->is_service() && direction == Direction::reply &&
            context.parsed.kind == PacketKind::tcp)
            slow_path_.syn_proxy().note_offer(*rule, context, now_ms);
        clamp_to_path(context, *rule, policy.router);
    }

    /// Counts what a packet makes of the opening of a service's flow.
    static void count_opening(const PacketContext<Family>& context, Record& flow,
                              Direction direction, StateMove move, Round round) {
        const auto& [policy, now_ms] = round;
        if (!policy.service_rules.any()) [[likely]]
            return;
        openings::track(policy, flow, direction, context.parsed, move,
                        (context.parsed.tcp_flags & tcp_flag::rst) == 0
                            ? Refusal::doubtful
                            : refusal_of(context, flow, policy),
                        now_ms);
    }

    /// Whether a packet that may refuse a flow came from where its backend is, or is our own error:
    /// the backend does not answer ARP.
    static Refusal refusal_of(const PacketContext<Family>& context, const Record& flow,
                              const Snapshot& policy) {
        Hop<Family> hop{};
        const bool is_trusted = context.ingress_port == no_port ||
                                (policy.router.route(flow.tuple(Direction::reply).source, hop) &&
                                 hop.port == context.ingress_port);
        return is_trusted ? Refusal::trusted : Refusal::doubtful;
    }

    /// A SYN on a finished connection makes one more that is half open; when it may not, the
    /// verdict says why.
    bool may_reopen(PacketContext<Family>& context, Record& flow, Round round) {
        const Admitted admitted = limits_.reopen(round.policy, flow, worker_.id());
        if (!is_in(admitted)) context.verdict = slow_path_.refused(admitted, round);
        return is_in(admitted);
    }

    /// The quoted packet gets back the addresses its sender knows, and where the sender knows
    /// another destination than the error's reporter, the error comes from there: [RFC 5508 REQ-4]
    /// [RFC 5508 REQ-5] [RFC 5382 REQ-9]; of a hairpinned flow too [RFC 5508 REQ-7]. Neither state
    /// nor timeout of the flow changes: [RFC 5508 REQ-6] [RFC 4787 REQ-12] [RFC 5382 REQ-10].
    Verdict translate_error(PacketContext<Family>& context, Record& flow, Direction direction,
                            Round round) {
        const Snapshot& policy = round.policy;
        if (!l4_checksum_ok<Family>(context.packet, context.parsed))
            return Verdict::drop(DropReason::bad_l4_checksum);
        const auto& outer = header<IpHeader<Family>>(context.packet, 0);
        // The error goes to whom the quoted packet came from, as its reporter saw it.
        if (outer.destination.get() != context.parsed.tuple.destination)
            return Verdict::drop(DropReason::icmp_unrelated);
        const bool is_own = context.ingress_port == no_port;
        if (flow.tuple(direction).protocol == ip_protocol::tcp && is_shifted(flow)) [[unlikely]]
            shift_quoted(context.packet, context.parsed, opposite(direction), shift_of(flow));
        if (const DropReason doubt =
                is_own ? DropReason::none : doubt_about(context, flow, direction, policy);
            doubt != DropReason::none)
            return Verdict::drop(doubt);
        const Tuple<Family>& quoted = flow.tuple(opposite(direction));
        const bool routed = policy.router.route(quoted.source, context.hop);
        // One of our own comes from the port that it leaves by [RFC 1812 section 4.3.2.4].
        const Address sender =
            is_own && routed ? policy.router.port_address(context.hop.port) : outer.source.get();
        const Address source =
            quoted.destination == context.parsed.tuple.source ? sender : quoted.destination;
        // Nobody reports his own packet to himself by way of us.
        if (source == quoted.source) return Verdict::drop(DropReason::bad_address);
        const Verdict verdict = routable(context, routed);
        if (!verdict.transmits()) return Verdict::drop(verdict.reason);  // no error about an error
        if (direction == Direction::reply && policy.service_rules.any() &&
            refuses(context.packet, context.parsed)) [[unlikely]]
            openings::unreachable(policy, flow, refusal_of(context, flow, policy), round.now_ms);
        rewrite_icmp_error<Family>(context.packet, context.parsed, quoted, source, quoted.source);
        decrement_ttl<Family>(context.packet);
        return verdict;
    }

    /// Whether an ICMP error about a flow, which anybody may have sent, can be true.
    DropReason doubt_about(const PacketContext<Family>& context, const Record& flow,
                           Direction direction, const Snapshot& policy) const {
        const Address sender = header<IpHeader<Family>>(context.packet, 0).source.get();
        const DropReason reason = check_source<Family>(sender, context.ingress_port, policy.router);
        if (reason != DropReason::none) return reason;
        const auto doubt_of = [&](const Record& record) {
            return icmp_doubt(context.packet, context.parsed, record, opposite(direction),
                              policy.tcp.window);
        };
        const DropReason doubt = doubt_of(flow);
        if (doubt != DropReason::icmp_sequence) return doubt;
        const Record* const incarnation = incarnations_.of(flow);
        return incarnation == nullptr ? doubt : doubt_of(*incarnation);
    }

    Worker& worker_;
    Limits<Family, Traits>& limits_;
    Timestamps<Family, Traits>* timestamps_;
    Untracked<Family, RouterType> untracked_;
    SlowPath<Family, RouterType, Traits> slow_path_;
    Incarnations<Family, Traits> incarnations_;
    std::array<PacketContext<Family>*, burst> successor_;
    std::size_t successors_ = 0;
    Counter clash_resolved_;
    StepCycles* cycles_ = nullptr;
};

}  // namespace noclash::nat
