// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>

namespace noclash {

/// An integer in network byte order. Byte order is part of the type, so a forgotten swap does not
/// compile: reading takes `host()`, and making one takes `from_host()`.
template <std::unsigned_integral T>
class BigEndian {
  public:
    constexpr BigEndian() = default;

    static constexpr BigEndian from_host(T value) { return BigEndian(swap(value)); }
    /// Takes the bytes as they lie in memory.
    static constexpr BigEndian from_wire(T raw) { return BigEndian(raw); }

    [[nodiscard]] constexpr T host() const { return swap(raw_); }
    /// The bytes as they lie in memory; what one's-complement sums are computed over.
    [[nodiscard]] constexpr T wire() const { return raw_; }

    friend constexpr bool operator==(BigEndian, BigEndian) = default;

  private:
    explicit constexpr BigEndian(T raw) : raw_(raw) {}

    static constexpr T swap(T value) {
        if constexpr (std::endian::native == std::endian::big || sizeof(T) == 1) {
            return value;
        } else if constexpr (sizeof(T) == 2) {
            return __builtin_bswap16(value);
        } else if constexpr (sizeof(T) == 4) {
            return __builtin_bswap32(value);
        } else {
            return __builtin_bswap64(value);
        }
    }

    T raw_ = 0;
};

using Be16 = BigEndian<std::uint16_t>;
using Be32 = BigEndian<std::uint32_t>;

}  // namespace noclash
