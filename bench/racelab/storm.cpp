// SPDX-License-Identifier: Apache-2.0
#include "bench/racelab/storm.hpp"

#include <memory>

#include "bench/racelab/addresses.hpp"
#include "bench/racelab/netfilter.hpp"
#include "bench/racelab/noclash_gateway.hpp"
#include "tools/storm/ledger.hpp"

namespace noclash::racelab {
namespace {

std::unique_ptr<Contestant> make(Gateway gateway, const StormOptions& options) {
    // Ports are drawn from other numbers than the schedule, which must not depend on them.
    const std::uint64_t seed = options.seed + 0x9e3779b97f4a7c15U * (1 + std::uint64_t(gateway));
    const auto netfilter = [&](PortChoice choice) {
        return std::make_unique<Netfilter>(gateway_address, choice, seed);
    };
    switch (gateway) {
        case Gateway::masquerade:
            return netfilter(PortChoice::keep_if_free);
        case Gateway::random:
            return netfilter(PortChoice::random);
        case Gateway::fully_random:
            return netfilter(PortChoice::fully_random);
        case Gateway::noclash:
            break;
    }
    return std::make_unique<NoclashGateway>(gateway_address, options.threads,
                                            most_connections + most_connections / 2);
}

/// As the live storm's receiver would see it.
tools::Arrival arrival_of(const Departure& departure) {
    tools::Arrival arrival;
    arrival.checksums_good = true;
    arrival.probe = {departure.sent.protocol,
                     departure.sent.source,
                     departure.sent.destination,
                     departure.sent.source_port.host(),
                     departure.sent.destination_port.host(),
                     departure.id};
    return arrival;
}

}  // namespace

std::string name_of(Gateway gateway) {
    switch (gateway) {
        case Gateway::masquerade:
            return "netfilter-masquerade";
        case Gateway::random:
            return "netfilter-random";
        case Gateway::fully_random:
            return "netfilter-fully-random";
        case Gateway::noclash:
            break;
    }
    return "noclash";
}

StormResult run_storm(const StormOptions& options, Gateway gateway) {
    const auto passages = storm_passages(options);
    const auto contestant = make(gateway, options);
    tools::Ledger ledger(options.connections);
    for (const Departure& departure : cross(*contestant, passages))
        ledger.enter(arrival_of(departure));
    const tools::LedgerSummary summary = ledger.summary();
    return {summary.expected,   summary.delivered,        summary.lost,
            summary.duplicated, summary.tuple_collisions, contestant->counts()};
}

}  // namespace noclash::racelab
