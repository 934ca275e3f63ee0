// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <span>

namespace noclash {

/// SipHash-2-4 (Aumasson and Bernstein, 2012): an observer of outputs who has no key learns
/// nothing about other outputs. Some 20 ns: for once a flow, where strangers see what it decides.
[[nodiscard]] inline std::uint64_t siphash(const std::array<std::uint64_t, 2>& key,
                                           std::span<const std::uint8_t> bytes) {
    std::uint64_t v0 = key[0] ^ 0x736f'6d65'7073'6575ULL;
    std::uint64_t v1 = key[1] ^ 0x646f'7261'6e64'6f6dULL;
    std::uint64_t v2 = key[0] ^ 0x6c79'6765'6e65'7261ULL;
    std::uint64_t v3 = key[1] ^ 0x7465'6462'7974'6573ULL;
    const auto round = [&] {
        v0 += v1;
        v2 += v3;
        v1 = std::rotl(v1, 13) ^ v0;
        v3 = std::rotl(v3, 16) ^ v2;
        v0 = std::rotl(v0, 32);
        v2 += v1;
        v0 += v3;
        v1 = std::rotl(v1, 17) ^ v2;
        v3 = std::rotl(v3, 21) ^ v0;
        v2 = std::rotl(v2, 32);
    };
    const auto absorb = [&](std::uint64_t word) {
        v3 ^= word;
        round();
        round();
        v0 ^= word;
    };
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        word |= std::uint64_t{bytes[i]} << (8 * (i % 8));
        if (i % 8 != 7) continue;
        absorb(word);
        word = 0;
    }
    absorb(word | std::uint64_t{bytes.size()} << 56U);
    v2 ^= 0xff;
    for (int i = 0; i < 4; ++i)
        round();
    return v0 ^ v1 ^ v2 ^ v3;
}

}  // namespace noclash
