// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/base/address.hpp"

namespace noclash::nat {

/// The things that are counted for each source.
enum class Quota : std::uint8_t { flows, tcp_ports, udp_ports, icmp_ids, half_open, count };

inline constexpr std::size_t quotas = static_cast<std::size_t>(Quota::count);

/// How much of the gateway one subscriber, one source or one service may take. 0 is no limit, which
/// is the default of each: what is fair depends on what stands behind an address, a telephone or
/// a load balancer.
template <class Family>
struct LimitsConfig {
    /// The subscribers' addresses; empty: each source of a flow that goes to no `dnat` service.
    std::vector<Prefix<Family>> subscribers;
    /// The most that one subscriber may have; of `half_open`, any source.
    std::array<std::uint32_t, quotas> most{};
    /// The most half-open connections of one `dnat` rule; beyond it, the oldest ends for a new one.
    std::uint32_t half_open_per_service = 0;
    std::uint32_t sources = 65536;  ///< that can be told apart at once

    [[nodiscard]] std::uint32_t most_of(Quota quota) const {
        return most[static_cast<std::size_t>(quota)];
    }
    /// Whether there is any limit on a source.
    [[nodiscard]] bool of_sources() const {
        return std::ranges::any_of(most, [](std::uint32_t limit) { return limit != 0; });
    }
    /// Whether there is any limit at all.
    [[nodiscard]] bool any() const { return of_sources() || half_open_per_service != 0; }
};

}  // namespace noclash::nat
