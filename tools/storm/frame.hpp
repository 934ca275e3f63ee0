// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "engine/base/address.hpp"

namespace noclash::tools {

using MacAddress = std::array<std::uint8_t, 6>;

/// One attempt to open a connection. `id` tells it from all others after its tuple was translated:
/// a TCP SYN carries it as its sequence number, a UDP datagram as its payload.
struct Probe {
    std::uint8_t protocol = 0;
    V4Address source;
    V4Address destination;
    std::uint16_t source_port = 0;
    std::uint16_t destination_port = 0;
    std::uint32_t id = 0;
};

/// A probe as it arrived.
struct Arrival {
    Probe probe;
    bool checksums_good = false;
};

inline constexpr std::size_t max_frame_bytes = 64;
using FrameBuffer = std::array<std::uint8_t, max_frame_bytes>;

/// Writes the Ethernet frame of a probe, checksums included.
/// @returns its length in bytes.
[[nodiscard]] std::size_t write_frame(const Probe& probe, const MacAddress& from,
                                      const MacAddress& to, FrameBuffer& frame);

/// Reads a frame; nothing when it is no probe (not IPv4, a fragment, a SYN or datagram of
/// another size). Checksums are only reported, so that a wrong one can be counted.
[[nodiscard]] std::optional<Arrival> read_frame(std::span<const std::uint8_t> frame);

}  // namespace noclash::tools
