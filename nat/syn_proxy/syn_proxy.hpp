// SPDX-License-Identifier: Apache-2.0
#pragma once

// # The SYN proxy of services
//
// A flood of SYNs from forged sources fills tables and backends with connections that nobody will
// ever use. While a service is guarded, the gateway answers SYNs itself, by cookies
// (nat/syn_proxy/syn_cookie.hpp), and keeps nothing: no flow, no port, no count of a limit. Only a
// client that shows its cookie gets a flow:
//
//     client             gateway                                       backend
//       SYN          ->    nothing is kept
//                    <-  SYN-ACK with a cookie and a closed window
//       ACK          ->    the flow is set up, as if by the SYN; SYN   ->
//                                                                      <- SYN-ACK
//                    <-  ACK that opens the window               ACK   ->
//       data         ->    from here on each segment is shifted        ->
//                          (nat/syn_proxy/sequence_shift.hpp)
//
// The closed window keeps the client from sending data that nobody could take yet; a server that
// speaks first needs nothing from it. The client believes in a connection that the backend may
// refuse, or never answer: then it gets a RST. So
//
// * the SYN to the backend is sent again after 1, 2 and 4 s; 8 s later both sides are told;
// * a backend that holds an older connection of the same addresses and ports answers the SYN with a
//   challenge ACK: it gets the RST that a host would send, and the SYN again, at once a few times;
// * a client that missed the RST gets it again, whenever it sends something;
// * a client that begins anew on the same port gets a challenge ACK by the gateway, as from any
// host
//   that has a connection (RFC 5961, section 4). Its RST ends the old one on both sides.
//
// # States
//
// A proxied flow is one whose `TcpProgress` says so. Until the backend answers it is in SYN_SENT,
// and its words hold what the SYN says. The worker that has the backend's SYN-ACK moves it to
// SYN_RECV, which means "just being changed": whoever finds it so parks. Then the words of
// `SequenceShift` are there, and the flow is established. A crash in between ends the flow.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>

#include "engine/base/clock.hpp"
#include "engine/base/counters.hpp"
#include "nat/conntrack/conntrack.hpp"
#include "nat/conntrack/record_kind.hpp"
#include "nat/limits/openings.hpp"
#include "nat/packet/packet_context.hpp"
#include "nat/packet/timestamp_option.hpp"
#include "nat/policy/policy_snapshot.hpp"
#include "nat/syn_proxy/own_segments.hpp"
#include "nat/syn_proxy/proxied_flow.hpp"
#include "nat/syn_proxy/sequence_shift.hpp"
#include "nat/syn_proxy/syn_cookie.hpp"
#include "nat/syn_proxy/syn_proxy_shared.hpp"

namespace noclash::nat {

struct SynProxyCounters {
    Counter cookies_sent;
    Counter opened;      ///< connections of clients that have shown a cookie
    Counter waiting;     ///< segments of clients that came before their backend had answered
    Counter retries;     ///< SYNs that backends got again
    Counter unanswered;  ///< connections that were reset because the backend did not answer
    Counter challenges;  ///< SYNs on live connections
};

/// One per worker, used by it alone; the counters may be read by anyone.
template <class Family, class Traits>
class SynProxy {
  public:
    using Shared = SynProxyShared<Family, Traits>;
    using Round = nat::Round<Family>;

    /// @param shared  outlives this; null: no service is ever guarded
    /// @param workers  how many share the load of a service
    SynProxy(Shared* shared, unsigned workers) : shared_(shared), workers_(workers) {}

    /// Segments that have to be sent: the caller takes them after each burst and between bursts.
    [[nodiscard]] OwnSegments<Family>& outbox() { return outbox_; }
    [[nodiscard]] const SynProxyCounters& counters() const { return counters_; }

