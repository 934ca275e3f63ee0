// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "bench/racelab/results.hpp"

namespace noclash::racelab::faults_test {
namespace {

Results good() {
    Results results;
    StormRow storm;
    storm.options.connections = 100;
    storm.gateway = Gateway::masquerade;
    storm.result = {100, 70, 30, 0, 0, {}};
    storm.result.counts.insert_failed = 30;
    results.storm = {storm};
    storm.gateway = Gateway::noclash;
    storm.result = {100, 100, 0, 0, 0, {}};
    results.storm.push_back(storm);
    results.dns = {{{}, Resolver::noclash, {10, 20, 20, 0, 0, 0, {}}}};
    results.exhaustion = {{Allocator::noclash, 99.9, {10, 10, 65, 1}},
                          {Allocator::noclash, 100, {10, 0, 0, 1}}};
    return results;
}

/// How many faults there are once `spoil` has changed the good results.
template <class Spoil>
std::size_t faults_after(Spoil&& spoil) {
    Results results = good();
    spoil(results);
    return faults_of(results).size();
}

TEST(ModelFaults, GoodResultsHaveNone) {
    EXPECT_TRUE(faults_of(good()).empty());
}

TEST(ModelFaults, WhatContradictsItselfIsFound) {
    EXPECT_EQ(faults_after([](Results& r) { r.storm[0].result.delivered = 71; }), 1U);
    EXPECT_EQ(faults_after([](Results& r) { r.storm[0].result.tuple_collisions = 1; }), 1U);
    EXPECT_EQ(faults_after([](Results& r) { r.storm[0].result.counts.insert_failed = 29; }), 1U);
    EXPECT_EQ(faults_after([](Results& r) { r.storm[0].options.distance_ns = 0; }), 1U);
    EXPECT_EQ(faults_after([](Results& r) {
                  r.storm[0].options.distance_ns = 0;
                  r.storm[0].result.counts.gave_up = 30;
              }),
              0U);
    EXPECT_EQ(faults_after([](Results& r) {
                  r.dns[0].result.lost = 1;
                  r.dns[0].resolver = Resolver::before_5_6;
              }),
              1U);
    EXPECT_EQ(faults_after([](Results& r) { r.exhaustion[1].result.succeeded = 1; }), 1U);
}

TEST(ModelFaults, NoclashMayLoseDuplicateSplitAndRefuseNothing) {
    EXPECT_EQ(faults_after([](Results& r) {
                  r.storm[1].result.delivered = 99;
                  r.storm[1].result.lost = 1;
                  r.storm[1].result.counts.insert_failed = 1;
              }),
              1U);
    EXPECT_EQ(faults_after([](Results& r) {
                  r.storm[1].result.delivered = 99;
                  r.storm[1].result.duplicated = 1;
              }),
              1U);
    EXPECT_EQ(faults_after([](Results& r) { r.dns[0].result.split_pairs = 1; }), 1U);
    EXPECT_EQ(faults_after([](Results& r) { r.exhaustion[0].result.succeeded = 9; }), 1U);
}

}  // namespace
}  // namespace noclash::racelab::faults_test
