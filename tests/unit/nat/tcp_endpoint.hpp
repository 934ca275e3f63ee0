// SPDX-License-Identifier: Apache-2.0
#pragma once

// # A simple TCP
//
// One end of one connection, for simulations: it opens or is opened, sends what it has to say
// within its peer's window, acknowledges, sends again what is lost, probes closed windows, closes,
// resets, challenges, and gives up when it hears nothing. It knows window scales, timestamps with
// PAWS (RFC 7323) and SACK (RFC 2018), of which it only checks that blocks name what it has sent.
// Time is a number of ms that its owner passes.
//
// What an end says follows from the client's initial sequence number and the direction, so that a
// byte that is wrong, or is another connection's, shows where it arrives.

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "nat/conntrack/tcp_window.hpp"
#include "tests/unit/nat/whole_segment.hpp"

namespace noclash::nat::test {

/// What an end has to do.
struct Talk {
    std::uint32_t bytes = 0;        ///< that it sends
    std::uint32_t start_after = 0;  ///< bytes that it receives before
    std::uint32_t close_after = 0;  ///< bytes that it receives before it closes
};

/// What an end's TCP is like.
struct Stack {
    std::uint16_t max_segment_size = 1000;
    std::optional<std::uint8_t> window_scale = 7;
    bool sack = true;
    bool timestamps = true;
    std::uint32_t buffer = 65535;        ///< bytes that it receives before it is read
    std::uint32_t read_every_ms = 0;     ///< 0: at once
    bool probes_with_data = false;       ///< else by a segment without, one before its data
    std::uint32_t clock = 0;             ///< TSval at time 0
    std::uint32_t initial_sequence = 0;  ///< of its next connection
    std::uint64_t give_up_ms = 60'000;   ///< without a sign of its peer, with something to say
    std::uint64_t idle_ms = 90'000;      ///< likewise, with nothing to say
};

/// How an end's connection has ended.
enum class Fate : std::uint8_t {
    open,     ///< it has not
    done,     ///< both have said everything, and know it
    refused,  ///< by a RST to its SYN
    reset,
    gave_up,
};

class TcpEndpoint {
  public:
    enum class Life : std::uint8_t { syn_sent, syn_recv, open, time_wait, closed };
    using Send = std::function<void(const WholeSegment&)>;
    using Fault = std::function<void(const std::string&)>;

    /// An end that opens.
    TcpEndpoint(const Stack& stack, const Talk& talk, std::uint64_t now_ms, Send send, Fault fault)
        : TcpEndpoint(stack, talk, now_ms, std::move(send), std::move(fault), Life::syn_sent) {
        opener_ = iss();
        send_syn(now_ms);
    }
    /// An end that got a SYN.
    TcpEndpoint(const Stack& stack, const Talk& talk, std::uint64_t now_ms, Send send, Fault fault,
                const WholeSegment& syn)
        : TcpEndpoint(stack, talk, now_ms, std::move(send), std::move(fault), Life::syn_recv) {
        opener_ = syn.sequence;
        negotiate(syn);
        send_syn(now_ms);
    }

    [[nodiscard]] Life life() const { return life_; }
    [[nodiscard]] Fate fate() const { return fate_; }
    /// The initial sequence number of the end that opened: it stands for the connection.
    [[nodiscard]] std::uint32_t opener() const { return opener_; }
    [[nodiscard]] bool believes() const { return life_ == Life::open; }
    /// Whether it still sends something when it hears nothing.
    [[nodiscard]] bool is_urged() const {
        return una_ != max_ || (may_say() && said() < talk_.bytes) || (may_close() && !fin_sent_);
    }
    [[nodiscard]] std::uint32_t received() const { return received_; }
    [[nodiscard]] bool got_all(const Talk& of_peer) const { return received_ == of_peer.bytes; }
    /// Whether its peer may use this SYN for a new connection (RFC 9293, section 3.10.7.4).
    [[nodiscard]] bool gives_way(const WholeSegment& syn) const {
        return life_ == Life::closed || (life_ == Life::time_wait && before(next_, syn.sequence));
    }

    /// The host knows nothing any more.
    void crash() { life_ = Life::closed; }

    void receive(const WholeSegment& segment, std::uint64_t now_ms) {
        switch (life_) {
            case Life::closed:
                return refuse(segment, send_);
            case Life::syn_sent:
                return answered(segment, now_ms);
            case Life::syn_recv:
                if (!completes(segment, now_ms)) return;
                break;
            case Life::time_wait:
            case Life::open:
                break;
        }
        take(segment, now_ms);
    }

