// SPDX-License-Identifier: Apache-2.0
#pragma once

// # How openings go on that a backend of a service got
//
// Counted where a flow begins, where its state moves on the slow path, and where it ends. Packets
// of established flows come by none of these places.
//
//     begins                     openings; TCP and SCTP: one more that is half open
//     the SYN or INIT again      noted in the flow; late enough, a failure
//     SYN-ACK, or any answer     how long it took; whether the client had to ask again
//     RST, ABORT, ICMP error     refused, a failure
//     RST or ABORT of the client not counted: it has lost interest
//     ends before all that       unanswered; late enough, a failure
//     RST or ABORT of the backend, once it has answered: reset
//
// Failures are what passive health goes by (nat/policy/inhibition.hpp). Many senders of datagrams
// expect no answer, so that with UDP only a refusal is one. A refusal is one only when it came by
// the port that leads to the backend, so that nobody outside can say it.
//
// A new incarnation of a connection that lives (nat/reuse/incarnations.hpp) is not counted.

#include <atomic>
#include <cstdint>

#include "engine/tuple.hpp"
#include "nat/conntrack/conntrack.hpp"
#include "nat/conntrack/opening_word.hpp"
#include "nat/conntrack/sctp_state.hpp"
#include "nat/conntrack/tcp_state.hpp"
#include "nat/packet/packet.hpp"
#include "nat/packet/protocols.hpp"
#include "nat/policy/backend_table.hpp"
#include "nat/policy/policy.hpp"

