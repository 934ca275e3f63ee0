// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/base/address.hpp"

namespace noclash::cpsload {

/// Nanoseconds on the tester's own clock.
using Time = std::uint64_t;
inline constexpr Time second = 1'000'000'000;
inline constexpr Time millisecond = 1'000'000;

[[nodiscard]] inline double seconds(Time time) {
    return static_cast<double>(time) / static_cast<double>(second);
}

/// The life of a connection.
enum class Kind : std::uint8_t {
    crr,   ///< handshake, request, response, close
    syn,   ///< handshake, and no more: it stays open in the gateway
    hold,  ///< handshake, and waits for `Client::ask` and `Client::close`
    udp,   ///< a datagram and its echo
    dns,   ///< an A and an AAAA query from one socket in the same instant, and their answers
};
inline constexpr std::size_t kinds = 5;

inline constexpr std::array<std::string_view, kinds> kind_names{"tcp-crr", "tcp-syn", "tcp-hold",
                                                                "udp", "dns"};

[[nodiscard]] constexpr bool is_tcp(Kind kind) {
    return kind == Kind::crr || kind == Kind::syn || kind == Kind::hold;
}

/// An address and port that clients connect to, or that servers are reached at.
struct Endpoint {
    V4Address address;
    std::uint16_t port = 0;  ///< of a backend, 0: any

    friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

/// How the source ports of the addresses follow one another.
enum class PortOrder : std::uint8_t {
    step,      ///< all addresses use the same port at the same time: a load balancer's worst case
    shuffled,  ///< each address has an order of its own
};

/// The connections of one kind.
struct Traffic {
    Kind kind = Kind::crr;
    std::uint32_t weight = 1;  ///< share of the connections, among all kinds
    std::vector<Endpoint> services;
};

/// The settings that client and server share. Checked by `read_options`.
struct Settings {
    std::vector<Traffic> traffic;
    std::vector<Endpoint> backends;  ///< where connections may arrive; empty: anywhere
    V4Address first_source;
    std::uint32_t sources = 1;
    std::uint16_t first_port = 1024;
    std::uint16_t last_port = 65535;
    PortOrder order = PortOrder::step;
    std::uint32_t payload_bytes = 32;  ///< of requests and responses over TCP, and of UDP
    std::uint32_t in_flight = 65536;   ///< connections at a time, at most
    Time rto = second;                 ///< of the first retransmission; doubles with each
    std::uint32_t retries = 3;
};

inline constexpr std::uint32_t least_payload = 8;  // the identity of the connection
inline constexpr std::uint32_t most_payload = 1400;
inline constexpr std::uint32_t most_retries = 6;
inline constexpr std::uint32_t most_in_flight = 1U << 22U;

}  // namespace noclash::cpsload
