// SPDX-License-Identifier: Apache-2.0
#pragma once

// # The pipeline
//
// What happens to a burst of IP packets, in the order it happens (`Pipeline::process`):
//
//     parse      bytes -> tuple, or a drop with its reason. Where a rule says so, `forward` it
//                untracked, and that is all (nat/untracked.hpp)
//     look up    prefetch the buckets; bucket -> the flow that it probably is; prefetch it
//     hit        `forward` it: time to live, MTU, its flow's state; rewrite it
//     being set up by another worker          -> park, and adopt the winner's flow next time
//     prepare    for those without a flow: policy, route, a first proposal; prefetch its bucket
//     open       claim, reserve, publish, rewrite (nat/first_packets.hpp)
//
// Each is a loop over the whole burst, so that cache misses overlap. Every way out is a Verdict;
// every drop has a reason. Nothing here allocates, locks, logs or makes a system call.

#include <array>
#include <cstdint>
#include <span>

#include "engine/flow_worker.hpp"
#include "nat/address_check.hpp"
#include "nat/conntrack/conntrack.hpp"
#include "nat/first_packets.hpp"
#include "nat/forwarding.hpp"
#include "nat/packet/headers.hpp"
#include "nat/conntrack/icmp_doubt.hpp"
#include "nat/reuse/incarnations.hpp"
#include "nat/limits/limits.hpp"
#include "nat/packet/parse.hpp"
#include "nat/packet/rewrite.hpp"
#include "nat/step_cycles.hpp"
#include "nat/conntrack/timestamps.hpp"
#include "nat/untracked.hpp"
#include "nat/conntrack/track_fast.hpp"
#include "nat/packet/verdict.hpp"

namespace noclash::nat {

template <class Family, class RouterType, class Traits = Production>
requires Router<RouterType, Family>
class Pipeline {
  public:
    using Worker = FlowWorker<Family, Traits>;
    using Record = typename Worker::Record;
    using Address = typename Family::Address;
    using Shared = PipelineShared<Family, RouterType, Traits>;

    static constexpr std::size_t burst = FirstPackets<Family, RouterType, Traits>::burst;

    Pipeline(Worker& worker, const Shared& shared)
        : worker_(worker),
          shared_(shared),
          untracked_(shared.policy, shared.router),
          first_packets_(worker, shared, untracked_),
          incarnations_(worker, shared.timeouts, shared.timestamps,
                        first_packets_.mappings().end()),
          usual_(shared.timeouts, shared.policy.tcp.window, 0) {}

    /// Gives each job its verdict; at most `burst` jobs.
    void process(std::span<Job<Family>> jobs, std::uint64_t now_ms) {
        now_ms_ = now_ms;
        usual_ = UsualTracking(shared_.timeouts, shared_.policy.tcp.window, now_ms);
        attends_all_ = !shared_.timeouts.inbound_refresh ||
                       (shared_.timestamps != nullptr && shared_.timestamps->changes_all());
        end_step(Step::receive);
        const auto& index = worker_.table().index();
        if (untracked_.any()) [[unlikely]] {
            const bool tracks = begin_or_forward(jobs);
            end_step(Step::parse);
            if (!tracks) return;
        } else {
            for (Job<Family>& job : jobs) {
                begin(job);
                job.hash = index.hash(job.parsed.tuple);
            }
            end_step(Step::parse);
        }
        // In a loop of its own: what misses the TLB, too, is fetched best with nothing in between.
        for (const Job<Family>& job : jobs) {
            if (job.parsed.tcp_flags == tcp_flag::syn)
                index.prefetch_for_write(job.hash);  // as one's own: no other worker will be asked
            else
                index.prefetch(job.hash);
        }
        Record* const records = &worker_.record(no_flow);
        // Whatever did not parse is looked up, too: that is less than to ask each time.
        index.candidates(
            jobs, [](const Job<Family>& job) { return job.hash; },
            [records](Job<Family>& job, Found likely) {
                job.found = likely;
                Worker::Table::Pool::prefetch_far(records[likely.flow]);
            });
        end_step(Step::look_up);
        std::array<Job<Family>*, burst> without_flow;
        std::size_t misses = 0;
        for (Job<Family>& job : jobs) {
            if (!undecided(job)) continue;
            Record& likely = records[job.found.flow];
            if (likely.tuple(job.found.direction) == job.parsed.tuple) [[likely]]
                hit(job, likely, job.found.direction);
            else
                without_flow[misses++] = &job;
        }
        end_step(Step::hit);
        if (misses > 0) [[unlikely]]
            open(std::span(without_flow).first(misses));
        if (successors_ > 0) [[unlikely]]
            open_successors();
    }