    /// Its timers; call it often.
    void tick(std::uint64_t now_ms) {
        if (life_ == Life::closed) return;
        if (life_ == Life::time_wait) {
            if (now_ms - since_ms_ >= time_wait_ms) close(Fate::done);
            return;
        }
        if (life_ != Life::open) {
            if (now_ms < due_ms_) return;
            if (++retries_ > most_syn_retries) return close(Fate::gave_up);
            return send_syn(now_ms);
        }
        if (now_ms - heard_ms_ >= (is_urged() ? stack_.give_up_ms : stack_.idle_ms)) {
            send_({.flags = tcp_flag::rst, .sequence = max_});
            return close(Fate::gave_up);
        }
        read(now_ms);
        if (due_ms_ != 0 && now_ms >= due_ms_) retransmit(now_ms);
        speak(now_ms);
    }

    /// The RST of a host that knows nothing of a segment's connection.
    static void refuse(const WholeSegment& segment, const Send& send) {
        if (segment.has(tcp_flag::rst)) return;
        if (segment.has(tcp_flag::ack))
            return send({.flags = tcp_flag::rst, .sequence = segment.acknowledgment});
        send({.flags = tcp_flag::rst | tcp_flag::ack, .acknowledgment = segment.end()});
    }

  private:
    static constexpr std::uint64_t first_syn_ms = 1000, first_ms = 300, longest_ms = 4000,
                                   time_wait_ms = 10'000;
    static constexpr int most_syn_retries = 5;

    TcpEndpoint(const Stack& stack, const Talk& talk, std::uint64_t now_ms, Send send, Fault fault,
                Life life)
        : stack_(stack),
          talk_(talk),
          send_(std::move(send)),
          fault_(std::move(fault)),
          life_(life),
          una_(stack.initial_sequence),
          nxt_(una_ + 1),
          max_(nxt_),
          begun_clock_(clock(now_ms)),
          heard_ms_(now_ms) {}

