// SPDX-License-Identifier: Apache-2.0
#include "tests/closing/schedule.hpp"

#include <algorithm>
#include <cstdio>

namespace noclash::closing {
namespace {

/// Sequence numbers that wrap, now and then, in the midst of the connection.
std::uint32_t first_sequence(Dice& dice) {
    return dice.percent(30) ? 0U - dice.below(4000) : dice.next();
}
std::uint32_t unit_bytes(Dice& dice) {
    constexpr std::array<std::uint32_t, 4> sizes{1, 2, 536, 1460};
    return sizes[dice.below(sizes.size())];
}

}  // namespace

Segment Link::take(std::size_t nth, bool twice) {
    const Segment taken = segments_[nth];
    if (twice) return taken;
    std::copy(segments_.begin() + static_cast<std::ptrdiff_t>(nth) + 1,
              segments_.begin() + static_cast<std::ptrdiff_t>(size_),
              segments_.begin() + static_cast<std::ptrdiff_t>(nth));
    --size_;
    return taken;
}

Schedule::Schedule(std::uint64_t seed, nat::TcpWindow mode, bool traced)
    : dice_(seed),
      traced_(traced),
      pickup_(dice_.percent(10)),
      loss_(dice_.percent(30) ? 0 : dice_.below(40)),
      copies_(dice_.below(40)),
      disorder_(dice_.below(60)),
      aborts_(dice_.percent(15) ? 4 : 0),
      opens_both_(dice_.percent(10) ? 50 : 0),
      ends_{Endpoint(first_sequence(dice_), unit_bytes(dice_)),
            Endpoint(first_sequence(dice_), unit_bytes(dice_))},
      middle_(mode, pickup_) {}

Result Schedule::run() {
    ends_[0].connect();
    if (dice_.percent(opens_both_)) ends_[1].connect();
    for (unsigned i = 0; i < steps && result_.fault.empty(); ++i)
        step();
    if (result_.fault.empty()) settle();
    result_.reset = ends_[0].was_reset() || ends_[1].was_reset();
    return result_;
}

void Schedule::step() {
    const unsigned side = dice_.below(2);
    switch (dice_.below(8)) {
        case 0:
        case 1:
            return act(side);
        case 2:
        case 3:
        case 4:
            if (const auto segment = ends_[side].send(dice_)) send(side, *segment);
            return arrive_at_middle(side);
        case 5:
            return arrive_at_middle(side);
        default:
            return arrive_at_end(side);
    }
}

/// The application on one side does something; or an old segment of it turns up.
void Schedule::act(unsigned side) {
    Endpoint& end = ends_[side];
    const std::uint32_t what = dice_.below(16);
    if (what < 6) {
        end.write();
    } else if (what < 8) {
        if (end.is_open()) end.close();
    } else if (what < 10) {
        end.pause(what == 8);
    } else if (what == 10) {
        if (end.is_open() && dice_.percent(aborts_)) send(side, end.abort());
    } else if (sent_[side] > 0 && dice_.percent(copies_)) {
        const unsigned known = std::min<unsigned>(sent_[side], 32);
        before_[side].put(old_[side][dice_.below(known)]);
    }
}

void Schedule::send(unsigned side, const Segment& segment) {
    old_[side][sent_[side]++ % 32] = segment;
    before_[side].put(segment);
}

void Schedule::arrive_at_middle(unsigned side) {
    Link& link = before_[side];
    if (link.empty()) return;
    const std::size_t nth = !calm_ && dice_.percent(disorder_)
                                ? dice_.below(static_cast<std::uint32_t>(link.size()))
                                : 0;
    const Segment segment = link.take(nth, !calm_ && dice_.percent(copies_ / 2));
    if (!calm_ && dice_.percent(loss_)) return;
    const bool passes = middle_.pass(static_cast<Direction>(side), segment);
    if (traced_) print(side, segment, passes);
    if (passes) behind_[side].put(segment);
    check();
}

void Schedule::arrive_at_end(unsigned side) {
    Link& link = behind_[side];
    if (link.empty()) return;
    const std::size_t nth = !calm_ && dice_.percent(disorder_)
                                ? dice_.below(static_cast<std::uint32_t>(link.size()))
                                : 0;
    const Segment segment = link.take(nth, !calm_ && dice_.percent(copies_ / 2));
    if (!calm_ && dice_.percent(loss_)) return;
    const unsigned receiver = 1 - side;
    if (const auto answer = ends_[receiver].receive(segment, ends_[side])) send(receiver, *answer);
}

/// The connection may be over only when nothing is left to be received; or by a RST, whose sender
/// gave up what was left.
void Schedule::check() {
    if (!middle_.is_over()) return;
    result_.over = true;
    if (ends_[0].has_all_of(ends_[1]) && ends_[1].has_all_of(ends_[0])) return;
    const bool given_up = ends_[0].aborted() || ends_[1].aborted();
    if (middle_.state() == nat::TcpState::close && given_up) return;
    result_.fault = std::string("over (") + std::string(to_string(middle_.state())) +
                    ") while an end has data or a FIN that the other has not received";
}

/// Both close, nothing is lost any more, and whatever is missing is sent again.
void Schedule::settle() {
    calm_ = true;
    for (Endpoint& end : ends_) {
        end.pause(false);
        end.close();
    }
    for (unsigned i = 0; i < calm_rounds && result_.fault.empty(); ++i) {
        for (unsigned side = 0; side < 2; ++side) {
            if (const auto segment = ends_[side].send(dice_)) send(side, *segment);
            while (!before_[side].empty() && result_.fault.empty())
                arrive_at_middle(side);
            while (!behind_[side].empty())
                arrive_at_end(side);
        }
        // Nothing is left to be proven. (An old SYN may have opened the flow anew, and an end wait
        // in LAST_ACK for an acknowledgment that got lost behind the gateway.)
        if (result_.over || ends_[0].was_reset() || ends_[1].was_reset()) return;
        const bool closed = ends_[0].all_acknowledged() && ends_[1].all_acknowledged();
        if (closed && before_[0].empty() && before_[1].empty()) {
            if (!pickup_)
                result_.fault = std::string("both ends have closed, and the connection is ") +
                                std::string(to_string(middle_.state()));
            return;
        }
    }
    if (result_.fault.empty()) result_.fault = "the ends cannot close";
}

void Schedule::print(unsigned side, const Segment& segment, bool passed) const {
    std::printf("%s seq %u+%u ack %u win %u%s%s%s%s -> %s%s\n", side == 0 ? "C" : "S",
                segment.sequence, segment.data, segment.acknowledgment, segment.window,
                (segment.flags & 2U) != 0 ? " SYN" : "", (segment.flags & 1U) != 0 ? " FIN" : "",
                (segment.flags & 4U) != 0 ? " RST" : "", (segment.flags & 16U) != 0 ? " ACK" : "",
                std::string(to_string(middle_.state())).c_str(), passed ? "" : " (dropped)");
}

}  // namespace noclash::closing
