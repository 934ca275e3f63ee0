// SPDX-License-Identifier: Apache-2.0
// Services that a SYN proxy guards while very many connections are half open.

#include <gtest/gtest.h>

#include "tests/unit/nat/syn_proxy_fixture.hpp"

namespace noclash::nat::test::syn_proxy_test {
namespace {

class Automatic : public SynProxyTest {
  protected:
    void SetUp() override {
        Service<V4> service = web(SynProxyMode::automatic);
        service.syn_proxy_above = 100;
        start(service);
        gateway->policy.half_open_percent = 0;
    }
    /// SYNs of clients that never answer; how many of them made a flow.
    std::size_t flood(std::uint16_t count) {
        std::size_t made = 0;
        for (std::uint16_t i = 0; i < count; ++i) {
            Ends ends = client_ends;
            ends.source_port = next_port_++;
            made += says(ends, client_syn(), 0).outcome == transmit ? 1U : 0U;
        }
        return made;
    }
    bool is_guarded() { return flood(1) == 0; }

  private:
    std::uint16_t next_port_ = 1000;
};

TEST_F(Automatic, GuardsWhenMoreConnectionsAreHalfOpen) {
    EXPECT_EQ(flood(1000), 101U);
    EXPECT_EQ(entries(), 202U);
    EXPECT_TRUE(is_guarded());
}

TEST_F(Automatic, StaysGuardedForTenSecondsWhenTheyAreGone) {
    gateway->timeouts.tcp_syn_sent_s = 5;
    flood(101);
    pass_time(9'800);
    EXPECT_TRUE(is_guarded());
    pass_time(300);
    EXPECT_FALSE(is_guarded());
}

TEST_F(Automatic, StaysGuardedWhileHalfAsManyAreLeft) {
    flood(101);
    for (int times = 0; times < 5; ++times) {
        pass_time(9'800);
        EXPECT_TRUE(is_guarded());
    }
}

TEST_F(Automatic, NobodyLooksWhileNoSynComes) {
    flood(101);
    pass_time(10'100);
    EXPECT_FALSE(is_guarded()) << "but the next one sees that they are still there";
    EXPECT_TRUE(is_guarded());
}

TEST_F(Automatic, CookiesHoldWhenTheFloodIsOver) {
    flood(101);
    begin();
    pass_time(10'100);
    EXPECT_EQ(open(client_ack()).sequence, client_isn);
    EXPECT_EQ(state(), TcpState::syn_sent);
}

TEST_F(Automatic, WithoutGuardAWrongCookieIsWhatItAlwaysWas) {
    const Verdict verdict = client_says({.flags = ack, .sequence = 1, .acknowledgment = 2});
    EXPECT_EQ(verdict.outcome, Outcome::reset);
    EXPECT_EQ(verdict.reason, DropReason::tcp_not_syn);
}

TEST_F(Automatic, ConnectionsOfBeforeGoOn) {
    EXPECT_EQ(client_says(client_syn()).outcome, transmit);
    at_server = ends_of(packet);
    EXPECT_EQ(server_says(server_syn_ack()).outcome, transmit);
    flood(200);
    WholeSegment answer{
        .flags = ack, .sequence = client_isn + 1, .acknowledgment = server_isn + 1, .window = 1000};
    EXPECT_EQ(client_says(answer).outcome, transmit);
    EXPECT_EQ(state(), TcpState::established);
    EXPECT_FALSE(tcp_progress(flow()).is_proxied());
}

}  // namespace
}  // namespace noclash::nat::test::syn_proxy_test
