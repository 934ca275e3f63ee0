// SPDX-License-Identifier: Apache-2.0
#include "nat/limits/early_drop.hpp"

#include <gtest/gtest.h>

#include "tests/unit/nat/pipeline_fixture.hpp"

namespace noclash::nat::test::early_drop_test {
namespace {

struct Full : TestGateway {
    static constexpr std::uint32_t flows = 1024;

    Full() : TestGateway(early(), 1, flows) {}
    static PolicyConfig<V4> early() {
        PolicyConfig<V4> policy{{}, {masquerade()}};
        policy.early_drop = true;
        return policy;
    }

    Verdict open(std::uint16_t port) {
        Bytes packet = udp({host("10.1.0.7"), host("192.0.2.80"), port, 80});
        return pass(packet);
    }
    /// As a worker visits a packet that parked: between rounds.
    Verdict open_and_wait(std::uint16_t port) {
        Verdict verdict = open(port);
        for (int visits = 0; verdict.outcome == Outcome::park && visits < 8; ++visits) {
            engines[0]->quiescent();
            maintain(64);
            verdict = open(port);
        }
        return verdict;
    }
    /// Opens flows until the table is full; the ports of those that stand.
    std::uint16_t fill() {
        std::uint16_t port = 1000;
        while (open(port).outcome == Outcome::transmit)
            ++port;
        return static_cast<std::uint16_t>(port - 1000);
    }
    std::uint64_t live() {
        return engines[0]->counters().insert.value() - engines[0]->counters().removed.value();
    }
    std::uint64_t dropped() const {
        return pipelines[0]->slow_path().early_drop().dropped().value();
    }
};

TEST(EarlyDrop, AFlowWithoutAnswerMakesRoom) {
    Full gateway;
    const std::uint64_t before = gateway.fill();
    EXPECT_GE(before, Full::flows);
    for (std::uint16_t port = 40'000; port < 40'050; ++port)
        EXPECT_EQ(gateway.open_and_wait(port).outcome, Outcome::transmit) << port;
    // One for each; the packet that found the table full first made room for the first of them.
    EXPECT_EQ(gateway.dropped(), 50U);
    EXPECT_GE(gateway.live() + 1, before);
}

TEST(EarlyDrop, AnAssuredFlowNeverDoes) {
    Full gateway;
    for (std::uint16_t port = 1000;; ++port) {
        const Ends ends{host("10.1.0.7"), host("192.0.2.80"), port, 80};
        Bytes first = udp(ends);
        if (gateway.pass(first).outcome != Outcome::transmit) break;
        Bytes answer = udp(answer_to(read(first).tuple));
        gateway.pass(answer, 1);
        Bytes second = udp(ends);
        gateway.pass(second);
    }
    gateway.pass_time(100);
    const std::uint64_t assured = gateway.live();
    const std::uint64_t dropped = gateway.dropped();
    EXPECT_LE(dropped, 1U);  // the last, which was not answered yet
    for (std::uint16_t port = 40'000; port < 40'100; ++port) {
        gateway.open_and_wait(port);
        ++gateway.now_ms;
    }
    EXPECT_GE(gateway.live(), assured);
    EXPECT_LE(gateway.dropped() - dropped, 2U);  // those of the new ones that got in
}

// [RFC 6888 REQ-11]
TEST(EarlyDrop, IsOffUnlessSomebodyWantsIt) {
    TestGateway gateway({masquerade()}, 1, 1024);
    std::uint16_t port = 1000;
    const auto open = [&] {
        Bytes packet = udp({host("10.1.0.7"), host("192.0.2.80"), port++, 80});
        return gateway.pass(packet);
    };
    while (open().outcome == Outcome::transmit) {
    }
    EXPECT_EQ(open().outcome, Outcome::reject);
    EXPECT_EQ(open().reason, DropReason::table_full);
    EXPECT_EQ(gateway.pipelines[0]->slow_path().early_drop().dropped().value(), 0U);
    EXPECT_EQ(gateway.engines[0]->counters().removed.value(), 0U);
}

}  // namespace
}  // namespace noclash::nat::test::early_drop_test
