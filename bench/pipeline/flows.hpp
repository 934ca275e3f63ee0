// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "engine/tuple.hpp"
#include "nat/packet/headers.hpp"

namespace noclash::bench {

/// Who talks to whom: 64 connections of each client, to servers from 203.0.0.0 on.
struct Flows {
    std::uint8_t protocol = nat::ip_protocol::tcp;
    std::uint32_t servers = 1024;  ///< 1 .. 65,536; one makes a crowded destination
    std::uint32_t apart = 1;       ///< from a server's address to the next; odd, 255 at most

    static constexpr std::uint32_t of_a_client = 64;
    static constexpr std::uint32_t most = (1U << 24U) * of_a_client;  ///< clients are in 10/8

    /// The tuple of flow `number` as its client sends it; no two are equal.
    [[nodiscard]] Tuple<V4> original(std::uint32_t number) const {
        const bool echo = protocol == nat::ip_protocol::icmp;
        const auto port = static_cast<std::uint16_t>(32768U + number % of_a_client);
        return {V4Address::from_host(0x0a000000U + number / of_a_client),
                V4Address::from_host(0xcb000000U + number * 0x9e3779b1U % servers * apart),
                Be16::from_host(port),
                Be16::from_host(echo ? 0 : 443),
                0,
                protocol,
                0};
    }
};

/// The side that a packet comes from, and the port of the gateway it arrives at.
enum class Side : std::uint8_t { inside = 0, outside = 1 };

[[nodiscard]] constexpr Side other(Side side) {
    return side == Side::inside ? Side::outside : Side::inside;
}
[[nodiscard]] constexpr std::uint16_t port_of(Side side) {
    return static_cast<std::uint16_t>(side);
}

}  // namespace noclash::bench
