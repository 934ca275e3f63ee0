// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "bench/racelab/contestant.hpp"

namespace noclash::racelab {

/// A resolver asks for A and AAAA from one socket at the same moment, and its two packets are
/// received by two CPUs. The service has several backends; each packet that finds no connection
/// draws one, as kube-proxy's rules do. The source stays.
///
/// `distance_ns` is from the look-up in prerouting to the confirmation: nearly the whole way
/// through the gateway. `jitter_ns` is the mean time from the pair's begin to a query's look-up. In
/// the live storm (see StormOptions) a packet takes 4,200 ns in the median from
/// net:netif_receive_skb to net:net_dev_queue, of which some 3,000 lie between those two steps.
/// Half of the pairs of one step come in less than 124 ns apart; two exponential times of mean 200
/// ns differ by 139.
struct DnsOptions {
    std::uint32_t pairs = 20'000;
    std::uint32_t backends = 2;
    Instant distance_ns = 3000;
    Instant jitter_ns = 200;
    std::uint32_t rate_pps = 5000;  ///< pairs per second
    std::uint64_t seed = 1;
};

/// Who takes part. netfilter in three ages: what it does about a clash has changed twice.
enum class Resolver : std::uint8_t { before_4_19, before_5_6, today, noclash };
inline constexpr Resolver all_resolvers[] = {Resolver::before_4_19, Resolver::before_5_6,
                                             Resolver::today, Resolver::noclash};
[[nodiscard]] std::string name_of(Resolver resolver);

inline constexpr std::uint32_t most_pairs = 45'000;  ///< each from a port of its own

/// @throws std::invalid_argument when `options` are out of range.
[[nodiscard]] std::vector<Passage> dns_passages(const DnsOptions& options);

struct DnsResult {
    std::uint64_t pairs = 0;
    std::uint64_t queries = 0;
    std::uint64_t delivered = 0;  ///< queries, exactly once
    std::uint64_t lost = 0;
    std::uint64_t duplicated = 0;
    std::uint64_t split_pairs = 0;  ///< both delivered, but not to the same backend
    Counts counts;
};

[[nodiscard]] DnsResult run_dns(const DnsOptions& options, Resolver resolver);

}  // namespace noclash::racelab