    /// Has each step timed from now on; null: no longer. The pipeline's owner times what is before
    /// and after, with the same clock.
    void profile(StepCycles* cycles) { cycles_ = cycles; }

    /// Between bursts: timers, reclamation, random numbers.
    void maintain(std::uint64_t now_ms, std::uint32_t budget) {
        auto& mappings = first_packets_.mappings();
        worker_.maintain(now_ms, budget, mappings.end(), [&mappings, now_ms](Record& record) {
            return mappings.lives_on(record, now_ms);
        });
        first_packets_.look_at_half_open(now_ms, budget);
        first_packets_.round_is_over();
    }

    /// Random numbers for whatever else its worker decides.
    [[nodiscard]] RandomBuffer& random() { return first_packets_.random(); }

    /// For what it counts.
    [[nodiscard]] const FirstPackets<Family, RouterType, Traits>& first_packets() const {
        return first_packets_;
    }
    [[nodiscard]] const Untracked<Family, RouterType>& untracked() const { return untracked_; }
    /// Flows that a rule decided about; of untracked rules, packets.
    [[nodiscard]] std::uint64_t rule_hits(std::size_t rule) const {
        return first_packets_.rule_hits(rule) + untracked_.rule_hits(rule);
    }
    /// Packets that adopted a flow another worker was setting up.
    [[nodiscard]] const Counter& clash_resolved() const { return clash_resolved_; }

  private:
    /// Neither refused by `parse` nor forwarded untracked.
    static bool undecided(const Job<Family>& job) {
        return job.verdict.reason == DropReason::none && job.verdict.outcome == Outcome::drop;
    }

    [[gnu::always_inline]] static DropReason begin(Job<Family>& job) {
        job.verdict.outcome = Outcome::drop;
        const DropReason reason = parse<Family>(job.packet, 0, job.parsed);
        job.verdict.reason = reason;
        // An ICMP error concerns the flow of the packet it quotes, seen from the other side.
        if (job.parsed.kind == PacketKind::icmp_error) [[unlikely]]
            job.parsed.tuple = job.parsed.tuple.inverse();
        return reason;
    }

    /// Where packets may be forwarded untracked; false when none is left that is to be looked up.
    [[gnu::noinline]] bool begin_or_forward(std::span<Job<Family>> jobs) {
        bool tracks = false;
        for (Job<Family>& job : jobs) {
            if (begin(job) == DropReason::none && !untracked_.forward(job)) {
                job.hash = worker_.table().index().hash(job.parsed.tuple);
                tracks = true;
            } else {
                job.hash = 0;  // looked up with the others, always in the same bucket
            }
        }
        return tracks;
    }

    void end_step(Step step) {
        if (cycles_ != nullptr) [[unlikely]]
            cycles_->end(step);
    }

    [[gnu::noinline]] void open(std::span<Job<Family>* const> jobs) {
        const Opening<Family>* opening = first_packets_.prepare(jobs);
        end_step(Step::prepare);
        for (Job<Family>* const job : jobs) {
            // The bucket may have pointed to another flow; or a packet before this one in the burst
            // may have set the flow up.
            if (const Found found = worker_.table().index().find(job->parsed.tuple, job->hash))
                hit_late(*job, found);
            else if (const Found winner = first_packets_.open(*job, *opening, now_ms_))
                adopt(*job, winner);
            ++opening;
        }
        end_step(Step::open);
    }

    /// A SYN to whose tuple's flow it does not belong any more: see `gives_way`. It is asked when
    /// all others of the burst are decided.
    void ask_anew(Job<Family>& job) {
        job.verdict = Verdict::park();
        if (successors_ < burst) successor_[successors_++] = &job;
    }
    [[gnu::noinline]] void open_successors() {
        // Those that this finds to be asked anew once more stay parked.
        for (std::size_t i = 0, count = successors_; i < count; ++i) {
            Job<Family>& job = *successor_[i];
            const Found found = worker_.table().index().find(job.parsed.tuple, job.hash);
            if (found && worker_.record(found.flow).status.load(std::memory_order_acquire) !=
                             FlowStatus::live)  // (5)
                continue;                       // parked
            job.verdict = {};
            const Opening<Family>& opening = *first_packets_.prepare({&successor_[i], 1});
            if (const Found winner = first_packets_.open_in_place_of(found, job, opening, now_ms_))
                adopt(job, winner);
        }
        successors_ = 0;
    }

    /// Another packet of this flow was faster, in this burst or on another worker (invariant 2).
    [[gnu::noinline]] void adopt(Job<Family>& job, Found winner) {
        hit_late(job, winner);
        if (job.verdict.outcome != Outcome::park) clash_resolved_.add();
    }

