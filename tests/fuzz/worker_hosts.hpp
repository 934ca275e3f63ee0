// SPDX-License-Identifier: Apache-2.0
#pragma once

// The hosts on both sides of the gateway that worker_bed.hpp draws: their addresses.

#include <cstdint>

#include "nat/packet/headers.hpp"
#include "tests/fuzz/worker_bed.hpp"

namespace noclash::dpdk::test {

constexpr V4Address address(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
    return V4Address::from_host(std::uint32_t{a} << 24U | std::uint32_t{b} << 16U |
                                std::uint32_t{c} << 8U | d);
}
constexpr bool lies_in(V4Address host, V4Address net, unsigned length) {
    return (host.value.host() ^ net.value.host()) >> (32 - length) == 0;
}

/// The gateway's own address on a port.
inline V4Address own(std::uint16_t port) {
    return port == inside ? address(10, 1, 0, 1) : address(203, 0, 113, 1);
}

/// A host's address, chosen by a byte: on the inside, or beyond the outside.
inline V4Address host_of(std::uint16_t port, std::uint8_t choice) {
    if (port == inside) {
        if (choice < 8) return address(198, 51, 100, choice);
        return choice == 8 ? address(10, 1, 0, 50) : address(10, 1, 0, choice);
    }
    if (choice < 32) return address(203, 0, 113, static_cast<std::uint8_t>(choice * 8));
    return choice % 2 == 0 ? address(192, 0, 2, choice) : address(203, 0, 113, choice);
}

inline nat::MacAddress mac_of(std::uint16_t port, V4Address host) {
    const std::uint32_t number = host.value.host();
    return {{2, 0, static_cast<std::uint8_t>(port), static_cast<std::uint8_t>(number >> 16U),
             static_cast<std::uint8_t>(number >> 8U), static_cast<std::uint8_t>(number)}};
}

}  // namespace noclash::dpdk::test
