// SPDX-License-Identifier: Apache-2.0
#include "bench/racelab/dns.hpp"

#include <gtest/gtest.h>

namespace noclash::racelab::dns_test {
namespace {

DnsOptions small() {
    DnsOptions options;
    options.pairs = 4000;
    return options;
}

TEST(ModelDns, TheOldestKernelLosesEverySecondQuery) {
    const auto result = run_dns(small(), Resolver::before_4_19);
    EXPECT_EQ(result.lost, result.pairs);
    EXPECT_EQ(result.delivered, result.pairs);
}

TEST(ModelDns, Before56OnlyQueriesToDifferentBackendsWereLost) {
    DnsOptions options = small();
    for (const std::uint32_t backends : {1U, 2U, 4U}) {
        options.backends = backends;
        const auto result = run_dns(options, Resolver::before_5_6);
        const double expected = static_cast<double>(result.pairs) * (1.0 - 1.0 / backends);
        EXPECT_NEAR(static_cast<double>(result.lost), expected, 150) << backends;
        EXPECT_EQ(result.split_pairs, 0U);
    }
}

TEST(ModelDns, TodayTheyAreDeliveredToDifferentBackends) {
    const auto before = run_dns(small(), Resolver::before_5_6);
    const auto today = run_dns(small(), Resolver::today);
    EXPECT_EQ(today.lost, 0U);
    EXPECT_EQ(today.counts.insert_failed, 0U);
    EXPECT_EQ(today.split_pairs, before.lost) << "the same pairs clash";
    EXPECT_EQ(today.counts.clash_resolved, today.pairs);
}

TEST(ModelDns, NoclashDeliversBothToTheSame) {
    const auto result = run_dns(small(), Resolver::noclash);
    EXPECT_EQ(result.delivered, result.queries);
    EXPECT_EQ(result.split_pairs, 0U);
    EXPECT_EQ(result.counts.clash_resolved, result.pairs);
}

TEST(ModelDns, WithNothingToRaceWithAllKernelsDeliverBothToTheSame) {
    DnsOptions options = small();
    options.distance_ns = 0;
    for (const Resolver resolver : all_resolvers) {
        const auto result = run_dns(options, resolver);
        EXPECT_EQ(result.delivered, result.queries) << name_of(resolver);
        EXPECT_EQ(result.split_pairs, 0U) << name_of(resolver);
    }
}

TEST(ModelDns, SaysWhatIsOutOfRange) {
    DnsOptions options = small();
    options.pairs = most_pairs + 1;
    EXPECT_THROW(static_cast<void>(dns_passages(options)), std::invalid_argument);
    options = small();
    options.backends = 0;
    EXPECT_THROW(static_cast<void>(dns_passages(options)), std::invalid_argument);
}

}  // namespace
}  // namespace noclash::racelab::dns_test