    [[gnu::always_inline]] void hit(Job<Family>& job, Record& flow, Direction direction) {
        if (flow.status.load(std::memory_order_acquire) != FlowStatus::live) [[unlikely]]  // (5)
            job.verdict = Verdict::park();
        else if (job.parsed.kind == PacketKind::tcp) [[likely]]
            forward<PacketKind::tcp>(job, flow, direction);
        else if (job.parsed.kind == PacketKind::udp) [[likely]]
            forward<PacketKind::udp>(job, flow, direction);
        else
            hit_by_other(job, flow, direction);
    }
    [[gnu::noinline]] void hit_by_other(Job<Family>& job, Record& flow, Direction direction) {
        if (job.parsed.kind == PacketKind::icmp_error)
            job.verdict = translate_error(job, flow, direction);
        else
            forward<PacketKind::other>(job, flow, direction);
    }

    /// As `hit`, where it is too rare to be inlined.
    [[gnu::noinline]] void hit_late(Job<Family>& job, Found found) {
        hit(job, worker_.record(found.flow), found.direction);
    }

    /// @tparam kind  the packet's; `other`: any other than TCP and UDP
    template <PacketKind kind>
    [[gnu::always_inline]] void forward(Job<Family>& job, Record& flow, Direction direction) {
        const Tuple<Family>& answer = flow.tuple(opposite(direction));
        const bool routed = shared_.router.route(answer.source, job.hop);
        if (!routed || !fits(job)) [[unlikely]]
            return forward_unfit(job, flow, direction, routed);
        if (attends_all_ || !track_usual<kind>(flow, direction, job.packet, job.parsed, usual_))
            [[unlikely]]
            if (!attend(job, flow, direction)) return;
        translate<kind>(job.packet, job.parsed, answer, translation_of(flow, direction));
        job.verdict.outcome = Outcome::transmit;
    }

    /// As `forward`, of a packet that does not fit its hop as it is.
    [[gnu::noinline]] void forward_unfit(Job<Family>& job, Record& flow, Direction direction,
                                         bool routed) {
        const Verdict verdict = routable(job, routed);
        if (!verdict.transmits()) {
            job.verdict = verdict;
        } else if (attend(job, flow, direction)) {
            translate(job.packet, job.parsed, flow.tuple(opposite(direction)),
                      translation_of(flow, direction));
            job.verdict = verdict;
        }
    }

    /// Tracks a packet, with all that hangs on its flow's state; false when it goes no further, and
    /// then the verdict says why.
    [[gnu::noinline]] bool attend(Job<Family>& job, Record& flow, Direction direction) {
        bool reopens = false;
        // What may end or restart a connection is checked whole, like what opens one.
        if ((job.parsed.tcp_flags & tcp_flag::decisive) != 0) {
            if (!l4_checksum_ok<Family>(job.packet, job.parsed)) {
                job.verdict.reason = DropReason::bad_l4_checksum;
                return false;
            }
            if (is_opening(job.parsed)) {
                if (gives_way(flow, tcp_state(flow), direction, shared_.policy.tcp.window,
                              now_ms_)) {
                    ask_anew(job);
                    return false;
                }
                reopens = direction == Direction::original &&
                          is_over(tcp_state(flow), shared_.policy.tcp.window);
                if (reopens && shared_.limits != nullptr && !may_reopen(job, flow)) return false;
            }
        }
        if (job.parsed.kind == PacketKind::tcp && !reopens) {
            const OfIncarnation is = incarnations_.track(job, flow, direction, now_ms_);
            if (is == OfIncarnation::later) job.verdict = Verdict::park();
            if (is == OfIncarnation::yes) note_of_incarnation(job, flow, direction);
            if (is != OfIncarnation::no) return is == OfIncarnation::yes;
        }
        if (const DropReason reason = track(flow, direction, job.packet, job.parsed,
                                            shared_.timeouts, shared_.policy.tcp.window, now_ms_);
            reason != DropReason::none) {
            job.verdict.reason = reason;
            return false;
        }
        if (reopens && flow.status.load(std::memory_order_seq_cst) != FlowStatus::live) {  // (33)
            job.verdict = Verdict::park();  // another worker may be giving the tuple to a new flow
            return false;
        }
        if (!shared_.timeouts.inbound_refresh)
            first_packets_.mappings().note_outward(flow, direction,
                                                   flow.expires.load(std::memory_order_relaxed));
        note_opening(job, flow);
        if (shared_.timestamps != nullptr && job.parsed.kind == PacketKind::tcp)
            shared_.timestamps->passes(job.packet, job.parsed, flow, direction, reopens, now_ms_);
        return true;
    }

