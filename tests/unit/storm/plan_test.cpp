// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstdint>
#include <set>
#include <utility>

#include "tools/storm/send.hpp"

namespace noclash::tools::plan_test {
namespace {

using Source = std::pair<std::uint32_t, std::uint16_t>;

Source source_of(const Probe& probe) {
    return {probe.source.value.host(), probe.source_port};
}

SendOptions storm_options() {
    SendOptions options;
    options.protocol = IPPROTO_TCP;
    options.first_source = V4Address::from_host(0x0a010101);
    return options;
}

TEST(StormPlan, BothThreadsUseTheSamePortFromDifferentAddresses) {
    const SendOptions options = storm_options();
    for (std::uint32_t step = 0; step < 100'000; ++step) {
        const Probe a = storm_probe(options, 0, step);
        const Probe b = storm_probe(options, 1, step);
        ASSERT_EQ(a.source_port, b.source_port);
        ASSERT_NE(a.source, b.source);
        ASSERT_EQ(a.id, 2 * step);
        ASSERT_EQ(b.id, 2 * step + 1);
    }
}

TEST(StormPlan, NoTupleComesTwiceUpToTheCapacity) {
    SendOptions options = storm_options();
    options.first_source_port = 65000;
    ASSERT_EQ(storm_capacity(options), 536U * 16);
    std::set<Source> seen;
    for (std::uint32_t step = 0; step < storm_capacity(options) / 2; ++step)
        for (const std::uint32_t thread : {0U, 1U})
            ASSERT_TRUE(seen.insert(source_of(storm_probe(options, thread, step))).second);
}

TEST(StormPlan, AnIdTellsWhoSentIt) {
    SendOptions options = storm_options();
    for (const Sockets sockets : {Sockets::one_each, Sockets::shared}) {
        options.sockets = sockets;
        for (std::uint32_t step = 0; step < 1000; ++step)
            for (const std::uint32_t thread : {0U, 1U}) {
                const Probe sent = storm_probe(options, thread, step);
                ASSERT_EQ(source_of(storm_probe(options, sent.id)), source_of(sent));
            }
    }
}

TEST(StormPlan, EveryAddressIsUsed) {
    const SendOptions options = storm_options();
    std::set<std::uint32_t> addresses;
    for (std::uint32_t step = 0; step < 8; ++step)
        for (const std::uint32_t thread : {0U, 1U})
            addresses.insert(source_of(storm_probe(options, thread, step)).first);
    EXPECT_EQ(addresses.size(), options.sources);
}

TEST(PairPlan, BothThreadsSendFromOneSocketAndNoneComesTwice) {
    SendOptions options = storm_options();
    options.sockets = Sockets::shared;
    options.first_source_port = 65000;
    options.sources = 3;
    ASSERT_EQ(storm_capacity(options), 534U * 3 * 2);
    std::set<Source> seen;
    std::set<std::uint32_t> addresses;
    for (std::uint32_t step = 0; step < storm_capacity(options) / 2; ++step) {
        const Probe a = storm_probe(options, 0, step);
        const Probe b = storm_probe(options, 1, step);
        ASSERT_EQ(source_of(a), source_of(b));
        ASSERT_EQ(a.id, 2 * step);
        ASSERT_EQ(b.id, 2 * step + 1);
        ASSERT_TRUE(seen.insert(source_of(a)).second);
        addresses.insert(source_of(a).first);
    }
    EXPECT_EQ(addresses.size(), options.sources);
}

TEST(FillPlan, NoTupleComesTwiceUpToTheCapacity) {
    FillOptions options;
    options.first_source_port = 65500;
    options.sources = 3;
    options.destinations = 5;
    ASSERT_EQ(fill_capacity(options), 36U * 3 * 5);
    std::set<std::pair<Source, std::uint32_t>> seen;
    for (std::uint32_t index = 0; index < fill_capacity(options); ++index) {
        const Probe probe = fill_probe(options, index);
        ASSERT_TRUE(seen.insert({source_of(probe), probe.destination.value.host()}).second);
        ASSERT_EQ(probe.id, index);
    }
}

}  // namespace
}  // namespace noclash::tools::plan_test