    /// Whether the service of `rule` answers SYNs itself just now.
    [[nodiscard]] bool guards(const Rule<Family>& rule, std::uint64_t now_ms) const {
        if (!may_have_cookies(rule)) [[likely]]
            return false;
        return rule.syn_proxy == SynProxyMode::on || shared_->is_guarded(rule.id, now_ms);
    }
    /// Whether segments without a flow may show a cookie of the service of `rule`.
    [[nodiscard]] bool may_have_cookies(const Rule<Family>& rule) const {
        return rule.syn_proxy != SynProxyMode::off && shared_ != nullptr;
    }
    /// This worker keeps so many half-open connections of the service of `rule`. Guards it when
    /// they are too many; once guarded, it stays so until they are less than half of that.
    void note_half_open(const ServiceRules<Family>& services, const Rule<Family>& rule,
                        std::uint32_t half_open, std::uint64_t now_ms) {
        if (rule.syn_proxy != SynProxyMode::automatic || shared_ == nullptr) [[likely]]
            return;
        const bool guarded = shared_->is_guarded(rule.id, now_ms);
        const std::uint64_t most = services.service_of(rule).syn_proxy_above / (guarded ? 2 : 1);
        if (std::uint64_t{half_open} * workers_ > most) shared_->guard(rule.id, now_ms);
    }

    /// What clients of a service are offered in its backends' place.
    [[nodiscard]] SynOffer offer_of(const Service<Family>& service, RuleId rule) const {
        return service.syn_offer ? *service.syn_offer : shared_->offer_of(rule).offer();
    }
    /// A backend's SYN-ACK to a client that has opened its connection itself. What the client has
    /// asked for is not known any more: what is not offered tells nothing.
    void note_offer(const Rule<Family>& rule, const PacketContext<Family>& syn_ack,
                    std::uint64_t now_ms) {
        if (!may_have_cookies(rule)) return;
        const auto options = syn_options_of<Family>(syn_ack.packet, syn_ack.parsed);
        shared_->offer_of(rule.id).note(options, options, now_ms);
    }

    /// Answers a client's SYN by a cookie. There is room for one segment.
    void answer(const PacketContext<Family>& syn, const SynOffer& offer, std::uint64_t now_ms) {
        const Parsed<Family>& parsed = syn.parsed;
        const TcpSegment numbers = segment_of(syn.packet, parsed);
        const CookieAnswer answer =
            shared_->cookies().answer(parsed.tuple, numbers.sequence,
                                      syn_options_of<Family>(syn.packet, parsed), offer, now_ms);
        // ISN + 1, whatever data came with it: that comes again.
        send(parsed.tuple.inverse(),
             {.sequence = answer.cookie,
              .acknowledgment = numbers.sequence + 1,
              .flags = tcp_flag::syn | tcp_flag::ack},
             answer.options);
        counters_.cookies_sent.add();
    }

    /// The opening that a segment without a flow completes; nothing: its cookie is wrong, or it has
    /// none.
    [[nodiscard]] std::optional<ProxiedOpening> opening_of(const PacketContext<Family>& context,
                                                           std::uint64_t now_ms) const {
        const Parsed<Family>& parsed = context.parsed;
        constexpr std::uint8_t looked_at = tcp_flag::syn | tcp_flag::rst | tcp_flag::ack;
        if ((parsed.tcp_flags & looked_at) != tcp_flag::ack) return std::nullopt;
        return shared_->cookies().read(parsed.tuple, segment_of(context.packet, parsed),
                                       syn_options_of<Family>(context.packet, parsed), now_ms);
    }

    /// The SYN that a client with this opening has sent, as far as a cookie tells.
    /// @param ack  the segment with the cookie
    [[nodiscard]] static OwnSegment<Family> syn_of(const PacketContext<Family>& ack,
                                                   const ProxiedOpening& opening) {
        const std::uint16_t window = segment_of(ack.packet, ack.parsed).window;
        return syn(ack.parsed.tuple, opening.client_sequence, window, opening.client);
    }

    /// Makes a flow proxied that `track_first` has seen the SYN of, and that is not published yet.
    /// @return when the SYN is to be sent again
    template <class Record>
    Moment begin(Record& flow, const ProxiedOpening& opening, std::uint64_t now_ms) {
        flow.opening_detail =
            ClientScales{opening.client.window_scale, opening.offered_scale}.detail();
        flow.pool_link.store(opening.cookie, std::memory_order_relaxed);
        store(flow, flow_memory::timestamp_shift, opening.client.timestamp_echo);
        store(flow, flow_memory::timestamp_sent, opening.client.timestamp_value);
        store(flow, flow_memory::proxied_syn, ProxiedSyn::word(opening.client));
        flow.protocol_state.store(TcpProgress(TcpState::syn_sent).with_proxied().bits(),
                                  std::memory_order_relaxed);
        return to_moment(now_ms) + first_retry_ms;
    }
    /// The flow of an opening is published; its SYN has been translated.
    void opened(const OwnSegment<Family>& syn) {
        outbox_.add(syn);
        counters_.opened.add();
    }