    /// A packet that `Incarnations` has tracked.
    void note_of_incarnation(const Job<Family>& job, Record& flow, Direction direction) {
        flow.counter(direction).add(job.parsed.length);
        note_opening(job, flow);
    }
    void note_opening(const Job<Family>& job, Record& flow) {
        if ((flow.marks.load(std::memory_order_relaxed) & flow_mark::half_open) != 0 &&
            !is_half_open(flow))
            shared_.limits->opened(flow);
        if ((job.parsed.tcp_flags & tcp_flag::syn) != 0 && flow.rule < shared_.policy.rules.size())
            clamp_to_path(job, shared_.policy.rules[flow.rule], shared_.router);
    }

    /// A SYN on a finished connection makes one more that is half open; when it may not, the
    /// verdict says why.
    bool may_reopen(Job<Family>& job, Record& flow) {
        const Admitted admitted = shared_.limits->reopen(flow, worker_.id());
        if (!is_in(admitted)) job.verdict = first_packets_.refused(admitted);
        return is_in(admitted);
    }

    /// The quoted packet gets back the addresses its sender knows, and where the sender knows
    /// another destination than the error's reporter, the error comes from there: [RFC 5508 REQ-4]
    /// [RFC 5508 REQ-5] [RFC 5382 REQ-9]; of a hairpinned flow too [RFC 5508 REQ-7]. Neither state
    /// nor timeout of the flow changes: [RFC 5508 REQ-6] [RFC 4787 REQ-12] [RFC 5382 REQ-10].
    Verdict translate_error(Job<Family>& job, const Record& flow, Direction direction) {
        if (!l4_checksum_ok<Family>(job.packet, job.parsed))
            return Verdict::drop(DropReason::bad_l4_checksum);
        const auto& outer = header<IpHeader<Family>>(job.packet, 0);
        // The error goes to whom the quoted packet came from, as its reporter saw it.
        if (outer.destination.get() != job.parsed.tuple.destination)
            return Verdict::drop(DropReason::icmp_unrelated);
        const bool is_own = job.ingress_port == no_port;
        if (const DropReason doubt = is_own ? DropReason::none : doubt_about(job, flow, direction);
            doubt != DropReason::none)
            return Verdict::drop(doubt);
        const Tuple<Family>& quoted = flow.tuple(opposite(direction));
        const bool routed = shared_.router.route(quoted.source, job.hop);
        // One of our own comes from the port that it leaves by [RFC 1812 section 4.3.2.4].
        const Address sender =
            is_own && routed ? shared_.router.port_address(job.hop.port) : outer.source.get();
        const Address source =
            quoted.destination == job.parsed.tuple.source ? sender : quoted.destination;
        // Nobody reports his own packet to himself by way of us.
        if (source == quoted.source) return Verdict::drop(DropReason::bad_address);
        const Verdict verdict = routable(job, routed);
        if (!verdict.transmits()) return Verdict::drop(verdict.reason);  // no error about an error
        rewrite_icmp_error<Family>(job.packet, job.parsed, quoted, source, quoted.source);
        decrement_ttl<Family>(job.packet);
        return verdict;
    }

    /// Whether an ICMP error about a flow, which anybody may have sent, can be true.
    DropReason doubt_about(const Job<Family>& job, const Record& flow, Direction direction) const {
        const Address sender = header<IpHeader<Family>>(job.packet, 0).source.get();
        const DropReason reason = check_source<Family>(sender, job.ingress_port, shared_.router);
        if (reason != DropReason::none) return reason;
        const auto doubt_of = [&](const Record& record) {
            return icmp_doubt(job.packet, job.parsed, record, opposite(direction),
                              shared_.policy.tcp.window);
        };
        const DropReason doubt = doubt_of(flow);
        if (doubt != DropReason::icmp_sequence) return doubt;
        const Record* const incarnation = incarnations_.of(flow);
        return incarnation == nullptr ? doubt : doubt_of(*incarnation);
    }

    Worker& worker_;
    Shared shared_;
    Untracked<Family, RouterType> untracked_;
    FirstPackets<Family, RouterType, Traits> first_packets_;
    Incarnations<Family, Traits> incarnations_;
    std::array<Job<Family>*, burst> successor_;
    std::size_t successors_ = 0;
    Counter clash_resolved_;
    std::uint64_t now_ms_ = 0;
    UsualTracking usual_;       ///< of this burst
    bool attends_all_ = false;  ///< no packet of this burst is uneventful
    StepCycles* cycles_ = nullptr;
};

}  // namespace noclash::nat
