// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "dpdk/config/config.hpp"
#include "dpdk/datapath/pinned_neighbors.hpp"
#include "dpdk/datapath/route.hpp"
#include "nat/policy/policy_snapshot.hpp"

namespace noclash::dpdk {

using PolicySnapshot = nat::PolicySnapshot<V4, RouteTable>;

/// A configuration in force, whole: what the pipeline goes by, and what else workers take from it
/// when it comes.
struct Snapshot : PolicySnapshot {
    /// An address of ours that its link has not been told of.
    struct NewAddress {
        std::uint16_t port;
        V4Address address;
    };

    /// @param previous  the one that it will replace; null when there is none
    /// @param retired   addresses that were own once, and that flows still have
    /// @throws std::runtime_error, std::length_error
    Snapshot(Config with, nat::Identities& identities, const Snapshot* previous = nullptr,
             std::span<const V4Address> retired = {})
        : PolicySnapshot(
              with.policy, with.timeouts, with.limits, identities,
              RouteTable(with, previous == nullptr ? nullptr : &previous->router, retired),
              previous),
          config(std::move(with)),
          generation(previous == nullptr ? 1 : previous->generation + 1),
          pinned(pinned_neighbors(config)) {
        for (std::uint16_t port = 0; previous != nullptr && port < router.ports(); ++port)
            for (const V4Address& address : router.own_on(port))
                if (!previous->router.is_own(address) || previous->router.is_retired(address))
                    new_addresses.push_back({port, address});
    }

    const Config config;
    const std::uint64_t generation;  ///< counted from 1
    const std::vector<PinnedNeighbor> pinned;
    std::vector<NewAddress> new_addresses;  ///< that the previous one did not have
};

}  // namespace noclash::dpdk
