// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "dpdk/config/config.hpp"
#include "dpdk/config/reader.hpp"

namespace noclash::dpdk {

// Checks of the configuration as a whole. A fault is a combination that can never work; a warning
// is one that works, but hardly as it was meant. Each family of checks has a file of its own, and
// looks only at sections that have no fault yet.

/// A configuration that has been read, and the sections that it was read from: in the same order
/// and number, but for routes, of which the unfit ones are not in `config`.
struct Whole {
    const Section& top;
    const Config& config;
    std::vector<Section> ports, routes, pools, rules, services;
};

/// Whether an address is in the subnet of a port whose address is known.
[[nodiscard]] bool is_on_link(const Config& config, V4Address address);

/// All of the checks below.
void check_whole(const Section& top, const Config& config, const Machine& machine);

/// Addresses that cannot be what they are configured as: of a router, of a subnet, our own.
void check_addresses(const Whole& whole);
/// Addresses that nobody can reach.
void check_reachability(const Whole& whole);
/// Rules that are never reached, since earlier ones decide, or services.
void check_shadowing(const Whole& whole);
/// Rules that do less, or more, than they look like.
void check_rules(const Whole& whole);
/// Services that serve nobody, and keys that do nothing for them.
void check_services(const Whole& whole);
/// Pools that overlap, or that nobody uses.
void check_pools(const Whole& whole);
/// Limits that nothing meets, tables that are too small for what is configured.
void check_sizes(const Whole& whole);
/// Workers and CPUs.
void check_cpus(const Whole& whole, const Machine& machine);

}  // namespace noclash::dpdk
