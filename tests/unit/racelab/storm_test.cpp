// SPDX-License-Identifier: Apache-2.0
#include "bench/racelab/storm.hpp"

#include <gtest/gtest.h>

#include <set>

#include "bench/racelab/results.hpp"
#include "tools/storm/send.hpp"

namespace noclash::racelab::storm_test {
namespace {

StormOptions small_storm() {
    StormOptions options;
    options.connections = 4000;
    return options;
}
/// Everybody chooses before anybody confirms, exactly.
StormOptions all_at_once(unsigned threads) {
    StormOptions options = small_storm();
    options.threads = threads;
    options.jitter_ns = 0;
    options.distance_spread_percent = 0;
    options.distance_ns = 100;
    return options;
}

TEST(ModelStorm, IsTheLiveStormsForTwoThreads) {
    tools::SendOptions live;
    live.first_source = V4Address::from_host(0x0a010101);
    StormOptions options = small_storm();
    options.connections = most_connections;
    for (const Passage& passage : storm_passages(options)) {
        const tools::Probe probe =
            tools::storm_probe(live, passage.thread, passage.id / options.threads);
        ASSERT_EQ(passage.id, probe.id);
        ASSERT_EQ(passage.packet.original.source, probe.source);
        ASSERT_EQ(passage.packet.original.source_port.host(), probe.source_port);
    }
}

TEST(ModelStorm, EachConnectionComesOnceAndThreadsDoOneThingAtATime) {
    for (const unsigned threads : {1U, 2U, 3U, 5U, 16U}) {
        for (const Schedule schedule : {Schedule::in_step, Schedule::free_running}) {
            StormOptions options = small_storm();
            options.threads = threads;
            options.schedule = schedule;
            options.rate_cps = 100'000;
            std::set<std::pair<std::uint32_t, std::uint16_t>> sources;
            std::vector<Instant> free(threads);
            std::uint32_t id = 0;
            for (const Passage& passage : storm_passages(options)) {
                ASSERT_EQ(passage.id, id++);
                ASSERT_TRUE(sources
                                .insert({passage.packet.original.source.value.host(),
                                         passage.packet.original.source_port.host()})
                                .second);
                ASSERT_GE(passage.choose, free[passage.thread]);
                ASSERT_GE(passage.confirm, passage.choose);
                free[passage.thread] = passage.confirm;
            }
            ASSERT_EQ(id, options.connections);
        }
    }
}

TEST(ModelStorm, KeepsItsRate) {
    for (const Schedule schedule : {Schedule::in_step, Schedule::free_running}) {
        StormOptions options = small_storm();
        options.schedule = schedule;
        const auto passages = storm_passages(options);
        const double seconds = static_cast<double>(passages.back().confirm) / 1e9;
        EXPECT_NEAR(seconds, 0.4, 0.02);
    }
}

TEST(ModelStorm, InStepAllButOneOfAStepAreLostWhenTheDistanceExceedsTheJitter) {
    for (const unsigned threads : {2U, 4U, 8U, 16U}) {
        const auto result = run_storm(all_at_once(threads), Gateway::masquerade);
        EXPECT_EQ(result.lost, result.connections - result.connections / threads) << threads;
        EXPECT_EQ(result.counts.insert_failed, result.lost);
    }
}

TEST(ModelStorm, AtDistanceZeroNobodyIsLost) {
    for (const unsigned threads : {2U, 16U}) {
        for (const Instant jitter : {Instant{0}, Instant{600}}) {
            StormOptions options = all_at_once(threads);
            options.distance_ns = 0;
            options.jitter_ns = jitter;
            EXPECT_EQ(run_storm(options, Gateway::masquerade).lost, 0U);
        }
    }
}

TEST(ModelStorm, LossGrowsWithTheDistance) {
    std::uint64_t before = 0;
    for (const Instant distance : std::initializer_list<Instant>{0, 100, 300, 1000, 3000}) {
        StormOptions options = small_storm();
        options.distance_ns = distance;
        const auto lost = run_storm(options, Gateway::masquerade).lost;
        EXPECT_TRUE(distance == 0 || lost > before + 50) << distance << " ns: " << lost;
        before = lost;
    }
}

TEST(ModelStorm, UdpLosesLikeTcp) {
    StormOptions udp = small_storm();
    udp.protocol = protocol::udp;
    const auto tcp_lost = run_storm(small_storm(), Gateway::masquerade).lost;
    EXPECT_GT(tcp_lost, 500U);
    EXPECT_EQ(run_storm(udp, Gateway::masquerade).lost, tcp_lost);
}

TEST(ModelStorm, NoclashLosesNothingWhateverTheSchedule) {
    for (const unsigned threads : {2U, 16U}) {
        for (const Instant distance : {Instant{100}, Instant{100'000}}) {
            StormOptions options = all_at_once(threads);
            options.distance_ns = distance;
            const auto result = run_storm(options, Gateway::noclash);
            EXPECT_EQ(result.delivered, result.connections);
            EXPECT_EQ(result.tuple_collisions, 0U);
        }
    }
}

TEST(ModelStorm, ASeedReproducesARunAndAnotherDoesNot) {
    StormOptions options = small_storm();
    const auto once = run_storm(options, Gateway::masquerade);
    const auto again = run_storm(options, Gateway::masquerade);
    EXPECT_EQ(once.lost, again.lost);
    EXPECT_EQ(once.counts.found, again.counts.found);
    options.seed = 2;
    const auto other = run_storm(options, Gateway::masquerade);
    EXPECT_NE(std::pair(once.lost, once.counts.found), std::pair(other.lost, other.counts.found));
}

TEST(ModelStorm, SaysWhatIsOutOfRange) {
    StormOptions options = small_storm();
    options.threads = 17;
    EXPECT_THROW(static_cast<void>(storm_passages(options)), std::invalid_argument);
    options = small_storm();
    options.connections = most_connections + 1;
    EXPECT_THROW(static_cast<void>(storm_passages(options)), std::invalid_argument);
    options = small_storm();
    options.rate_cps = 0;
    EXPECT_THROW(static_cast<void>(storm_passages(options)), std::invalid_argument);
}

TEST(ModelStorm, NoCaseComesTwice) {
    for (const Extent extent : {Extent::quick, Extent::full}) {
        const auto cases = storm_cases({}, extent);
        EXPECT_EQ(cases[0], StormOptions{});
        for (std::size_t i = 0; i < cases.size(); ++i)
            for (std::size_t j = 0; j < i; ++j)
                ASSERT_FALSE(cases[i] == cases[j]);
    }
}

}  // namespace
}  // namespace noclash::racelab::storm_test
