// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace noclash::racelab {

/// Ports that netfilter may choose from: `first`, and `size` in all.
struct PortSpace {
    std::uint16_t first = 1024;
    std::uint32_t size = 64512;  ///< 1 .. 65536

    friend bool operator==(PortSpace, PortSpace) = default;
};

/// Where a source port is moved to when the rule names no ports: within its own class, so that a
/// privileged port stays one.
[[nodiscard]] constexpr PortSpace port_space_of(std::uint16_t port) {
    if (port < 512) return {1, 511};
    if (port < 1024) return {600, 424};
    return {1024, 64512};
}

/// The port that netfilter's search ended with. When none of those it tried was free, it takes the
/// last one all the same; confirming it will fail.
struct Probed {
    std::uint16_t port = 0;
    std::uint32_t tries = 0;
    bool free = false;
};

/// nf_nat_l4proto_unique_tuple() of Linux 5.0 and later: up to 128 ports in a row from a random one
/// on, then 64 from another, 32, 16 and 8; or all of them once, where there are 128 at most.
///
/// Offsets are 16-bit numbers, as in the kernel: the first 65536 % size ports are likelier than the
/// others, and a row that runs past 65535 goes on with the first port.
///
/// @param random16  gives a random 16-bit number
/// @param used      whether a port is taken
template <class Random16, class Used>
[[nodiscard]] Probed probe_ports(PortSpace space, Random16&& random16, Used&& used) {
    constexpr std::uint32_t most_in_a_row = 128;
    constexpr std::uint32_t last_row_below = 16;
    Probed result;
    std::uint32_t row = space.size < most_in_a_row ? space.size : most_in_a_row;
    for (;;) {
        std::uint16_t offset = random16();
        for (std::uint32_t i = 0; i < row; ++i, ++offset) {
            result.port = static_cast<std::uint16_t>(space.first + offset % space.size);
            ++result.tries;
            if (!used(result.port)) {
                result.free = true;
                return result;
            }
        }
        if (row >= space.size || row < last_row_below) return result;
        row /= 2;
    }
}

}  // namespace noclash::racelab