    /// A segment of a flow whose backend has still to answer. There is room for two segments.
    /// Writes the verdict.
    template <class Record>
    void wait(PacketContext<Family>& context, Record& flow, Direction direction, Round round) {
        const TcpSegment segment = segment_of(context.packet, context.parsed);
        context.verdict = Verdict::taken();
        if (direction == Direction::original)
            client_waits(context, segment, flow, round);
        else
            backend_answers(context, segment, flow, round);
    }

    /// A SYN of the client on a connection that may live. There is room for one segment.
    template <class Record>
    void challenge(const PacketContext<Family>& context, const Record& flow) {
        const bool waits = is_waiting(tcp_progress(flow));
        const std::uint32_t expected =
            waits ? load(flow, flow_memory::tcp_end(Direction::original))
                  : load(flow, flow_memory::tcp_acknowledged(Direction::reply));
        if (waits && segment_of(context.packet, context.parsed).sequence + 1 == expected)
            return counters_.waiting.add();  // a late copy of the SYN that opened it
        // A client that knows nothing of the connection looks at the acknowledgment alone. For one
        // that lives on, because the SYN was forged, the segment is out of its window: it answers,
        // and neither its window nor anything else changes.
        send(context.parsed.tuple.inverse(),
             {.sequence = waits ? cookie_of(flow) + 1
                                : load(flow, flow_memory::tcp_acknowledged(Direction::original)) +
                                      shift_of(flow).sequence - 1,
              .acknowledgment = expected,
              .flags = tcp_flag::ack},
             {});
        counters_.challenges.add();
    }

    /// Notes the last TSval of the client, for a successor of the flow, as `Timestamps` does: the
    /// segments that end a connection say it, too. `context` has been shifted.
    template <class Record>
    static void note_timestamp(const PacketContext<Family>& context, Record& flow) {
        if (tcp_state(flow) == TcpState::established) return;
        const std::uint32_t at = find_timestamps(context.packet, context.parsed.l4_offset);
        if (at != 0) store(flow, flow_memory::timestamp_sent, timestamp_value(context.packet, at));
    }

    /// The time of a flow is over. True: it waits for its backend, which gets the SYN again, and
    /// lives on. When that was the last time, the client is told that it does not.
    template <class Record>
    [[nodiscard]] bool lives_on(Record& flow, Round round) {
        const auto& [policy, now_ms] = round;
        if (flow.tuple(Direction::original).protocol != ip_protocol::tcp || is_wildcard(flow))
            return false;
        const TcpProgress progress(flow.protocol_state.load(std::memory_order_acquire));  // (34)
        if (!is_waiting(progress)) return false;
        if (progress.state() == TcpState::syn_recv) return true;
        if (!outbox_.has_room(2)) {
            refresh(flow, to_moment(now_ms) + soon_ms);
            return true;
        }
        const std::uint32_t word = load(flow, flow_memory::proxied_syn);
        const std::uint32_t retries = ProxiedSyn::retries(word);
        const bool again = retries < most_retries;
        // The answer may be there just now, on another worker.
        if (!move(flow, again ? TcpState::syn_recv : TcpState::close)) return true;
        if (!again) {
            reset_client(flow);
            reset_backend(flow, load(flow, flow_memory::tcp_end(Direction::original)));
            counters_.unanswered.add();
            openings::unanswered(policy, flow, now_ms);
            return false;
        }
        store(flow, flow_memory::proxied_syn, ProxiedSyn::after_retry(word));
        openings::repeated(policy, flow, now_ms);
        refresh(flow, to_moment(now_ms) + (first_retry_ms << (retries + 1)));
        send_syn_again(flow);
        waits_on(flow);
        return true;
    }

  private:
    static constexpr std::uint32_t first_retry_ms = 1000;  ///< RFC 6298, section 2, rule 2.1
    static constexpr std::uint32_t most_retries = 3;
    static constexpr std::uint32_t most_hurried = 3;
    static constexpr std::uint32_t soon_ms = 100;

