// SPDX-License-Identifier: Apache-2.0
#pragma once

// # Limits
//
// Limits on a subscriber's flows and ports [RFC 6888 REQ-4] [RFC 6888 REQ-5] [field k], and on
// how many connections may be half open, from one source and to one service [field e]. What is over
// a limit is refused; nothing that is there has to go for it [RFC 6888 REQ-11].
//
// A flow is counted by an `Admission` while it is set up, after its claim: of two packets that open
// the same flow only the owner counts. What was counted for it stands in its marks, and is taken
// off again by the thread that takes the mark away: once, in one atomic step, however many workers
// have a packet of the flow at the time.
//
// A subscriber's flow holds an entry in the table of sources for as long as it lives, a connection
// that is half open holds it once more. When the table has no place for a source, its flow is let
// in without being counted, which is counted (`uncounted`): sources beyond the table are too many
// for their addresses to mean anything, and to refuse them would let a flood of forged addresses
// shut out everybody whom the table does not know yet. All flows together are bounded by `flows` in
// any case.

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "engine/flow.hpp"
#include "nat/conntrack/flow_marks.hpp"
#include "nat/conntrack/tcp_state.hpp"
#include "nat/limits/service_counters.hpp"
#include "nat/limits/source_table.hpp"
#include "nat/packet/drop_reason.hpp"
#include "nat/packet/headers.hpp"
#include "nat/policy/policy_snapshot.hpp"
#include "nat/policy/rule_match.hpp"

namespace noclash::nat {

/// The answer of a limit.
enum class Admitted : std::uint8_t {
    yes,
    uncounted,  ///< let in, for the table of sources has no place
    busy,       ///< try again at the next visit
    over_flows,
    over_ports,
    over_half_open_source,
    over_half_open_service,
};

[[nodiscard]] constexpr bool is_in(Admitted admitted) {
    return admitted == Admitted::yes || admitted == Admitted::uncounted;
}

[[nodiscard]] constexpr bool concerns_half_open(Admitted admitted) {
    return admitted == Admitted::over_half_open_source ||
           admitted == Admitted::over_half_open_service;
}

/// The drop reason of a packet over a limit.
[[nodiscard]] constexpr DropReason reason_of(Admitted admitted) {
    switch (admitted) {
        case Admitted::over_flows:
            return DropReason::subscriber_flows;
        case Admitted::over_ports:
            return DropReason::subscriber_ports;
        case Admitted::over_half_open_source:
            return DropReason::half_open_source;
        case Admitted::over_half_open_service:
            return DropReason::half_open_service;
        case Admitted::yes:
        case Admitted::uncounted:
        case Admitted::busy:
            break;
    }
    return DropReason::none;
}

/// The port, or ICMP identifier, that a translated flow of this protocol takes.
template <class Family>
[[nodiscard]] constexpr Quota port_quota(std::uint8_t protocol) {
    if (protocol == ip_protocol::tcp) return Quota::tcp_ports;
    return protocol == Family::icmp_protocol ? Quota::icmp_ids : Quota::udp_ports;
}

[[nodiscard]] constexpr bool is_half_open(TcpState state) {
    return state == TcpState::syn_sent || state == TcpState::syn_recv ||
           state == TcpState::syn_sent2;
}

template <class Record>
[[nodiscard]] bool is_half_open(const Record& flow) {
    return is_half_open(tcp_state(flow));
}

/// The counts of all limits. Shared by all workers, without locks; how much is too much says the
/// policy of the round.
template <class Family, class Traits>
class Limits {
  public:
    using Record = typename FlowTable<Family, Traits>::Record;
    using Policy = nat::Policy<Family>;
    using Sources = SourceTable<Family, Traits>;

    /// @param config  the limits of the first policy
    /// @param rules   how many may have a number
    Limits(const FlowTable<Family, Traits>& table, const LimitsConfig<Family>& config,
           std::size_t rules)
        : table_(table), services_(rules) {
        prepare(config);
    }

