// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace noclash::nat {

/// Remembers the ends of connections that the gateway has reset lately, so that whatever such an
/// end still sends, a challenge ACK before all, is answered by an exact RST (`build_tcp_reset`):
/// its flow is gone, and the segment would be dropped. Shared by all workers.
///
/// An end is the hash of the tuple that its segments have. Each has one place in a table, whose
/// former end it takes: nothing is searched, and the bound costs answers when more than
/// `places` ends are reset within a round trip, of which most took their first RST. That another
/// tuple has the same 64 bits does no harm: it has no flow either, and a segment without a flow has
/// earned a RST.
class ResetEnds {
  public:
    static constexpr std::size_t places = 1U << 16;   ///< 512 KiB
    static constexpr std::int16_t remembered_s = 60;  ///< so long is an end remembered

    ResetEnds() : places_(places) {}

    /// Any thread. @param hash  of the tuple of the end's segments, as the flow table hashes it
    void note(std::uint64_t hash, std::uint64_t now_ms) {
        place_of(hash).store((hash & ~low_bits) | seconds(now_ms), std::memory_order_relaxed);
    }
    /// Any thread. A worker sees what was noted before the segment that its packet answers was
    /// sent.
    [[nodiscard]] bool has(std::uint64_t hash, std::uint64_t now_ms) const {
        const std::uint64_t noted = places_[hash & low_bits].load(std::memory_order_relaxed);
        // The clock of a worker's round may be a little behind that of `note`.
        const auto age_s = static_cast<std::int16_t>(seconds(now_ms) - (noted & low_bits));
        return ((noted ^ hash) & ~low_bits) == 0 && age_s <= remembered_s && age_s >= -remembered_s;
    }

  private:
    /// The place stands for the hash's low bits, so the word has room for the time in theirs.
    static constexpr std::uint64_t low_bits = places - 1;
    static_assert(low_bits == 0xffff, "as many bits as an int16_t has");

    [[nodiscard]] static std::uint64_t seconds(std::uint64_t now_ms) {
        return now_ms / 1000 & low_bits;
    }
    [[nodiscard]] std::atomic<std::uint64_t>& place_of(std::uint64_t hash) {
        return places_[hash & low_bits];
    }

    std::vector<std::atomic<std::uint64_t>> places_;
};

}  // namespace noclash::nat
