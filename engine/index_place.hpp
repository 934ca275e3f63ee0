// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>

namespace noclash {

/// Where the index shows an entry: the number of a bucket and a position in it. A flow keeps those
/// of its two tuples, so that its end costs neither a hash nor a search.
class IndexPlace {
  public:
    static constexpr unsigned position_bits = 5;

    constexpr IndexPlace() = default;
    /// @param bucket    below 2^27
    /// @param position  below 2^5
    constexpr IndexPlace(std::size_t bucket, unsigned position)
        : packed_(static_cast<std::uint32_t>(bucket << position_bits) | position) {
        assert(bucket < 1U << 27U && position < 1U << position_bits);
    }

    [[nodiscard]] constexpr std::size_t bucket() const { return packed_ >> position_bits; }
    [[nodiscard]] constexpr unsigned position() const {
        return packed_ & ((1U << position_bits) - 1U);
    }

  private:
    std::uint32_t packed_ = 0;
};

}  // namespace noclash