    template <class Record>
    static std::uint32_t load(const Record& flow, std::size_t word) {
        return flow.memory[word].load(std::memory_order_relaxed);
    }
    template <class Record>
    static void store(Record& flow, std::size_t word, std::uint32_t value) {
        flow.memory[word].store(value, std::memory_order_relaxed);
    }
    /// While it waits.
    template <class Record>
    static std::uint32_t cookie_of(const Record& flow) {
        return flow.pool_link.load(std::memory_order_relaxed);
    }
    /// The largest window that the client has shown, as it stands in headers.
    template <class Record>
    static std::uint16_t window_of_client(const Record& flow) {
        return static_cast<std::uint16_t>(load(flow, flow_memory::tcp_windows));
    }

    void send(const Tuple<Family>& tuple, const TcpSegment& numbers, const SynOptions& options) {
        outbox_.add({tuple, numbers, options});
    }

    /// @param window  of the client, as it stands in scaled headers; a SYN's is never scaled
    static OwnSegment<Family> syn(const Tuple<Family>& tuple, std::uint32_t sequence,
                                  std::uint16_t window, SynOptions options) {
        const unsigned scale = options.window_scale == no_window_scale ? 0U : options.window_scale;
        options.timestamp_echo = 0;
        return {tuple,
                {.sequence = sequence,
                 .window =
                     static_cast<std::uint16_t>(std::min(std::uint32_t{window} << scale, 0xffffU)),
                 .flags = tcp_flag::syn},
                options};
    }

    /// The options of the SYN that its backend has got.
    template <class Record>
    static SynOptions asked_of(const Record& flow) {
        const std::uint32_t word = load(flow, flow_memory::proxied_syn);
        SynOptions options;
        options.max_segment_size = static_cast<std::uint16_t>(word);
        options.window_scale = ClientScales::of(flow.opening_detail).own;
        options.sack = (word & ProxiedSyn::sack) != 0;
        options.timestamps = (word & ProxiedSyn::timestamps) != 0;
        options.timestamp_value = load(flow, flow_memory::timestamp_sent);
        return options;
    }

    template <class Record>
    void send_syn_again(const Record& flow) {
        outbox_.add(syn(flow.tuple(Direction::reply).inverse(),
                        load(flow, flow_memory::tcp_end(Direction::original)) - 1,
                        window_of_client(flow), asked_of(flow)));
        counters_.retries.add();
    }

    /// The client believes in a connection that there will not be.
    template <class Record>
    void reset_client(const Record& flow) {
        send(flow.tuple(Direction::original).inverse(),
             {.sequence = cookie_of(flow) + 1,
              .acknowledgment = load(flow, flow_memory::tcp_end(Direction::original)),
              .flags = tcp_flag::rst | tcp_flag::ack},
             {});
    }

    /// It may have begun a connection, or hold an older one.
    template <class Record>
    void reset_backend(const Record& flow, std::uint32_t sequence) {
        send(flow.tuple(Direction::reply).inverse(), {.sequence = sequence, .flags = tcp_flag::rst},
             {});
    }

    /// Whether the SYN may go out again before its time. A backend that speaks of an older
    /// connection, whatever it is told, is not to be asked each time.
    template <class Record>
    static bool may_hurry(Record& flow) {
        const std::uint32_t word = load(flow, flow_memory::proxied_syn);
        if (ProxiedSyn::hurried(word) == most_hurried) return false;
        store(flow, flow_memory::proxied_syn, ProxiedSyn::after_hurry(word));
        return true;
    }

    /// False: another worker was faster.
    template <class Record>
    static bool move(Record& flow, TcpState to) {
        const TcpProgress waits = TcpProgress(TcpState::syn_sent).with_proxied();
        std::uint8_t seen = waits.bits();
        return flow.protocol_state.compare_exchange_strong(seen, waits.only(to).bits(),
                                                           std::memory_order_seq_cst,   // (32)
                                                           std::memory_order_acquire);  // (34)
    }
    /// Takes a `move` to SYN_RECV back.
    template <class Record>
    static void waits_on(Record& flow) {
        move_progress(flow, [](TcpProgress seen) { return seen.only(TcpState::syn_sent); });
    }
    template <class Record>
    bool close(PacketContext<Family>& context, Record& flow, Round round) {
        if (!move(flow, TcpState::close)) {
            context.verdict = Verdict::park();
            return false;
        }
        refresh(flow, expiry(round.now_ms, round.policy.timeouts.tcp_close_s));
        return true;
    }

