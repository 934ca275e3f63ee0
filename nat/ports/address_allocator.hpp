// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "engine/base/random.hpp"
#include "engine/reservation.hpp"
#include "nat/ports/port_allocator.hpp"

namespace noclash::nat {

/// Chooses the translated source of a flow whose protocol has no ports, and reserves it. What tells
/// such flows apart is the address alone: towards one remote host, each of `addresses` can stand
/// for one inside host at a time, and when all do, that is `exhausted`.
///
/// The first try is `reply` as it is; then every address has its turn, from a random one on.
template <class Family, class Traits>
[[nodiscard]] SetupError reserve_address(Reservation<Family, Traits>& claim, Tuple<Family> reply,
                                         std::uint64_t hash,
                                         std::span<const typename Family::Address> addresses,
                                         RandomBuffer& random) {
    constexpr std::uint32_t most_at_a_visit = 512;
    const auto count = static_cast<std::uint32_t>(addresses.size());
    if (claim.reserve(reply, hash) == SetupError::none) return SetupError::none;
    bool without_room = false;
    const std::uint32_t first = random.below(count);
    for (std::uint32_t i = 0; i < count; ++i) {
        if (i == most_at_a_visit) return SetupError::unfinished;
        reply.destination = addresses[(first + i) % count];
        const SetupError outcome = claim.reserve(reply);
        if (outcome == SetupError::none) return SetupError::none;
        if (outcome != SetupError::taken) without_room = true;
    }
    return without_room ? SetupError::busy : SetupError::exhausted;
}

}  // namespace noclash::nat
