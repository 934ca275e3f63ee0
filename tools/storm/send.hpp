// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "tools/storm/frame.hpp"
#include "tools/storm/sockets.hpp"

namespace noclash::tools {

/// How the two threads of the storm keep time.
enum class Stride : std::uint8_t {
    in_step,       ///< both meet before each connection: worst case of a load balancer
    free_running,  ///< each by its own schedule
};

struct SendOptions {
    std::string interface;
    MacAddress gateway_mac{};
    std::uint8_t protocol = 0;
    V4Address destination;
    std::uint16_t destination_port = 0;
    V4Address first_source;      ///< the others follow it
    std::uint32_t sources = 16;  ///< even, unless shared: each thread has its own half
    std::uint16_t first_source_port = 20000;
    std::uint32_t connections = 40000;
    std::uint32_t rate_cps = 10000;  ///< connections per second, both threads together
    std::uint32_t burst_steps = 64;  ///< that follow one another without a pause
    Stride stride = Stride::in_step;
    Sockets sockets = Sockets::one_each;
};

struct SendResult {
    std::uint64_t sent = 0;
    std::uint64_t retries = 0;    ///< the device had no room
    std::int64_t started_ns = 0;  ///< on the machine's monotonic clock
    std::int64_t ended_ns = 0;
};

/// The connection that a thread opens at a step; ids count 0 to connections-1. Both threads use the
/// same source port at the same step, from different addresses, and no tuple comes twice. With
/// shared sockets they use the same address, too: what a thread sends is one of a socket's two
/// queries, and a tuple comes once from each thread.
[[nodiscard]] Probe storm_probe(const SendOptions& options, std::uint32_t thread,
                                std::uint32_t step);

/// The same by its id.
[[nodiscard]] Probe storm_probe(const SendOptions& options, std::uint32_t id);

/// How many connections, or queries, the addresses and ports of `options` suffice for.
[[nodiscard]] std::uint64_t storm_capacity(const SendOptions& options);

/// Sends the storm: what a load balancer does that opens connections to one service from
/// several addresses with the same sequence of source ports; or what resolvers do.
[[nodiscard]] SendResult send_storm(const SendOptions& options);

struct FillOptions {
    std::string interface;
    MacAddress gateway_mac{};
    std::uint8_t protocol = 0;
    V4Address first_destination;
    std::uint32_t destinations = 1;
    std::uint16_t destination_port = 0;
    V4Address first_source;
    std::uint32_t sources = 16;
    std::uint16_t first_source_port = 1024;
    std::uint32_t connections = 1'000'000;
    std::uint32_t rate_cps = 50'000;
};

[[nodiscard]] Probe fill_probe(const FillOptions& options, std::uint32_t index);
[[nodiscard]] std::uint64_t fill_capacity(const FillOptions& options);

/// Opens many connections from one thread, to fill a gateway's table.
[[nodiscard]] SendResult send_fill(const FillOptions& options);

}  // namespace noclash::tools
