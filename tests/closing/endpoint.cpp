// SPDX-License-Identifier: Apache-2.0
#include "tests/closing/endpoint.hpp"

#include <algorithm>

#include "nat/conntrack/tcp_window.hpp"
#include "nat/packet/packet.hpp"

namespace noclash::closing {

using nat::before;
namespace flag = nat::tcp_flag;

namespace {
constexpr std::uint32_t window_bytes = 8000;
bool has(const Segment& segment, std::uint8_t bit) {
    return (segment.flags & bit) != 0;
}
}  // namespace

Segment Endpoint::segment(std::uint32_t sequence, std::uint32_t data, std::uint8_t flags) {
    Segment made{sequence, 0, window_bytes, static_cast<std::uint16_t>(data), flags};
    if (peer_known_) {
        made.flags |= flag::ack;
        made.acknowledgment = expected();
        // The right edge never goes back (RFC 9293, section 3.8.6).
        if (!paused_ && before(promised_, expected() + window_bytes))
            promised_ = expected() + window_bytes;
        made.window = before(promised_, expected()) ? 0 : promised_ - expected();
    }
    return made;
}

Segment Endpoint::abort() {
    reset_ = aborted_ = true;
    return {next_number(), peer_known_ ? expected() : 0, 0, 0,
            static_cast<std::uint8_t>(flag::rst | (peer_known_ ? flag::ack : 0))};
}

Segment Endpoint::syn() {
    return segment(first_, 0, flag::syn);
}

/// Some units from `from` on, and the FIN when they reach it.
Segment Endpoint::stream(unsigned from, Dice& dice) {
    unsigned to = from;
    const unsigned most = std::min(written_, from + 1 + dice.below(3));
    while (to < most && !before(allowed_, number(to + 1)))
        ++to;
    const bool fin = closes_ && to == written_ && dice.percent(80) && !before(allowed_, number(to));
    if (to == from && !fin) return acknowledge();
    const Segment made = segment(number(from), (to - from) * unit_, fin ? flag::fin : flag::psh);
    sent_ = std::max(sent_, to);
    if (fin && !fin_sent_) {
        fin_sent_ = true;
        passive_ = fin_received_;
    }
    return made;
}

std::optional<Segment> Endpoint::send(Dice& dice) {
    if (is_gone() || !syn_sent_) return std::nullopt;
    if (!is_open()) return syn();
    const std::uint32_t kind = dice.below(16);
    if (kind < 9) return fin_sent_ ? stream(acknowledged_, dice) : stream(sent_, dice);
    if (kind < 12) return stream(acknowledged_, dice);       // again
    if (kind == 12 && !fin_sent_ && acknowledged_ == sent_)  // keep-alive (RFC 9293, 3.8.4)
        return segment(next_number() - 1, dice.below(2), 0);
    if (kind == 13 && sent_ < written_ && before(allowed_, number(sent_ + 1)) && unit_ > 1)
        return segment(number(sent_), 1, 0);  // a probe of a window that is closed
    return acknowledge();
}

/// A segment before the connection is open.
std::optional<Segment> Endpoint::open(const Segment& segment, const Endpoint& peer) {
    if (has(segment, flag::syn)) {
        peer_known_ = syn_sent_ = true;
        peer_first_ = segment.sequence;
        peer_unit_ = peer.unit_;
        promised_ = expected() + window_bytes;
    }
    if (!peer_known_) return std::nullopt;
    if (has(segment, flag::ack) && segment.acknowledgment == first_ + 1) {
        syn_acknowledged_ = true;
        allowed_ = segment.acknowledgment + segment.window;
        return acknowledge();
    }
    return syn();
}

std::optional<Segment> Endpoint::receive(const Segment& segment, const Endpoint& peer) {
    if (has(segment, flag::rst)) {
        const bool refused = syn_sent_ && !peer_known_ && has(segment, flag::ack) &&
                             segment.acknowledgment == first_ + 1;
        if (refused || (peer_known_ && segment.sequence == expected())) reset_ = true;
        if (reset_ || !is_open() || before(segment.sequence, expected())) return std::nullopt;
        return acknowledge();  // a challenge (RFC 5961, section 3.2)
    }
    if (is_gone()) {
        if (!has(segment, flag::ack)) return std::nullopt;
        return Segment{segment.acknowledgment, 0, 0, 0, flag::rst};
    }
    if (!is_open()) {
        const std::optional<Segment> answer = open(segment, peer);
        if (!is_open() || has(segment, flag::syn)) return answer;
    } else if (has(segment, flag::syn)) {
        return acknowledge();
    }
    if (has(segment, flag::ack)) take_acknowledgment(segment);
    take_data(segment);
    // A segment ahead of the window's left edge is acceptable, if there is nothing in it.
    if (segment.data == 0 && !has(segment, flag::fin) && !before(segment.sequence, expected()))
        return std::nullopt;
    return acknowledge();
}

void Endpoint::take_acknowledgment(const Segment& segment) {
    if (before(segment.acknowledgment, number(acknowledged_)) ||
        before(next_number(), segment.acknowledgment))
        return;
    acknowledged_ =
        std::max(acknowledged_, std::min((segment.acknowledgment - number(0)) / unit_, sent_));
    if (fin_sent_ && segment.acknowledgment == next_number()) fin_acknowledged_ = true;
    if (before(allowed_, segment.acknowledgment + segment.window))
        allowed_ = segment.acknowledgment + segment.window;
}

void Endpoint::take_data(const Segment& segment) {
    const std::uint32_t offset = segment.sequence - (peer_first_ + 1);
    if (offset % peer_unit_ != 0 || segment.data % peer_unit_ != 0 || offset > 1U << 30) return;
    unsigned unit = offset / peer_unit_;
    for (std::uint32_t left = segment.data; left > 0; left -= peer_unit_, ++unit)
        if (!before(promised_, peer_first_ + 1 + (unit + 1) * peer_unit_)) early_ |= 1U << unit;
    if (has(segment, flag::fin)) {
        fin_early_ = true;
        fin_number_ = segment.sequence + segment.data;
    }
    while ((early_ >> received_ & 1U) != 0)
        ++received_;
    if (fin_early_ && !fin_received_ && expected() == fin_number_) fin_received_ = true;
}

}  // namespace noclash::closing
