// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <arpa/inet.h>

#include <array>
#include <cassert>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>

#include "engine/base/endian.hpp"

namespace noclash {

/// An IPv4 address, in network byte order.
struct V4Address {
    Be32 value;

    static constexpr V4Address from_host(std::uint32_t value) { return {Be32::from_host(value)}; }
    friend constexpr bool operator==(V4Address, V4Address) = default;
};

/// An IPv6 address, in network byte order.
struct V6Address {
    std::array<std::uint8_t, 16> bytes{};

    friend constexpr bool operator==(const V6Address&, const V6Address&) = default;
};

/// Address families. Everything above is written over one of these, so that no IPv4 code is copied
/// to make IPv6 code.
struct V4 {
    using Address = V4Address;
    static constexpr int socket_family = AF_INET;
    static constexpr unsigned address_bits = 32;
    static constexpr std::uint8_t icmp_protocol = 1;
};

struct V6 {
    using Address = V6Address;
    static constexpr int socket_family = AF_INET6;
    static constexpr unsigned address_bits = 128;
    static constexpr std::uint8_t icmp_protocol = 58;
};

/// The usual text form (RFC 4291 and RFC 5952 for IPv6).
template <class Family>
[[nodiscard]] std::string to_string(const typename Family::Address& address) {
    char text[INET6_ADDRSTRLEN] = {};
    return ::inet_ntop(Family::socket_family, &address, text, sizeof text);
}

/// Nothing when `text` is no address of this family.
template <class Family>
[[nodiscard]] std::optional<typename Family::Address> parse_address(const std::string& text) {
    typename Family::Address address;
    static_assert(sizeof address == Family::address_bits / 8);
    if (::inet_pton(Family::socket_family, text.c_str(), &address) != 1) return std::nullopt;
    return address;
}

/// True when the first `length` bits of both addresses agree; 0 <= length <= Family::address_bits.
template <class Family>
[[nodiscard]] bool same_prefix(const typename Family::Address& a, const typename Family::Address& b,
                               unsigned length) {
    assert(length <= Family::address_bits);
    if constexpr (Family::address_bits == 32) {
        const std::uint64_t different = a.value.host() ^ b.value.host();
        return different >> (32U - length) == 0;
    } else {
        const auto* left = reinterpret_cast<const std::uint8_t*>(&a);
        const auto* right = reinterpret_cast<const std::uint8_t*>(&b);
        const unsigned whole_bytes = length / 8;
        if (std::memcmp(left, right, whole_bytes) != 0) return false;
        const unsigned rest = length % 8;
        if (rest == 0) return true;
        return ((left[whole_bytes] ^ right[whole_bytes]) >> (8 - rest)) == 0;
    }
}

/// A network prefix such as 10.0.0.0/8.
template <class Family>
struct Prefix {
    typename Family::Address network;
    std::uint8_t length = 0;

    [[nodiscard]] bool contains(const typename Family::Address& address) const {
        return same_prefix<Family>(network, address, length);
    }
    friend bool operator==(const Prefix&, const Prefix&) = default;
};

}  // namespace noclash
