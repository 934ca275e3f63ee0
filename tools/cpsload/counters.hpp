// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include "tools/cpsload/histogram.hpp"

namespace noclash::cpsload {

/// Counters of all events. They count connections unless said otherwise. Written by one thread.
struct Counters {
    std::uint64_t opened = 0;       ///< first packet sent
    std::uint64_t delivered = 0;    ///< first packet arrived at the server, for the first time
    std::uint64_t established = 0;  ///< and was answered
    std::uint64_t held = 0;         ///< established for good, and left open until they are closed
    std::uint64_t answered = 0;     ///< request echoed unchanged; of DNS: both answers
    std::uint64_t completed = 0;    ///< did all that its kind does, seen by both sides

    // Failures.
    std::uint64_t lost = 0;           ///< given up after all retransmissions
    std::uint64_t lost_openings = 0;  ///< of these: nothing ever arrived at the server
    std::uint64_t reset = 0;          ///< ended by a RST
    std::uint64_t duplicates = 0;     ///< packets that arrived more often than they were sent
    std::uint64_t mistranslated = 0;  ///< packets: to or from another tuple than their connection's
    std::uint64_t reused_tuples = 0;  ///< arrived with the tuple of another live connection
    std::uint64_t wrong_answers = 0;  ///< packets of one connection that came to another
    std::uint64_t corrupted = 0;      ///< packets with another payload or position than was sent
    std::uint64_t bad_checksums = 0;  ///< packets
    std::uint64_t split_pairs = 0;    ///< of DNS queries: one socket, and two tuples at the server
    std::uint64_t strays = 0;         ///< packets of no live connection

    // Other events.
    std::uint64_t retransmissions = 0;   ///< packets
    std::uint64_t troubled = 0;          ///< lost, reset, or with a retransmission
    std::uint64_t delayed_openings = 0;  ///< whose first packet had to be repeated
    std::uint64_t icmp = 0;              ///< packets

    Histogram setup_ns;  ///< first packet to its answer
    Histogram whole_ns;  ///< first packet to the last answer

    /// Copies of the gateway's making. A packet that was sent again may arrive twice, the second
    /// time after its connection's end; any other stray is a copy.
    [[nodiscard]] std::uint64_t duplicated() const {
        return duplicates + strays - std::min(strays, retransmissions);
    }
    /// Connections that came to their end, but with packets that had to be repeated.
    [[nodiscard]] std::uint64_t delayed() const {
        return troubled - std::min(troubled, lost + reset);
    }
    /// Nothing was lost, duplicated, mistranslated or damaged.
    [[nodiscard]] bool clean() const {
        return lost == 0 && reset == 0 && duplicated() == 0 && mistranslated == 0 &&
               reused_tuples == 0 && wrong_answers == 0 && corrupted == 0 && bad_checksums == 0 &&
               split_pairs == 0;
    }
};

}  // namespace noclash::cpsload
