// SPDX-License-Identifier: Apache-2.0
#include "bench/racelab/dns.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <stdexcept>

#include "bench/racelab/addresses.hpp"
#include "bench/racelab/netfilter.hpp"
#include "bench/racelab/noclash_gateway.hpp"

namespace noclash::racelab {
namespace {

constexpr std::uint16_t dns_port = 53;
constexpr std::uint16_t first_port = 20'000;
constexpr unsigned threads = 2;

std::unique_ptr<Contestant> make(Resolver resolver, const DnsOptions& options) {
    const auto netfilter = [&](ClashResolution resolution) {
        return std::make_unique<Netfilter>(gateway_address, PortChoice::keep_if_free,
                                           options.seed + 1, resolution);
    };
    switch (resolver) {
        case Resolver::before_4_19:
            return netfilter(ClashResolution::without_nat);
        case Resolver::before_5_6:
            return netfilter(ClashResolution::same_nat);
        case Resolver::today:
            return netfilter(ClashResolution::any_reply);
        case Resolver::noclash:
            break;
    }
    return std::make_unique<NoclashGateway>(gateway_address, threads, 2 * most_pairs);
}

}  // namespace

std::string name_of(Resolver resolver) {
    switch (resolver) {
        case Resolver::before_4_19:
            return "netfilter-before-4.19";
        case Resolver::before_5_6:
            return "netfilter-before-5.6";
        case Resolver::today:
            return "netfilter-today";
        case Resolver::noclash:
            break;
    }
    return "noclash";
}

std::vector<Passage> dns_passages(const DnsOptions& options) {
    if (options.pairs < 1 || options.pairs > most_pairs)
        throw std::invalid_argument("there are 1 to 45000 pairs of queries: each has its own port");
    if (options.backends < 1 || options.backends > 200 || options.rate_pps < 1)
        throw std::invalid_argument(
            "a service has 1 to 200 backends, and 1 pair a second at least");
    std::mt19937_64 random(options.seed);
    std::exponential_distribution<double> lateness(
        1.0 / static_cast<double>(std::max<Instant>(options.jitter_ns, 1)));
    std::vector<Passage> passages;
    passages.reserve(std::size_t{options.pairs} * threads);
    for (std::uint32_t pair = 0; pair < options.pairs; ++pair) {
        const Instant begin = pair * second_ns / options.rate_pps;
        for (unsigned thread = 0; thread < threads; ++thread) {
            Passage& query = passages.emplace_back();
            query.id = threads * pair + thread;
            query.thread = thread;
            query.packet.original = {first_source,
                                     service,
                                     Be16::from_host(static_cast<std::uint16_t>(first_port + pair)),
                                     Be16::from_host(dns_port),
                                     0,
                                     protocol::udp,
                                     0};
            const auto backend = static_cast<std::uint32_t>(random() % options.backends);
            query.packet.backend = V4Address::from_host(pod.value.host() + backend);
            query.packet.backend_port = dns_port;
            const double late = lateness(random);
            query.choose = begin;
            if (options.jitter_ns > 0) query.choose += static_cast<Instant>(std::llround(late));
            query.confirm = query.choose + options.distance_ns;
        }
    }
    return passages;
}

DnsResult run_dns(const DnsOptions& options, Resolver resolver) {
    const auto passages = dns_passages(options);
    const auto contestant = make(resolver, options);
    std::vector<std::vector<Tuple<V4>>> arrivals(passages.size());
    for (const Departure& departure : cross(*contestant, passages))
        arrivals.at(departure.id).push_back(departure.sent);

    DnsResult result;
    result.pairs = options.pairs;
    result.queries = passages.size();
    for (const auto& copies : arrivals) {
        if (copies.empty()) ++result.lost;
        if (copies.size() == 1) ++result.delivered;
        if (copies.size() > 1) ++result.duplicated;
    }
    for (std::size_t i = 0; i < arrivals.size(); i += threads) {
        const auto& a = arrivals[i];
        const auto& aaaa = arrivals[i + 1];
        if (!a.empty() && !aaaa.empty() && a.front() != aaaa.front()) ++result.split_pairs;
    }
    result.counts = contestant->counts();
    return result;
}

}  // namespace noclash::racelab