    /// Makes what a policy with such limits needs: `config.sources` are the sources that can be
    /// told apart, as long as the gateway runs. One thread; workers may run, and have to take a
    /// policy with these limits after a grace period only: what one of them counts, another may
    /// have to take off.
    /// @return whether anything was made, so that a grace period is due
    bool prepare(const LimitsConfig<Family>& config) {
        const bool is_first = !active_.load(std::memory_order_relaxed) && config.any();
        if (config.of_sources() && sources() == nullptr) {
            owned_sources_ = std::make_unique<Sources>(table_, config.sources);
            sources_.store(owned_sources_.get(), std::memory_order_release);  // (77)
        }
        if (is_first) active_.store(true, std::memory_order_relaxed);
        return is_first;
    }

    /// Whether any policy so far has limited anything; else no flow was counted.
    [[nodiscard]] bool active() const { return active_.load(std::memory_order_relaxed); }
    /// Null while no policy has limited sources.
    [[nodiscard]] const Sources* sources() const {
        return sources_.load(std::memory_order_acquire);  // (80)
    }
    [[nodiscard]] const ServiceCounters<Traits>& services() const { return services_; }

    /// Counts a flow that is being set up, as far as the limits let it; sets the marks of what was
    /// counted. @param worker  number of the calling thread
    [[nodiscard]] Admitted enter(const Policy& policy, const Tuple<Family>& original,
                                 const Rule<Family>& rule, std::uint32_t worker,
                                 std::uint8_t& marks) {
        Admitted result = Admitted::yes;
        if (counts_sources(policy) && is_subscriber(policy, original, rule))
            result = enter_subscriber(policy, original, rule, worker, marks);
        if (!is_in(result) || original.protocol != ip_protocol::tcp) return result;
        const Admitted half_open = enter_half_open(policy, original, &rule, worker, marks);
        return half_open == Admitted::yes ? result : half_open;
    }

    /// Counts a flow that lived before this process did, whatever the limits say: as if it were set
    /// up under the policy in force. @param worker  number of the calling thread
    void adopt(const Policy& policy, Record& flow, std::uint32_t worker) {
        const Tuple<Family>& original = flow.tuple(Direction::original);
        const Rule<Family>* const rule = policy.find_rule(flow.rule);
        std::uint8_t marks = 0;
        const bool held =
            rule != nullptr && counts_sources(policy) && is_subscriber(policy, original, *rule);
        const auto enter_it = [&] {
            return enter_subscriber(policy, original, *rule, worker, marks, Bound::none);
        };
        while (held && enter_it() == Admitted::busy) {  // others make its source's entry, too
        }
        const bool half_open = original.protocol == ip_protocol::tcp && is_half_open(flow);
        const Rule<Family>* service = rule;
        while (half_open && enter_half_open(policy, original, service, worker, marks,
                                            Bound::none) == Admitted::busy)
            service = nullptr;  // which has been counted
        if (marks != 0) flow.marks.fetch_or(marks, std::memory_order_relaxed);
    }

    /// Whether `enter` would refuse just now. Costs less than to claim and to give up again.
    [[nodiscard]] Admitted glance(const Policy& policy, const Tuple<Family>& original,
                                  const Rule<Family>& rule) const {
        const bool tcp = original.protocol == ip_protocol::tcp;
        if (tcp && limits_service(policy, rule) &&
            services_.half_open(rule.id) >= policy.limits.half_open_per_service)
            return Admitted::over_half_open_service;
        if (!counts_sources(policy)) return Admitted::yes;
        const auto slot = table_of_sources().find(original.source, original.zone);
        if (!slot) return Admitted::yes;
        if (tcp && over(policy, *slot, Quota::half_open)) return Admitted::over_half_open_source;
        if (!is_subscriber(policy, original, rule)) return Admitted::yes;
        if (over(policy, *slot, Quota::flows)) return Admitted::over_flows;
        const bool port = translates(rule);
        return port && over(policy, *slot, port_quota<Family>(original.protocol))
                   ? Admitted::over_ports
                   : Admitted::yes;
    }

