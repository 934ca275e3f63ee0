// SPDX-License-Identifier: Apache-2.0
#pragma once

// The bits of `Flow::marks`, each with the part of noclash that sets and reads it. All eight are
// taken, and one of them twice: another bit has to find its place in `Flow::protocol_state` or in a
// word of `Flow`.

#include <cstdint>

#include "engine/flow.hpp"

namespace noclash::nat {

namespace flow_mark {

// conntrack/, as the engine reports them:
using noclash::flow_mark::assured;  // 2
using noclash::flow_mark::replied;  // 1

// limits/: what counts the flow, until it has ended or is no longer half open
inline constexpr std::uint8_t subscriber = 4;          ///< its source's flows
inline constexpr std::uint8_t half_open_source = 8;    ///< its source's half-open flows
inline constexpr std::uint8_t half_open_service = 16;  ///< its rule's half-open flows
inline constexpr std::uint8_t half_open = half_open_source | half_open_service;
inline constexpr std::uint8_t subscriber_port = 32;  ///< of a flow: its source's ports
/// The marks whose counts are taken off when the flow ends.
inline constexpr std::uint8_t counted = subscriber | subscriber_port | half_open;

// mapping/: the references of the flow
/// Marks a mapping, which no limit counts: it refers to itself.
inline constexpr std::uint8_t quarantine = 32;
/// The flow's source was translated to a mapping's outside endpoint, the reply tuple's destination.
inline constexpr std::uint8_t source_mapped = 64;
/// The flow was opened to a mapping's outside endpoint, the original tuple's destination. With both
/// bits, the flow goes from one inside endpoint to another: hairpin.
inline constexpr std::uint8_t destination_mapped = 128;

static_assert((replied ^ assured ^ subscriber ^ half_open_source ^ half_open_service ^
               subscriber_port ^ source_mapped ^ destination_mapped) == 255 &&
                  quarantine == subscriber_port,
              "each bit has one owner; one bit has two, of different kinds of records");

}  // namespace flow_mark

/// Whether a packet of a flow comes from outside.
[[nodiscard]] inline bool comes_from_outside(std::uint8_t marks, Direction direction) {
    const bool hairpin =
        (marks & flow_mark::source_mapped) != 0 && (marks & flow_mark::destination_mapped) != 0;
    const bool opened_inward = (marks & flow_mark::destination_mapped) != 0;
    return !hairpin && (direction == Direction::original) == opened_inward;
}

}  // namespace noclash::nat