    template <class Record>
    void client_waits(PacketContext<Family>& context, const TcpSegment& segment, Record& flow,
                      Round round) {
        if (!segment.has(tcp_flag::rst)) return counters_.waiting.add();
        if (segment.sequence != load(flow, flow_memory::tcp_end(Direction::original))) {
            context.verdict = Verdict::drop(DropReason::tcp_reset);
            return;
        }
        if (!close(context, flow, round)) return;
        // The backend may be about to answer, so it hears of it; but not of the cookie that the
        // client acknowledges: hosts ignore a RST that acknowledges what they have not sent.
        reset_backend(flow, segment.sequence);
    }

    template <class Record>
    void backend_answers(PacketContext<Family>& context, const TcpSegment& segment, Record& flow,
                         Round round) {
        const bool answers =
            segment.has(tcp_flag::ack) &&
            segment.acknowledgment == load(flow, flow_memory::tcp_end(Direction::original));
        switch (tcp_event(segment.flags)) {
            case TcpEvent::rst:
                if (!answers)
                    context.verdict = Verdict::drop(DropReason::tcp_reset);
                else if (close(context, flow, round))
                    reset_client(flow);
                return;
            case TcpEvent::syn:
                context.verdict = Verdict::drop(DropReason::tcp_invalid);
                return;
            case TcpEvent::syn_ack:
                if (answers) {
                    if (move(flow, TcpState::syn_recv))
                        establish(context, segment, flow, round);
                    else
                        context.verdict = Verdict::park();
                    return;
                }
                break;
            case TcpEvent::fin:
            case TcpEvent::ack:
            case TcpEvent::count:
                break;
        }
        // It speaks of an older connection (RFC 9293, section 3.5.1).
        if (!move(flow, TcpState::syn_recv)) {
            context.verdict = Verdict::park();
            return;
        }
        reset_backend(flow, segment.acknowledgment);
        if (may_hurry(flow)) send_syn_again(flow);
        waits_on(flow);
    }

    /// The backend's SYN-ACK. This worker alone may change the flow.
    template <class Record>
    void establish(const PacketContext<Family>& context, const TcpSegment& answer, Record& flow,
                   Round round) {
        const SynOptions theirs = syn_options_of<Family>(context.packet, context.parsed);
        const std::uint32_t cookie = cookie_of(flow);
        const std::uint32_t echoed = load(flow, flow_memory::timestamp_shift);
        const std::uint32_t begin = load(flow, flow_memory::tcp_end(Direction::original));
        const SynOptions asked = asked_of(flow);
        shared_->offer_of(flow.rule).note(asked, theirs, round.now_ms);
        const TcpWindow mode = round.policy.tcp.window;
        TcpWords(flow, Direction::reply, mode).answer(answer, true, theirs.window_scale);
        const TcpSegment ack{.sequence = begin,
                             .end = begin,
                             .acknowledgment = answer.end,
                             .window = window_of_client(flow),
                             .flags = tcp_flag::ack};
        TcpWords(flow, Direction::original, mode).note(ack, true, true);
        flow.pool_link.store(cookie - answer.sequence, std::memory_order_relaxed);
        store(flow, flow_memory::timestamp_shift,
              theirs.timestamps ? echoed - theirs.timestamp_value : 0);
        flow.counter(Direction::reply).add(context.parsed.length);
        mark(flow, flow_mark::replied | flow_mark::assured);
        refresh(flow, expiry(round.now_ms, round.policy.timeouts.tcp_established_s));
        move_progress(flow, [](TcpProgress seen) { return seen.only(TcpState::established); });

        SynOptions to_backend;
        to_backend.timestamps = theirs.timestamps;
        to_backend.timestamp_value = theirs.timestamp_echo;
        to_backend.timestamp_echo = theirs.timestamp_value;
        send(flow.tuple(Direction::reply).inverse(), ack, to_backend);
        SynOptions to_client;
        to_client.timestamps = asked.timestamps;
        to_client.timestamp_value = echoed;
        to_client.timestamp_echo = asked.timestamp_value;
        const std::uint8_t offered = ClientScales::of(flow.opening_detail).offered;
        send(flow.tuple(Direction::original).inverse(),
             {.sequence = cookie + 1,
              .acknowledgment = begin,
              .window = static_cast<std::uint16_t>(answer.window >>
                                                   (offered == no_window_scale ? 0U : offered)),
              .flags = tcp_flag::ack},
             to_client);
    }

    Shared* shared_;
    unsigned workers_;
    OwnSegments<Family> outbox_;
    SynProxyCounters counters_;
};

}  // namespace noclash::nat