    /// A finished connection is opened anew by a SYN: it is half open again.
    [[nodiscard]] Admitted reopen(const Policy& policy, Record& flow, std::uint32_t worker) {
        const Tuple<Family>& original = flow.tuple(Direction::original);
        std::uint8_t counted = 0;
        const Admitted result =
            enter_half_open(policy, original, policy.find_rule(flow.rule), worker, counted);
        if (!is_in(result)) {
            leave(original, flow.rule, counted);
            return result;
        }
        const std::uint8_t before =
            flow.marks.fetch_or(counted, std::memory_order_acquire);  // (43)
        leave(original, flow.rule, counted & before);                 // another SYN was faster
        // A thread that ended the flow before the marks were there has not seen them.
        if (flow.status.load(std::memory_order_relaxed) != FlowStatus::live) opened(flow);
        return result;
    }

    /// The flow is not half open any more: any worker, as often as it sees so.
    void opened(Record& flow) {
        constexpr auto rest = static_cast<std::uint8_t>(~flow_mark::half_open);
        const std::uint8_t before = flow.marks.fetch_and(rest, std::memory_order_relaxed);
        leave(flow.tuple(Direction::original), flow.rule, before & flow_mark::half_open);
    }

    /// The flow, which is no mapping, has ended.
    void ended(const Policy& policy, Record& flow) {
        if (!active()) return;
        const std::uint8_t before = flow.marks.fetch_and(
            static_cast<std::uint8_t>(~flow_mark::counted), std::memory_order_release);  // (42)
        leave(flow.tuple(Direction::original), flow.rule, before & flow_mark::counted);
        const bool unanswered =
            (before & flow_mark::half_open_service) != 0 && (before & flow_mark::replied) == 0;
        if (!unanswered) return;
        const Rule<Family>* rule = policy.find_rule(flow.rule);
        if (rule == nullptr || rule->is_service()) return;  // counted with all openings
        policy.backends.ended_unanswered(policy.place_of(*rule), flow.tuple(Direction::reply));
    }

    /// Takes off again what `marks` say was counted.
    void leave(const Tuple<Family>& original, RuleId rule, unsigned marks) {
        if ((marks & flow_mark::half_open_service) != 0) services_.end(rule);
        if ((marks & (flow_mark::half_open_source | flow_mark::subscriber)) == 0) return;
        const auto slot = table_of_sources().find(original.source, original.zone);
        if (!slot) return;  // never: what was counted holds it
        if ((marks & flow_mark::half_open_source) != 0) {
            table_of_sources().take_off(*slot, Quota::half_open);
            table_of_sources().let_go(*slot);
        }
        if ((marks & flow_mark::subscriber) != 0) {
            if ((marks & flow_mark::subscriber_port) != 0)
                table_of_sources().take_off(*slot, port_quota<Family>(original.protocol));
            table_of_sources().take_off(*slot, Quota::flows);
            table_of_sources().let_go(*slot);
        }
    }

  private:
    using Outcome = typename Sources::Outcome;
    enum class Bound : std::uint8_t { kept, none };

    bool counts_sources(const Policy& policy) const { return policy.limits_sources; }
    Sources& table_of_sources() const {
        return *sources_.load(std::memory_order_acquire);  // (80)
    }
    static bool translates(const Rule<Family>& rule) { return rule.source_nat != SourceNat::keep; }
    static bool limits_service(const Policy& policy, const Rule<Family>& rule) {
        return policy.limits.half_open_per_service != 0 && rule.action == Action::dnat;
    }
    static bool is_subscriber(const Policy& policy, const Tuple<Family>& original,
                              const Rule<Family>& rule) {
        if (!policy.limits.subscribers.empty())
            return within<Family>(policy.limits.subscribers, original.source);
        if (rule.mapping) return rule.mapping->leaves(original);
        return rule.action != Action::dnat;
    }
    bool over(const Policy& policy, typename Sources::Slot slot, Quota quota) const {
        const std::uint32_t most = policy.limits.most_of(quota);
        return most != 0 && table_of_sources().used(slot, quota) >= most;
    }