namespace noclash::nat {

/// An opening that is not answered for so long has failed. Clients repeat a SYN after 1 and 3
/// seconds, or after 1, 2 and 3; an INIT after 3.
inline constexpr std::uint32_t patience_ms = 2500;

/// Whether a refusal is known to come from where the backend is.
enum class Refusal : std::uint8_t { trusted, doubtful };

namespace openings {

enum class Stage : std::uint8_t { waits, lives, over };

[[nodiscard]] constexpr Stage stage_of(TcpState state) {
    if (state == TcpState::syn_sent) return Stage::waits;
    const bool over = state == TcpState::time_wait || state == TcpState::close;
    return over ? Stage::over : Stage::lives;
}
[[nodiscard]] constexpr Stage stage_of(SctpState state) {
    if (state == SctpState::opening) return Stage::waits;
    return state == SctpState::closing ? Stage::over : Stage::lives;
}
[[nodiscard]] constexpr Stage stage_of(std::uint8_t protocol, std::uint8_t state) {
    return protocol == ip_protocol::tcp ? stage_of(static_cast<TcpState>(state))
                                        : stage_of(static_cast<SctpState>(state));
}

[[nodiscard]] constexpr bool has_connections(std::uint8_t protocol) {
    return protocol == ip_protocol::tcp || protocol == ip_protocol::sctp;
}

/// The counters that an opening was begun under; null: its flow is of no service, or the service
/// has lost the backend.
template <class Policy, class Record>
[[nodiscard]] BackendCounters* counters_of(const Policy& policy, const Record& flow,
                                           OpeningWord word) {
    const auto* const rule = policy.find_rule(flow.rule);
    if (rule == nullptr || !rule->is_service()) return nullptr;
    const auto& backends = policy.service_rules.backends_of(*rule);
    const auto& reply = flow.tuple(Direction::reply);
    // One backend may have the port of its own, another whichever was asked for.
    for (const std::uint16_t port : {reply.source_port.host(), std::uint16_t{0}}) {
        const auto* const entry = backends.find_exactly({reply.source, port});
        if (entry != nullptr && entry->counters->tag == word.tag()) return entry->counters.get();
    }
    return nullptr;
}

/// Takes the opening's token. Null: somebody else has it, or nobody counts the opening.
template <class Policy, class Record>
[[nodiscard]] BackendCounters* take(const Policy& policy, Record& flow, OpeningWord& word) {
    if (!opening_word(flow).has(OpeningWord::waits)) return nullptr;
    word = clear_in_opening(flow, OpeningWord::waits);
    if (!word.has(OpeningWord::waits)) return nullptr;
    BackendCounters* const counters = counters_of(policy, flow, word);
    if (counters != nullptr && has_connections(flow.tuple(Direction::original).protocol))
        counters->half_open.fetch_sub(1, std::memory_order_relaxed);
    return counters;
}

template <class Policy, class Record>
void answered(const Policy& policy, Record& flow, std::uint64_t now_ms) {
    OpeningWord word(0);
    BackendCounters* const counters = take(policy, flow, word);
    if (counters == nullptr) return;
    OpeningResults& results = *counters->results;
    results.answers.add(word.age_ms(now_ms));
    results.succeed();
    if (!word.has(OpeningWord::repeated)) return;
    results.late.fetch_add(1, std::memory_order_relaxed);
    results.late_ms.fetch_add(word.age_ms(now_ms), std::memory_order_relaxed);
}

template <class Policy, class Record>
void refused(const Policy& policy, Record& flow, Refusal refusal, std::uint64_t now_ms) {
    OpeningWord word(0);
    BackendCounters* const counters = take(policy, flow, word);
    if (counters == nullptr) return;
    counters->results->refused.fetch_add(1, std::memory_order_relaxed);
    if (refusal == Refusal::trusted && !word.has(OpeningWord::failed))
        counters->results->fail(now_ms - word.age_ms(now_ms));
}

/// An ICMP error has come about a packet of the client.
template <class Policy, class Record>
void unreachable(const Policy& policy, Record& flow, Refusal refusal, std::uint64_t now_ms) {
    const bool may_have_fins = flow.tuple(Direction::original).protocol == ip_protocol::tcp &&
                               tcp_state(flow) != TcpState::syn_sent;
    if (!may_have_fins) refused(policy, flow, refusal, now_ms);
}

template <class Policy, class Record>
void reset(const Policy& policy, const Record& flow) {
    // Where FINs end, no tag is left; and the connection may be older than the counters.
    const auto* const rule = policy.find_rule(flow.rule);
    if (rule == nullptr || !rule->is_service()) return;
    const auto& reply = flow.tuple(Direction::reply);
    const auto* const entry =
        policy.service_rules.backends_of(*rule).find(reply.source, reply.source_port.host());
    if (entry != nullptr) entry->counters->results->reset.fetch_add(1, std::memory_order_relaxed);
}

/// The client has repeated its SYN or INIT.
template <class Policy, class Record>
void repeated(const Policy& policy, Record& flow, std::uint64_t now_ms) {
    const OpeningWord word = opening_word(flow);
    if (!word.has(OpeningWord::waits)) return;
    if (!word.has(OpeningWord::repeated)) set_in_opening(flow, OpeningWord::repeated);
    if (word.age_ms(now_ms) < patience_ms || word.has(OpeningWord::failed) ||
        set_in_opening(flow, OpeningWord::failed).has(OpeningWord::failed))
        return;
    if (BackendCounters* const counters = counters_of(policy, flow, word))
        counters->results->fail(now_ms - word.age_ms(now_ms));
}

/// The backend has not heard that its SYN-ACK has come, or had no place for the connection.
template <class Policy, class Record>
void answer_repeated(const Policy& policy, Record& flow) {
    const OpeningWord word = set_in_opening(flow, OpeningWord::answer_repeated);
    if (word.has(OpeningWord::answer_repeated)) return;
    if (BackendCounters* const counters = counters_of(policy, flow, word))
        counters->results->repeated_answers.fetch_add(1, std::memory_order_relaxed);
}

/// A flow begins, or a finished one is opened anew: `waits` says whether an answer is to come.
template <class Record>
void begin(Record& flow, BackendCounters& counters, bool waits, std::uint64_t now_ms) {
    counters.openings.fetch_add(1, std::memory_order_relaxed);
    if (!waits) return;
    if (has_connections(flow.tuple(Direction::original).protocol))
        counters.half_open.fetch_add(1, std::memory_order_relaxed);
    flow.protocol_word.store(OpeningWord(counters.tag, now_ms).bits(), std::memory_order_relaxed);
}

template <class Policy, class Record>
void begin_again(const Policy& policy, Record& flow, std::uint64_t now_ms) {
    flow.protocol_word.store(0, std::memory_order_relaxed);
    const auto* const rule = policy.find_rule(flow.rule);
    if (rule == nullptr || !rule->is_service()) return;
    const auto& reply = flow.tuple(Direction::reply);
    const auto* const entry =
        policy.service_rules.backends_of(*rule).find(reply.source, reply.source_port.host());
    if (entry != nullptr) begin(flow, *entry->counters, true, now_ms);
}

/// A packet of a flow has been tracked on the slow path.
/// @param move  what it has moved
template <class Policy, class Record, class Family>
void track(const Policy& policy, Record& flow, Direction direction, const Parsed<Family>& packet,
           StateMove move, Refusal refusal, std::uint64_t now_ms) {
    const std::uint8_t protocol = flow.tuple(Direction::original).protocol;
    const bool of_backend = direction == Direction::reply;
    if (!has_connections(protocol)) {
        if (of_backend) answered(policy, flow, now_ms);
        return;
    }
    const bool syn = (packet.tcp_flags & tcp_flag::syn) != 0;
    const bool rst = (packet.tcp_flags & tcp_flag::rst) != 0;
    const Stage before = stage_of(protocol, move.before), after = stage_of(protocol, move.after);
    // An INIT ACK moves no state.
    const bool answers = of_backend && !rst && protocol == ip_protocol::sctp;
    if (before == Stage::waits && (after == Stage::lives || answers))
        return answered(policy, flow, now_ms);
    if (before == Stage::waits && after == Stage::over) {
        if (of_backend) return refused(policy, flow, refusal, now_ms);
        OpeningWord word(0);
        static_cast<void>(take(policy, flow, word));
    } else if (before == Stage::waits && syn && !of_backend) {
        repeated(policy, flow, now_ms);
    } else if (before == Stage::lives && after == Stage::over && rst && of_backend) {
        reset(policy, flow);
    } else if (before == Stage::over && after == Stage::waits && !of_backend) {
        begin_again(policy, flow, now_ms);
    } else if (protocol == ip_protocol::tcp && syn && of_backend &&
               static_cast<TcpState>(move.before) == TcpState::established) {
        answer_repeated(policy, flow);
    }
}

/// Nobody waits for the backend any more.
template <class Policy, class Record>
void unanswered(const Policy& policy, Record& flow, std::uint64_t now_ms) {
    const std::uint8_t protocol = flow.tuple(Direction::original).protocol;
    OpeningWord word(0);
    BackendCounters* const counters = take(policy, flow, word);
    if (counters == nullptr) return;
    counters->unanswered.fetch_add(1, std::memory_order_relaxed);
    const std::uint32_t age_ms = word.age_ms(now_ms);
    if (has_connections(protocol) && age_ms >= patience_ms && !word.has(OpeningWord::failed))
        counters->results->fail(now_ms - age_ms);
}

/// The flow has ended.
template <class Policy, class Record>
void ended(const Policy& policy, Record& flow, std::uint64_t now_ms) {
    // Where FINs may stand, there is no token any more.
    const bool may_have_fins = flow.tuple(Direction::original).protocol == ip_protocol::tcp &&
                               tcp_state(flow) != TcpState::syn_sent;
    if (!may_have_fins) unanswered(policy, flow, now_ms);
}

/// The flow was begun under counters of another process. Nobody else has it yet.
template <class Record>
void forget(Record& flow) {
    const bool may_have_fins = flow.tuple(Direction::original).protocol == ip_protocol::tcp &&
                               tcp_state(flow) != TcpState::syn_sent;
    if (!may_have_fins) flow.protocol_word.store(0, std::memory_order_relaxed);
}

}  // namespace openings

}  // namespace noclash::nat
