// SPDX-License-Identifier: Apache-2.0
#pragma once

// TCP connections as `track_tcp` sees them.

#include <gtest/gtest.h>

#include <array>
#include <optional>

#include "engine/production.hpp"
#include "nat/conntrack/tcp_tracking.hpp"
#include "nat/packet/parse.hpp"
#include "tests/unit/nat/packets.hpp"

namespace noclash::nat::test {

constexpr auto there = Direction::original;
constexpr auto back = Direction::reply;
constexpr std::uint8_t syn_ack = tcp_flag::syn | tcp_flag::ack,
                       fin_ack = tcp_flag::fin | tcp_flag::ack,
                       rst_ack = tcp_flag::rst | tcp_flag::ack;

/// One segment; numbers count from the initial sequence numbers of either side.
struct Say {
    std::uint8_t flags;
    std::uint32_t sequence = 0;
    std::uint32_t acknowledgment = 0;
    std::uint32_t length = 0;
    std::uint16_t window = 1000;
    std::optional<std::uint8_t> scale{};
};

/// A connection as the gateway sees it, whose sides begin to count at numbers that wrap soon.
class Conversation {
  public:
    explicit Conversation(TcpWindow mode) : mode_(mode) {}

    TcpState open(const Say& say) {
        Parsed<V4> parsed;
        Bytes packet = bytes(there, say, parsed);
        const TcpState state = open_tcp(flow, view(packet), parsed);
        flow.protocol_state = static_cast<std::uint8_t>(state);
        return state;
    }
    DropReason say(Direction direction, const Say& say) {
        Parsed<V4> parsed;
        Bytes packet = bytes(direction, say, parsed);
        const auto outcome = track_tcp(flow, direction, view(packet), parsed, mode_);
        EXPECT_EQ(outcome.state, state());
        return outcome.reason;
    }
    /// It fits, and the state is this afterwards.
    void goes(Direction direction, const Say& segment, TcpState expected, int line) {
        EXPECT_EQ(say(direction, segment), DropReason::none) << "line " << line;
        EXPECT_EQ(state(), expected) << "line " << line;
    }
    /// Expects that the segment changes nothing, whatever becomes of it.
    void moves_nothing(Direction direction, const Say& segment, DropReason expected, int line) {
        const std::array words_before = words();
        const TcpState state_before = state();
        EXPECT_EQ(say(direction, segment), expected) << "line " << line;
        EXPECT_EQ(words(), words_before) << "line " << line;
        EXPECT_EQ(state(), state_before) << "line " << line;
    }
    void establish(std::optional<std::uint8_t> scale_there = {},
                   std::optional<std::uint8_t> scale_back = {}) {
        open({tcp_flag::syn, 0, 0, 0, 1000, scale_there});
        goes(back, {syn_ack, 0, 1, 0, 1000, scale_back}, TcpState::syn_recv, __LINE__);
        goes(there, {tcp_flag::ack, 1, 1}, TcpState::established, __LINE__);
    }

    [[nodiscard]] TcpState state() const { return tcp_state(flow); }
    [[nodiscard]] std::array<std::uint32_t, 6> words() const {
        std::array<std::uint32_t, 6> all{};
        for (std::size_t i = 0; i < 5; ++i)
            all[i] = flow.memory[i];
        all[5] = flow.protocol_detail;
        return all;
    }
    [[nodiscard]] TcpPath path(Direction sender) { return TcpWords(flow, sender, mode_).path(); }

    Flow<V4, Production> flow{};

  private:
    [[nodiscard]] static std::uint32_t initial(Direction direction) {
        return direction == there ? 0xffff'ff00 : 0x7fff'fe00;
    }
    static Bytes bytes(Direction direction, const Say& say, Parsed<V4>& parsed) {
        Bytes packet = tcp({}, say.flags, Bytes(say.length));
        if (say.scale) {  // in front of the payload
            const Bytes option{1, 3, 3, *say.scale};
            packet.insert(packet.begin() + 40, option.begin(), option.end());
            packet[32] = 0x60;
            put16(packet, 2, static_cast<unsigned>(packet.size()));
            fix_ip_checksum(packet);
        }
        put32(packet, 24, initial(direction) + say.sequence);
        const bool acknowledges = (say.flags & tcp_flag::ack) != 0;
        put32(packet, 28, acknowledges ? initial(opposite(direction)) + say.acknowledgment : 0);
        put16(packet, 34, say.window);
        EXPECT_EQ(parse<V4>(view(packet), 0, parsed), DropReason::none);
        return packet;
    }

    TcpWindow mode_;
};

}  // namespace noclash::nat::test