    Admitted enter_subscriber(const Policy& policy, const Tuple<Family>& original,
                              const Rule<Family>& rule, std::uint32_t worker, std::uint8_t& marks,
                              Bound bound = Bound::kept) {
        const auto most = [&](Quota quota) {
            return bound == Bound::kept ? policy.limits.most_of(quota) : 0;
        };
        const auto held = table_of_sources().hold(original.source, original.zone, worker);
        if (held.outcome == Outcome::full) return Admitted::uncounted;
        if (held.outcome == Outcome::busy) return Admitted::busy;
        if (!table_of_sources().add(held.slot, Quota::flows, most(Quota::flows))) {
            table_of_sources().let_go(held.slot);
            return Admitted::over_flows;
        }
        const Quota port = port_quota<Family>(original.protocol);
        if (translates(rule)) {
            if (!table_of_sources().add(held.slot, port, most(port))) {
                table_of_sources().take_off(held.slot, Quota::flows);
                table_of_sources().let_go(held.slot);
                return Admitted::over_ports;
            }
            marks |= flow_mark::subscriber_port;
        }
        marks |= flow_mark::subscriber;
        return Admitted::yes;
    }

    /// @param rule  null: the flow's is gone, and limits no service
    Admitted enter_half_open(const Policy& policy, const Tuple<Family>& original,
                             const Rule<Family>* rule, std::uint32_t worker, std::uint8_t& marks,
                             Bound bound = Bound::kept) {
        if (rule != nullptr && limits_service(policy, *rule)) {
            if (!services_.begin(rule->id, bound == Bound::kept
                                               ? policy.limits.half_open_per_service
                                               : UINT32_MAX))
                return Admitted::over_half_open_service;
            marks |= flow_mark::half_open_service;
        }
        const std::uint32_t most = policy.limits.most_of(Quota::half_open);
        if (most == 0) return Admitted::yes;
        const auto held = table_of_sources().hold(original.source, original.zone, worker);
        if (held.outcome == Outcome::full) return Admitted::uncounted;
        if (held.outcome == Outcome::busy) return Admitted::busy;
        if (!table_of_sources().add(held.slot, Quota::half_open, bound == Bound::kept ? most : 0)) {
            table_of_sources().let_go(held.slot);
            return Admitted::over_half_open_source;
        }
        marks |= flow_mark::half_open_source;
        return Admitted::yes;
    }

    const FlowTable<Family, Traits>& table_;
    std::atomic<bool> active_{false};
    std::unique_ptr<Sources> owned_sources_;
    std::atomic<Sources*> sources_{nullptr};
    ServiceCounters<Traits> services_;
};

/// The counts of a flow while it is set up. Destroyed before `commit`, it takes them off again
/// (invariant 3).
template <class Family, class Traits>
class Admission {
  public:
    using L = Limits<Family, Traits>;

    /// All outlive it.
    Admission(L& limits, const Policy<Family>& policy, const Tuple<Family>& original,
              const Rule<Family>& rule)
        : limits_(limits), policy_(policy), original_(original), rule_(rule) {}
    ~Admission() {
        if (marks_ != 0) limits_.leave(original_, rule_.id, marks_);
    }
    Admission(const Admission&) = delete;
    Admission& operator=(const Admission&) = delete;

    /// Once. @param worker  number of the calling thread
    [[nodiscard]] Admitted enter(std::uint32_t worker) {
        return limits_.enter(policy_, original_, rule_, worker, marks_);
    }
    /// The flow, whose rule has been written, answers for it from now on. Before it is published.
    void commit(typename L::Record& flow) {
        if (marks_ == 0) return;
        flow.marks.fetch_or(std::exchange(marks_, std::uint8_t{0}), std::memory_order_relaxed);
    }

  private:
    L& limits_;
    const Policy<Family>& policy_;
    const Tuple<Family> original_;
    const Rule<Family>& rule_;
    std::uint8_t marks_ = 0;
};

}  // namespace noclash::nat