    [[nodiscard]] std::uint32_t iss() const { return stack_.initial_sequence; }
    [[nodiscard]] std::uint32_t clock(std::uint64_t now_ms) const {
        return stack_.clock + static_cast<std::uint32_t>(now_ms);
    }
    [[nodiscard]] bool is_client() const { return opener_ == iss(); }
    [[nodiscard]] static std::uint8_t byte_of(std::uint32_t opener, bool of_client,
                                              std::uint32_t index) {
        std::uint32_t mixed = (opener ^ (of_client ? 0x9e37'79b9U : 0U)) + index * 0x85eb'ca6bU;
        mixed ^= mixed >> 15U;
        return static_cast<std::uint8_t>(mixed * 0x2c1b'3c6dU >> 24U);
    }
    /// Bytes that it has said at least once.
    [[nodiscard]] std::uint32_t said() const { return max_ - iss() - 1 - (fin_sent_ ? 1U : 0U); }
    [[nodiscard]] bool may_say() const { return received_ >= talk_.start_after; }
    [[nodiscard]] bool may_close() const {
        return may_say() && received_ >= talk_.close_after && said() == talk_.bytes;
    }
    [[nodiscard]] std::uint32_t room() const {
        const std::uint32_t held = unread_;
        return held >= stack_.buffer ? 0 : stack_.buffer - held;
    }
    /// What a header says; never moves the right edge back by more than a scale's worth.
    [[nodiscard]] std::uint16_t window() const {
        return static_cast<std::uint16_t>(
            std::min<std::uint32_t>(room() >> (scales_ ? *stack_.window_scale : 0U), 0xffff));
    }

    void emit(WholeSegment segment, std::uint64_t now_ms) {
        const bool opens = segment.has(tcp_flag::syn);
        if (life_ != Life::syn_sent) {
            segment.flags |= tcp_flag::ack;
            segment.acknowledgment = next_;
            acked_ = next_;
        }
        segment.window = opens ? static_cast<std::uint16_t>(std::min(room(), 0xffffU)) : window();
        shown_ = segment.window;
        const unsigned scale = scales_ && !opens ? *stack_.window_scale : 0U;
        const std::uint32_t edge = next_ + (std::uint32_t{segment.window} << scale);
        if (before(edge_, edge)) edge_ = edge;
        if (opens) {
            const bool answers = life_ == Life::syn_recv;
            segment.max_segment_size = stack_.max_segment_size;
            if (answers ? scales_ : stack_.window_scale.has_value())
                segment.window_scale = stack_.window_scale;
            segment.sack_permitted = answers ? sacks_ : stack_.sack;
            if (answers ? stamps_ : stack_.timestamps)
                segment.stamp = Stamp{clock(now_ms), answers ? recent_ : 0};
        } else {
            if (stamps_) segment.stamp = Stamp{clock(now_ms), recent_};
            if (sacks_)
                for (const auto& [from, bytes] : early_)
                    if (segment.sacks.size() < (stamps_ ? 2U : 3U))
                        segment.sacks.emplace_back(from,
                                                   from + static_cast<std::uint32_t>(bytes.size()));
        }
        send_(segment);
    }
    void send_ack(std::uint64_t now_ms) {
        emit({.flags = tcp_flag::ack, .sequence = max_}, now_ms);
    }
    void send_syn(std::uint64_t now_ms) {
        emit({.flags = tcp_flag::syn, .sequence = iss()}, now_ms);
        due_ms_ = now_ms + (first_syn_ms << static_cast<unsigned>(retries_));
    }

    void negotiate(const WholeSegment& syn) {
        next_ = syn.sequence + 1;
        acked_ = next_;
        edge_ = next_ + shown_;
        scales_ = stack_.window_scale && syn.window_scale;
        their_scale_ = scales_ ? *syn.window_scale : 0;
        sacks_ = stack_.sack && syn.sack_permitted;
        stamps_ = stack_.timestamps && syn.stamp;
        if (stamps_) recent_ = syn.stamp->value;
        peer_window_ = syn.window;
        window_sequence_ = syn.sequence;
        window_acknowledgment_ = una_;
        segment_size_ = std::min(stack_.max_segment_size, syn.max_segment_size.value_or(536));
        if (stamps_) segment_size_ = static_cast<std::uint16_t>(segment_size_ - 12);
    }

    /// SYN_SENT.
    void answered(const WholeSegment& segment, std::uint64_t now_ms) {
        if (!segment.has(tcp_flag::ack)) return;
        if (segment.acknowledgment != iss() + 1) return refuse(segment, send_);
        if (segment.has(tcp_flag::rst)) return close(Fate::refused);
        if (!segment.has(tcp_flag::syn)) return;
        check_echo(segment, now_ms);
        negotiate(segment);
        begin(now_ms);
        una_ = segment.acknowledgment;
        window_acknowledgment_ = una_;
        send_ack(now_ms);
        speak(now_ms);
    }
    /// SYN_RECV. True: the segment opens it.
    bool completes(const WholeSegment& segment, std::uint64_t now_ms) {
        if (segment.has(tcp_flag::rst)) {
            if (segment.sequence == next_) close(Fate::reset);
            return false;
        }
        if (segment.has(tcp_flag::syn)) {
            if (segment.sequence + 1 == next_)
                send_syn(now_ms);
            else
                send_ack(now_ms);
            return false;
        }
        if (!segment.has(tcp_flag::ack)) return false;
        if (segment.acknowledgment != iss() + 1) {
            refuse(segment, send_);
            return false;
        }
        if (!fits(segment)) {
            send_ack(now_ms);
            return false;
        }
        begin(now_ms);
        return true;
    }
    void begin(std::uint64_t now_ms) {
        life_ = Life::open;
        retries_ = 0;
        due_ms_ = 0;
        heard_ms_ = now_ms;
        next_read_ms_ = now_ms + stack_.read_every_ms;
    }

    [[nodiscard]] bool fits(const WholeSegment& segment) const {
        const std::uint32_t length = segment.end() - segment.sequence;
        const std::uint32_t edge = next_ + std::max(room(), std::uint32_t{1});
        if (length == 0) return !before(segment.sequence, next_) && !before(edge, segment.sequence);
        return before(next_, segment.end()) && before(segment.sequence, edge) && room() > 0;
    }

    void take(const WholeSegment& segment, std::uint64_t now_ms) {
        const bool old = stamps_ && segment.stamp && !segment.has(tcp_flag::rst) &&
                         before(segment.stamp->value, recent_);
        if (segment.has(tcp_flag::rst)) {
            if (segment.sequence == next_) return close(all_said() ? Fate::done : Fate::reset);
            if (fits(segment)) challenge(now_ms);
            return;
        }
        if (old || segment.has(tcp_flag::syn)) return challenge(now_ms);
        if (!segment.has(tcp_flag::ack)) return;
        if (before(max_, segment.acknowledgment)) return challenge(now_ms);
        if (!fits(segment)) {
            // With a closed window acknowledgments count (RFC 9293, section 3.10.7.4).
            if (room() == 0 && segment.sequence == next_) acknowledge(segment, now_ms);
            return challenge(now_ms);
        }
        heard_ms_ = now_ms;
        check_echo(segment, now_ms);
        check_sacks(segment);
        if (stamps_ && segment.stamp && !before(acked_, segment.sequence))
            recent_ = segment.stamp->value;
        acknowledge(segment, now_ms);
        if (life_ == Life::time_wait) return;
        if (segment.end() != segment.sequence) {
            hold(segment);
            drink(now_ms);
            send_ack(now_ms);
        }
        finish(now_ms);
        speak(now_ms);
    }
    /// What no connection can expect is answered a few times a second at most, or two ends that
    /// disagree would never be quiet.
    void challenge(std::uint64_t now_ms) {
        if (now_ms < quiet_until_ms_) return;
        quiet_until_ms_ = now_ms + 200;
        send_ack(now_ms);
    }

    void acknowledge(const WholeSegment& segment, std::uint64_t now_ms) {
        // As Linux has it: an acknowledgment that is new brings a window that is.
        const bool is_new = before(una_, segment.acknowledgment);
        if (is_new) {
            una_ = segment.acknowledgment;
            if (before(nxt_, una_)) nxt_ = una_;
            backoff_ = 0;
            heard_ms_ = now_ms;
            due_ms_ = una_ == max_ ? 0 : now_ms + first_ms;
        }
        if (is_new || before(window_sequence_, segment.sequence) ||
            (window_sequence_ == segment.sequence &&
             !before(segment.acknowledgment, window_acknowledgment_))) {
            window_sequence_ = segment.sequence;
            window_acknowledgment_ = segment.acknowledgment;
            peer_window_ = std::uint32_t{segment.window} << their_scale_;
        }
    }
    /// TSecr is a time of this end's clock, since it began.
    void check_echo(const WholeSegment& segment, std::uint64_t now_ms) {
        const bool has = life_ == Life::syn_sent ? stack_.timestamps : stamps_;
        if (!has || !segment.stamp) return;
        if (segment.stamp->echo - begun_clock_ > clock(now_ms) - begun_clock_)
            fault_("an echoed timestamp is not this end's");
    }
    void check_sacks(const WholeSegment& segment) {
        if (!stack_.sack) return;
        for (const auto& [from, to] : segment.sacks)
            if (before(from, iss() + 1) || !before(from, to) || before(max_, to))
                fault_("a SACK block names what this end has not sent");
    }

    void hold(const WholeSegment& segment) {
        if (segment.has(tcp_flag::fin)) fin_at_ = segment.end() - 1;
        if (segment.data.empty()) return;
        if (segment.data.size() > 1 &&
            before(edge_, segment.sequence + static_cast<std::uint32_t>(segment.data.size())))
            fault_("data beyond the window that this end has shown");
        const std::uint32_t edge = next_ + room();
        Bytes data = segment.data;
        std::uint32_t from = segment.sequence;
        if (before(edge, from + static_cast<std::uint32_t>(data.size()))) {
            data.resize(before(from, edge) ? edge - from : 0);
            if (fin_at_ && segment.has(tcp_flag::fin)) fin_at_ = {};
        }
        if (before(from, next_)) {
            const std::uint32_t known =
                std::min<std::uint32_t>(next_ - from, static_cast<std::uint32_t>(data.size()));
            data.erase(data.begin(), data.begin() + known);
            from += known;
        }
        if (data.empty()) return;
        Bytes& place = early_[from];
        if (place.size() < data.size()) place = std::move(data);
    }
    /// Takes what is in order now.
    void drink(std::uint64_t now_ms) {
        for (bool found = true; found;) {
            found = false;
            for (auto it = early_.begin(); it != early_.end(); ++it) {
                const auto& [from, data] = *it;
                if (before(next_, from)) continue;
                const std::uint32_t end = from + static_cast<std::uint32_t>(data.size());
                for (std::uint32_t at = next_; before(at, end); ++at)
                    deliver(data[at - from]);
                early_.erase(it);
                found = true;
                break;
            }
        }
        if (fin_at_ && next_ == *fin_at_ && !peer_closed_) {
            ++next_;
            peer_closed_ = true;
        }
        read(now_ms);
    }
    void deliver(std::uint8_t byte) {
        if (byte != byte_of(opener_, !is_client(), received_))
            fault_("byte " + std::to_string(received_) + " is wrong");
        ++received_;
        ++unread_;
        ++next_;
    }
    void read(std::uint64_t now_ms) {
        if (stack_.read_every_ms != 0 && now_ms < next_read_ms_) return;
        next_read_ms_ = now_ms + stack_.read_every_ms;
        if (unread_ == 0) return;
        unread_ = 0;
        if (life_ == Life::open && shown_ < window() / 2) send_ack(now_ms);
    }

    [[nodiscard]] bool all_said() const {
        return peer_closed_ && una_ == max_ && said() == talk_.bytes;
    }
    void finish(std::uint64_t now_ms) {
        if (!fin_sent_ || una_ != max_ || !peer_closed_) return;
        if (closed_first_) {
            life_ = Life::time_wait;
            since_ms_ = now_ms;
        } else {
            close(Fate::done);
        }
    }

    /// Sends what it may, and its FIN.
    void speak(std::uint64_t now_ms) {
        if (life_ != Life::open) return;
        const std::uint32_t edge = una_ + peer_window_;
        const std::uint32_t data_end = iss() + 1 + (may_say() ? talk_.bytes : said());
        while (before(nxt_, data_end) && before(nxt_, edge)) {
            const std::uint32_t length =
                std::min({std::uint32_t{segment_size_}, data_end - nxt_, edge - nxt_});
            send_data(nxt_, length, now_ms);
            nxt_ += length;
            if (before(max_, nxt_)) max_ = nxt_;
        }
        if (fin_sent_ ? nxt_ + 1 == max_ : may_close() && nxt_ == data_end) {
            if (!fin_sent_) closed_first_ = !peer_closed_;
            fin_sent_ = true;
            emit({.flags = tcp_flag::fin, .sequence = nxt_}, now_ms);
            ++nxt_;
            max_ = nxt_;
        }
        const bool waits = una_ != max_ || before(nxt_, data_end);
        if (waits && due_ms_ == 0) due_ms_ = now_ms + first_ms;
    }
    void send_data(std::uint32_t from, std::uint32_t length, std::uint64_t now_ms) {
        WholeSegment segment{.flags = tcp_flag::ack, .sequence = from};
        for (std::uint32_t i = 0; i < length; ++i)
            segment.data.push_back(byte_of(opener_, is_client(), from - iss() - 1 + i));
        emit(std::move(segment), now_ms);
    }
    /// The answer to something is late, or a window stays closed.
    void retransmit(std::uint64_t now_ms) {
        due_ms_ = 0;
        if (!is_urged()) return;
        due_ms_ = now_ms + std::min(first_ms << backoff_, longest_ms);
        backoff_ = std::min(backoff_ + 1, 5U);
        if (peer_window_ != 0 || una_ != max_) nxt_ = una_;
        if (peer_window_ != 0) return;
        if (said() == talk_.bytes || !may_say() || !stack_.probes_with_data)
            return emit({.flags = tcp_flag::ack, .sequence = una_ - 1}, now_ms);
        send_data(una_, 1, now_ms);
        nxt_ = una_ + 1;
        if (before(max_, nxt_)) max_ = nxt_;
    }

    void close(Fate fate) {
        life_ = Life::closed;
        fate_ = fate;
    }

    Stack stack_;
    Talk talk_;
    Send send_;
    Fault fault_;
    Life life_;
    Fate fate_ = Fate::open;
    std::uint32_t opener_ = 0;

    std::uint32_t una_, nxt_, max_;  ///< acknowledged; sent next; sent at all
    std::uint32_t peer_window_ = 0, window_sequence_ = 0, window_acknowledgment_ = 0;
    std::uint16_t segment_size_ = 536;
    bool fin_sent_ = false, closed_first_ = false;
    unsigned backoff_ = 0;

    std::uint32_t next_ = 0, acked_ = 0;  ///< expected; acknowledged last
    std::uint32_t received_ = 0, unread_ = 0;
    std::uint16_t shown_ = 0;  ///< the last window
    std::uint32_t edge_ = 0;   ///< one past the last byte that its peer may ever have sent
    std::map<std::uint32_t, Bytes> early_;
    std::optional<std::uint32_t> fin_at_;
    bool peer_closed_ = false;

    bool scales_ = false, sacks_ = false, stamps_ = false;
    std::uint8_t their_scale_ = 0;
    std::uint32_t recent_ = 0;
    std::uint32_t begun_clock_;

    std::uint64_t heard_ms_, due_ms_ = 0, next_read_ms_ = 0, since_ms_ = 0, quiet_until_ms_ = 0;
    int retries_ = 0;
};

}  // namespace noclash::nat::test
