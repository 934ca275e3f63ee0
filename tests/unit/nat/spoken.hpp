// SPDX-License-Identifier: Apache-2.0
#pragma once

// TCP segments with numbers, through the pipeline.

#include <optional>

#include "tests/unit/nat/stamped.hpp"

namespace noclash::nat::test {

struct Spoken {
    std::uint8_t flags = 0;
    std::uint32_t sequence = 0;
    std::uint32_t acknowledgment = 0;
    std::size_t length = 0;        ///< bytes of payload
    std::optional<Stamp> stamp{};  ///< a timestamps option
};

inline Bytes segment(const Ends& ends, const Spoken& spoken) {
    Bytes packet = spoken.stamp ? stamped(ends, spoken.flags, *spoken.stamp)
                                : tcp(ends, spoken.flags, Bytes(spoken.length));
    const std::size_t l4 = l4_offset(packet);
    put32(packet, l4 + 4, spoken.sequence);
    put32(packet, l4 + 8, spoken.acknowledgment);
    fix_l4_checksum(packet);
    return packet;
}

}  // namespace noclash::nat::test
