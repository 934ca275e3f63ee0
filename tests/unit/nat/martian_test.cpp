// SPDX-License-Identifier: Apache-2.0
#include "nat/packet/martian.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/nat/pipeline_fixture.hpp"

namespace noclash::nat::test::martian_test {
namespace {

constexpr std::uint32_t bad_addresses[] = {0x00000000, 0x00000001, 0x7f000001, 0xe0000001,
                                           0xefffffff, 0xf0000001, 0xffffffff};

/// Ends that no router forwards between: either end bad, and a packet to its own sender.
std::vector<Ends> martian_ends() {
    std::vector<Ends> result{{client.source, client.source, 1, 2}};
    for (const std::uint32_t bad : bad_addresses) {
        result.push_back({bad, client.destination, 1, 2});
        result.push_back({client.source, bad, 1, 2});
    }
    return result;
}

void expect_martians_dropped(TestGateway& gateway) {
    for (const Ends& ends : martian_ends()) {
        for (Bytes packet : {tcp(ends, tcp_flag::syn), tcp(ends, tcp_flag::ack, Bytes(4)),
                             udp(ends), udp(ends, Bytes(40), {148, 4, 0, 0}),
                             icmp(ends, 8, 0, 0x00010001), icmp(ends, 3, 1, 0, udp(client))}) {
            const std::string before = to_hex(packet);
            const Verdict verdict = gateway.pass(packet);
            EXPECT_EQ(verdict.outcome, Outcome::drop) << before;
            EXPECT_EQ(verdict.reason, DropReason::bad_address) << before;
            EXPECT_EQ(to_hex(packet), before);
        }
    }
    EXPECT_EQ(gateway.table.index().occupancy().entries, 0U);
}

TEST(Martian, Addresses) {
    for (const std::uint32_t bad : bad_addresses)
        EXPECT_TRUE(is_martian(V4Address::from_host(bad))) << bad;
    for (const std::uint32_t good : {0x01000000U, 0x7effffffU, 0x80000000U, 0xdfffffffU})
        EXPECT_FALSE(is_martian(V4Address::from_host(good))) << good;
    for (const Ends& ends : martian_ends())
        EXPECT_TRUE(is_martian(tuple(ends, ip_protocol::udp)));
    EXPECT_FALSE(is_martian(tuple(client, ip_protocol::udp)));
}

TEST(Martian, OpensNoFlow) {
    TestGateway gateway({node_port(), masquerade()});
    expect_martians_dropped(gateway);
}

TEST(Martian, WhatRulesSayOfItDoesNotMatter) {
    Rule<V4> reject;
    reject.action = Action::reject;
    TestGateway gateway({reject});
    expect_martians_dropped(gateway);
}

TEST(Martian, IsNotForwardedUntracked) {
    Rule<V4> untracked;
    untracked.action = Action::forward;
    untracked.tracking = Tracking::none;
    TestGateway gateway({untracked});
    expect_martians_dropped(gateway);
    EXPECT_EQ(gateway.pipelines[0]->untracked().packets(), 0U);
}

TEST(Martian, ItsFragmentsWaitForNoOthers) {
    for (const Ends& ends : martian_ends()) {
        Bytes packet = udp(ends, Bytes(16));
        packet[6] = 0x20;
        fix_ip_checksum(packet);
        Parsed<V4> parsed;
        EXPECT_EQ(parse<V4>(view(packet), 0, parsed), DropReason::bad_address);
    }
}

}  // namespace
}  // namespace noclash::nat::test::martian_test
