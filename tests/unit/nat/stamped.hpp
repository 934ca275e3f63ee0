// SPDX-License-Identifier: Apache-2.0
#pragma once

// TCP segments with timestamps.

#include <optional>

#include "nat/packet/timestamp_option.hpp"
#include "tests/unit/nat/pipeline_fixture.hpp"

namespace noclash::nat::test {

struct Stamp {
    std::uint32_t value = 0;
    std::uint32_t echo = 0;
    friend bool operator==(const Stamp&, const Stamp&) = default;
};

/// A segment with the timestamps option where hosts put it.
inline Bytes stamped(const Ends& ends, std::uint8_t flags, Stamp stamp) {
    Bytes packet = tcp(ends, flags);
    Bytes options{1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0};
    put32(options, 4, stamp.value);
    put32(options, 8, stamp.echo);
    insert_tcp_options(packet, options);
    return packet;
}

/// A packet's timestamps; nothing without the option. Its checksum is right, or this throws.
inline std::optional<Stamp> stamp_of(Bytes& packet) {
    const Parsed<V4> parsed = read(packet);
    const std::uint32_t at = find_timestamps(view(packet), parsed.l4_offset);
    if (at == 0) return std::nullopt;
    return Stamp{timestamp_value(view(packet), at), timestamp_echo(view(packet), at)};
}

}  // namespace noclash::nat::test
