// SPDX-License-Identifier: Apache-2.0

// How connections end, in all that may happen to the segments on the way: what is over is proven by
// numbers (invariant 9).

#include "nat/conntrack/tcp_closing.hpp"

#include <gtest/gtest.h>

#include "tests/unit/nat/conversation.hpp"

namespace noclash::nat::tcp_closing_test {
namespace {

using namespace test;
using namespace tcp_flag;
using enum TcpState;

/// In every mode, and whichever side closes first.
class TcpClosing : public testing::TestWithParam<std::tuple<TcpWindow, Direction>> {
  protected:
    void SetUp() override { talk.establish(); }
    void one(const Say& say, TcpState expected, int line) { talk.goes(first, say, expected, line); }
    void other(const Say& say, TcpState expected, int line) {
        talk.goes(opposite(first), say, expected, line);
    }

    const Direction first = std::get<1>(GetParam());  ///< the side that closes first
    Conversation talk{std::get<0>(GetParam())};
};

TEST_P(TcpClosing, BothFinsAndBothAcknowledgments) {
    one({fin_ack, 1, 1}, fin_wait, __LINE__);
    other({ack, 1, 2}, close_wait, __LINE__);
    other({ack, 1, 2, 700}, close_wait, __LINE__);  // half-closed: the other side goes on
    one({ack, 2, 701}, close_wait, __LINE__);
    other({fin_ack, 701, 2}, last_ack, __LINE__);
    one({ack, 2, 702}, time_wait, __LINE__);
    other({fin_ack, 701, 2}, time_wait, __LINE__);
    one({ack, 2, 702}, time_wait, __LINE__);
}

// The kind of fault that gave a live tuple away: the second FIN was taken for the other side's.
TEST_P(TcpClosing, TheSameFinAgainIsStillOne) {
    one({fin_ack, 1, 1}, fin_wait, __LINE__);
    one({fin_ack, 1, 1}, fin_wait, __LINE__);
    other({ack, 1, 2}, close_wait, __LINE__);
    one({fin_ack, 1, 1}, close_wait, __LINE__);
    other({ack, 1, 2}, close_wait, __LINE__);
    other({ack, 1, 2, 100}, close_wait, __LINE__);
    one({ack, 2, 101}, close_wait, __LINE__);
    other({fin_ack, 101, 2}, last_ack, __LINE__);
    other({fin_ack, 101, 2}, last_ack, __LINE__);
    one({fin_ack, 1, 101}, last_ack, __LINE__);
    one({ack, 2, 101}, last_ack, __LINE__);  // it has not got the FIN yet
    one({ack, 2, 102}, time_wait, __LINE__);
}

TEST_P(TcpClosing, AnAcknowledgmentHasToCoverTheFin) {
    one({fin_ack, 1, 1, 500}, fin_wait, __LINE__);
    other({ack, 1, 1}, fin_wait, __LINE__);    // of before
    other({ack, 1, 251}, fin_wait, __LINE__);  // of half of the data
    other({ack, 1, 501}, fin_wait, __LINE__);  // of all data, and not of the FIN
    other({ack, 1, 502}, close_wait, __LINE__);
    other({ack, 1, 251}, close_wait, __LINE__);  // one that was overtaken
}

TEST_P(TcpClosing, ASegmentBeforeTheFinWasLost) {
    one({fin_ack, 501, 1}, fin_wait, __LINE__);  // 500 bytes before it did not get here
    other({ack, 1, 1}, fin_wait, __LINE__);
    other({fin_ack, 1, 1}, last_ack, __LINE__);
    one({ack, 502, 2}, last_ack, __LINE__);
    other({ack, 2, 1}, last_ack, __LINE__);
    one({ack, 1, 2, 500}, last_ack, __LINE__);
    other({ack, 2, 501}, last_ack, __LINE__);
    one({fin_ack, 501, 2}, last_ack, __LINE__);
    other({ack, 2, 502}, time_wait, __LINE__);
}

TEST_P(TcpClosing, TheAcknowledgmentOfTheFinWasLost) {
    one({fin_ack, 1, 1}, fin_wait, __LINE__);
    other({ack, 1, 2, 100}, close_wait, __LINE__);  // later segments say so, too
    Conversation lost(std::get<0>(GetParam()));
    lost.establish();
    lost.goes(first, {fin_ack, 1, 1}, fin_wait, __LINE__);
    lost.goes(opposite(first), {fin_ack, 1, 2}, last_ack, __LINE__);
    lost.goes(first, {ack, 2, 2}, time_wait, __LINE__);
}

TEST_P(TcpClosing, BothCloseAtOnce) {
    one({fin_ack, 1, 1}, fin_wait, __LINE__);
    other({fin_ack, 1, 1}, last_ack, __LINE__);
    one({fin_ack, 1, 1}, last_ack, __LINE__);  // sent again
    other({fin_ack, 1, 1}, last_ack, __LINE__);
    one({ack, 2, 2}, last_ack, __LINE__);
    one({ack, 2, 2}, last_ack, __LINE__);
    other({ack, 2, 2}, time_wait, __LINE__);
}

TEST_P(TcpClosing, AFinThatIsFollowedByDataWasNone) {
    one({fin_ack, 1, 1}, fin_wait, __LINE__);  // somebody's guess
    one({ack, 1, 1, 500}, established, __LINE__);
    other({ack, 1, 501}, established, __LINE__);
    one({fin_ack, 501, 1}, fin_wait, __LINE__);
    other({ack, 1, 502}, close_wait, __LINE__);
    // Nor may a guess stand for the one that comes.
    Conversation guessed(std::get<0>(GetParam()));
    guessed.establish();
    guessed.goes(first, {fin_ack, 1, 1}, fin_wait, __LINE__);
    guessed.goes(first, {fin_ack, 1, 1, 500}, fin_wait, __LINE__);
    guessed.goes(opposite(first), {ack, 1, 2}, fin_wait, __LINE__);
    guessed.goes(opposite(first), {ack, 1, 502}, close_wait, __LINE__);
}

TEST_P(TcpClosing, ASynMovesNoneThatIsNotOver) {
    const auto tries = [&](int line) {
        const TcpState state = talk.state();
        EXPECT_EQ(talk.say(there, {syn, 3'000'000}), DropReason::none) << line;
        EXPECT_EQ(talk.state(), state) << line;
    };
    one({fin_ack, 1, 1}, fin_wait, __LINE__);
    tries(__LINE__);
    other({ack, 1, 2}, close_wait, __LINE__);
    tries(__LINE__);
    other({fin_ack, 1, 2}, last_ack, __LINE__);
    tries(__LINE__);
    one({ack, 2, 2}, time_wait, __LINE__);
    talk.goes(there, {syn, 3'000'000}, syn_sent, __LINE__);
    talk.goes(back, {syn_ack, 4'000'000, 3'000'001}, syn_recv, __LINE__);
    talk.goes(there, {ack, 3'000'001, 4'000'001}, established, __LINE__);
    talk.goes(first,
              {fin_ack, first == there ? 3'000'001U : 4'000'001U,
               first == there ? 4'000'001U : 3'000'001U},
              fin_wait, __LINE__);
}

/// Numbers wrap just here.
TEST_P(TcpClosing, NumbersWrap) {
    std::uint32_t sent = 1;
    for (; sent < 0x400; sent += 0x80)
        one({ack, sent, 1, 0x80}, established, __LINE__);
    one({fin_ack, sent, 1}, fin_wait, __LINE__);
    other({ack, 1, sent}, fin_wait, __LINE__);
    other({ack, 1, sent + 1}, close_wait, __LINE__);
}

INSTANTIATE_TEST_SUITE_P(Modes, TcpClosing,
                         testing::Combine(testing::Values(TcpWindow::off, TcpWindow::liberal,
                                                          TcpWindow::strict),
                                          testing::Values(there, back)),
                         [](const auto& kind) {
                             const TcpWindow mode = std::get<0>(kind.param);
                             return std::string(mode == TcpWindow::off       ? "Off"
                                                : mode == TcpWindow::liberal ? "Liberal"
                                                                             : "Strict") +
                                    (std::get<1>(kind.param) == there ? "ClientFirst"
                                                                      : "ServerFirst");
                         });

// A worker that was preempted before the FIN came puts the end of that side back to what the other
// side has acknowledged: the FIN is acknowledged all the same only when it is.
TEST(TcpClosingRace, AnEndThatWentBackProvesNothing) {
    Conversation talk(TcpWindow::liberal);
    talk.establish();
    talk.goes(there, {ack, 1, 1, 500}, established, __LINE__);
    talk.goes(back, {ack, 1, 501}, established, __LINE__);
    const std::uint32_t end = talk.flow.memory[flow_memory::tcp_end(there)];
    talk.goes(there, {ack, 501, 1, 500}, established, __LINE__);
    talk.goes(there, {fin_ack, 1001, 1}, fin_wait, __LINE__);
    talk.flow.memory[flow_memory::tcp_end(there)] = end;
    talk.goes(back, {ack, 1, 501}, fin_wait, __LINE__);
    talk.goes(back, {fin_ack, 1, 501}, last_ack, __LINE__);
    talk.goes(there, {ack, 1002, 2}, last_ack, __LINE__);
    talk.goes(back, {ack, 2, 1002}, time_wait, __LINE__);
}

TEST(TcpClosingOff, AResetByFlagsAloneIsNoProof) {
    EXPECT_FALSE(is_over(close, TcpWindow::off));
    EXPECT_TRUE(is_over(close, TcpWindow::liberal));
    EXPECT_TRUE(is_over(time_wait, TcpWindow::off));
    for (const auto state : {syn_sent, syn_recv, established, fin_wait, close_wait, last_ack})
        EXPECT_FALSE(is_over(state, TcpWindow::strict));
    Conversation talk(TcpWindow::off);
    talk.establish();
    talk.goes(back, {rst, 3'000'000}, close, __LINE__);
    EXPECT_EQ(talk.say(there, {syn, 5'000'000}), DropReason::none);
    EXPECT_EQ(talk.state(), close);
}

}  // namespace
}  // namespace noclash::nat::tcp_closing_test
