// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/address.hpp"
#include "engine/base/huge_mapping.hpp"

namespace noclash::dpdk {

/// Longest-prefix match for IPv4 (DIR-24-8: Gupta, Lin and McKeown, "Routing Lookups in Hardware at
/// Memory Access Speeds", 1998). The first 2^24 places stand for the prefixes of 24 bits. Such a
/// place holds the value of the longest prefix that covers it; where longer prefixes lie inside, it
/// holds the place where a block of 256 begins, which stand for single addresses. So a look-up
/// takes one load, or two. The table is painted once, shorter prefixes first, and never changes;
/// any thread may look up.
class PrefixTable {
  public:
    struct Entry {
        Prefix<V4> prefix;
        std::uint32_t value;  ///< from 1 to `most_value`
    };
    static constexpr std::uint32_t none = 0;  ///< the value where no prefix matches
    static constexpr std::uint32_t most_value = (1U << 31U) - 1;

    /// Of entries with the same prefix, the last one counts.
    /// @throws std::bad_alloc
    explicit PrefixTable(std::vector<Entry> entries);

    /// The value of the longest prefix that `address` lies in.
    [[nodiscard, gnu::always_inline]] std::uint32_t find(const V4Address& address) const {
        const std::uint32_t host = address.value.host();
        std::uint32_t value = places_[host >> 8U];
        if ((value & block) != 0) [[unlikely]]
            value = places_[(value & ~block) + (host & 0xffU)];
        return value;
    }

    /// What look-ups read.
    [[nodiscard]] std::span<const std::byte> memory() const {
        return {reinterpret_cast<const std::byte*>(places_), memory_.bytes()};
    }

  private:
    static constexpr std::uint32_t block = 1U << 31U;  ///< the bit of a place that refers to one
    static constexpr std::uint32_t direct_places = 1U << 24U;
    static constexpr std::uint32_t block_places = 1U << 8U;

    static std::size_t count_blocks(std::span<const Entry> entries);
    void paint(const Entry& entry);

    HugeMapping memory_;
    std::uint32_t* places_;
    std::uint32_t end_ = direct_places;  ///< of the blocks that are in use
};

}  // namespace noclash::dpdk
