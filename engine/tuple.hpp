// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <type_traits>

#include "engine/address.hpp"
#include "engine/endian.hpp"

namespace noclash {

/// What identifies one direction of a flow (netfilter's tuple). ICMP queries carry their identifier
/// as source port in requests and as destination port in replies, the other port being 0, so that
/// `inverse()` holds for them too.
///
/// Tuples are hashed and compared as bytes: the type has no padding, and `reserved` stays 0.
template <class Family>
struct Tuple {
    typename Family::Address source;
    typename Family::Address destination;
    Be16 source_port;
    Be16 destination_port;
    std::uint16_t zone = 0;  ///< a separate tuple space (a VRF)
    std::uint8_t protocol = 0;
    std::uint8_t reserved = 0;

    /// The tuple of a packet that answers this one, when nothing is translated.
    [[nodiscard]] Tuple inverse() const {
        return {destination, source, destination_port, source_port, zone, protocol, 0};
    }
    friend bool operator==(const Tuple&, const Tuple&) = default;
};

static_assert(sizeof(Tuple<V4>) == 16);
static_assert(sizeof(Tuple<V6>) == 40);
static_assert(std::has_unique_object_representations_v<Tuple<V4>>);
static_assert(std::has_unique_object_representations_v<Tuple<V6>>);

/// The two directions of a flow.
enum class Direction : std::uint8_t { original = 0, reply = 1 };

[[nodiscard]] constexpr Direction opposite(Direction direction) {
    return direction == Direction::original ? Direction::reply : Direction::original;
}

}  // namespace noclash
