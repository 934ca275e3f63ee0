// SPDX-License-Identifier: Apache-2.0
#pragma once

// CRC32c, the checksum of SCTP (RFC 9260, appendix A), and its update when a few bytes change.
//
// A CRC is linear: that of a changed message is that of the message, exclusive-or that of the
// change without the CRC's own initial and final inversion. The change is zeros but for a few
// bytes, and zeros behind them only multiply by a power of x, which is looked up. So a message that
// was damaged before stays so, by the same difference, and its length costs nothing.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace noclash::nat::crc32c {

namespace detail {

/// Polynomials over GF(2) of degree below 32, the highest power in the lowest bit, modulo this one.
inline constexpr std::uint32_t modulus = 0x82f63b78;
inline constexpr std::uint32_t one = 1U << 31U;
inline constexpr std::uint32_t x_to_8 = one >> 8U;

[[nodiscard]] constexpr std::uint32_t times_x(std::uint32_t a) {
    return (a >> 1U) ^ (modulus & (0U - (a & 1U)));
}
[[nodiscard]] constexpr std::uint32_t times(std::uint32_t a, std::uint32_t b) {
    std::uint32_t product = 0;
    for (std::uint32_t bit = one; bit != 0; bit >>= 1U) {
        product ^= b & (0U - static_cast<std::uint32_t>((a & bit) != 0));
        b = times_x(b);
    }
    return product;
}

/// The remainder after one byte.
inline constexpr auto byte_table = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t byte = 0; byte < table.size(); ++byte) {
        std::uint32_t rest = byte;
        for (int bit = 0; bit < 8; ++bit)
            rest = times_x(rest);
        table[byte] = rest;
    }
    return table;
}();

/// `zeros[i][n]`: what n * 16^i bytes of zeros multiply by.
inline constexpr auto zeros = [] {
    std::array<std::array<std::uint32_t, 16>, 4> table{};
    std::uint32_t step = x_to_8;
    for (auto& row : table) {
        row[0] = one;
        for (std::size_t n = 1; n < row.size(); ++n)
            row[n] = times(row[n - 1], step);
        step = times(row[15], step);
    }
    return table;
}();

[[nodiscard]] constexpr std::uint32_t remainder(std::uint32_t start,
                                                std::span<const std::uint8_t> bytes) {
    for (const std::uint8_t byte : bytes)
        start = (start >> 8U) ^ byte_table[(start ^ byte) & 0xffU];
    return start;
}

}  // namespace detail

/// The CRC of a message in several pieces: begin with `start`, `add` them in order, `finish`.
inline constexpr std::uint32_t start = ~0U;
[[nodiscard]] constexpr std::uint32_t add(std::uint32_t crc, std::span<const std::uint8_t> bytes) {
    return detail::remainder(crc, bytes);
}
[[nodiscard]] constexpr std::uint32_t finish(std::uint32_t crc) {
    return ~crc;
}

/// The change of a CRC when `difference`, the exclusive-or of old and new bytes, has
/// `bytes_behind` bytes of the message behind it.
[[nodiscard]] constexpr std::uint32_t change(std::span<const std::uint8_t> difference,
                                             std::uint16_t bytes_behind) {
    std::uint32_t crc = detail::remainder(0, difference);
    for (std::size_t i = 0; i < detail::zeros.size(); ++i) {
        const std::size_t digit = bytes_behind >> (4 * i) & 15U;
        if (digit != 0) crc = detail::times(crc, detail::zeros[i][digit]);
    }
    return crc;
}

/// As SCTP sends it: the lowest byte first.
using Bytes = std::array<std::uint8_t, 4>;
[[nodiscard]] constexpr Bytes to_wire(std::uint32_t crc) {
    return {static_cast<std::uint8_t>(crc), static_cast<std::uint8_t>(crc >> 8U),
            static_cast<std::uint8_t>(crc >> 16U), static_cast<std::uint8_t>(crc >> 24U)};
}
[[nodiscard]] constexpr std::uint32_t from_wire(const Bytes& bytes) {
    return bytes[0] | std::uint32_t{bytes[1]} << 8U | std::uint32_t{bytes[2]} << 16U |
           std::uint32_t{bytes[3]} << 24U;
}

}  // namespace noclash::nat::crc32c
