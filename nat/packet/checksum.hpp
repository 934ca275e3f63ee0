// SPDX-License-Identifier: Apache-2.0
#pragma once

// One's-complement checksums (RFC 1071) and their incremental update (RFC 1624).
//
// Sums are taken over 16-bit words as they lie in memory: the result is the same whatever the byte
// order (RFC 1071, section 2, B), so nothing is swapped. Sums are kept in 64 bits and folded once;
// 2^16 is 1 modulo 65535, so wider words may be added as they are.

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "engine/base/address.hpp"
#include "engine/base/endian.hpp"

namespace noclash::nat::checksum {

/// The end-around sum of two words: modulo 2^64 - 1, and so modulo 65535; 0 of zeros alone.
[[nodiscard]] constexpr std::uint64_t add_around(std::uint64_t a, std::uint64_t b) {
    const std::uint64_t total = a + b;
    return total + (total < b ? 1U : 0U);
}

/// As `sum`, below 64 bytes without a call.
[[nodiscard]] inline std::uint64_t sum_few(const std::uint8_t* at, std::size_t left,
                                           std::uint64_t total) {
    const auto add = [&]<class Word>(Word word) {
        std::memcpy(&word, at, sizeof word);
        total = add_around(total, word);
        at += sizeof word;
    };
    for (; left >= sizeof(std::uint64_t); left -= sizeof(std::uint64_t))
        add(std::uint64_t{});
    if ((left & 4U) != 0) add(std::uint32_t{});
    if ((left & 2U) != 0) add(std::uint16_t{});
    if ((left & 1U) != 0) add(std::uint8_t{});
    return (total & 0xffff'ffffU) + (total >> 32U);
}

/// As `sum`, for more: four sums, none of which waits for another.
[[nodiscard, gnu::noinline]] inline std::uint64_t sum_many(const std::uint8_t* at, std::size_t left,
                                                           std::uint64_t a) {
    std::uint64_t b = 0, c = 0, d = 0;
    for (constexpr std::size_t step = 32; left >= step; at += step, left -= step) {
        const auto word = [at](std::size_t offset) {
            std::uint64_t value;
            std::memcpy(&value, at + offset, sizeof value);
            return value;
        };
        a = add_around(a, word(0));
        b = add_around(b, word(8));
        c = add_around(c, word(16));
        d = add_around(d, word(24));
    }
    return sum_few(at, left, add_around(add_around(a, b), add_around(c, d)));
}

/// The sum of `bytes`, a last odd byte padded with zero, and `total`: below 2^33, so that sums may
/// be added up.
[[nodiscard]] inline std::uint64_t sum(std::span<const std::uint8_t> bytes,
                                       std::uint64_t total = 0) {
    return bytes.size() < 64 ? sum_few(bytes.data(), bytes.size(), total)
                             : sum_many(bytes.data(), bytes.size(), total);
}

/// As `sum`, of so few bytes that a loop would cost more than what it adds up.
template <std::size_t size>
[[nodiscard]] std::uint64_t sum_of(const std::uint8_t* bytes) {
    static_assert(size % sizeof(std::uint32_t) == 0 && size <= 64);
    std::array<std::uint32_t, size / sizeof(std::uint32_t)> words;
    std::memcpy(words.data(), bytes, size);
    std::uint64_t total = 0;
    for (const std::uint32_t word : words)
        total += word;
    return total;
}

/// 0 for 0 alone: other multiples of 65535 become 0xffff. Adding a word to itself with its halves
/// swapped leaves the end-around sum of the halves in the upper one, carry included.
[[nodiscard]] constexpr std::uint16_t fold(std::uint64_t total) {
    const auto half = static_cast<std::uint32_t>((total + std::rotl(total, 32)) >> 32);
    return static_cast<std::uint16_t>((half + std::rotl(half, 16)) >> 16);
}

/// The checksum to put into a packet whose words, the checksum taken as 0, sum up to `total`.
[[nodiscard]] constexpr Be16 finish(std::uint64_t total) {
    return Be16::from_wire(static_cast<std::uint16_t>(~fold(total)));
}

/// Whether words that include their checksum, and are not all zeros, sum up to what they should.
[[nodiscard]] constexpr bool good_nonzero(std::uint64_t total) {
    return total % 0xffff == 0;
}

/// As `good_nonzero`, of any words: all zeros are no good.
[[nodiscard]] constexpr bool good(std::uint64_t total) {
    return total != 0 && good_nonzero(total);
}

/// The sum of the pseudo-header of TCP and UDP (RFC 9293, section 3.1; RFC 8200, section 8.1).
/// @param length  of the segment, at most 2^32 - 256
template <class Family>
[[nodiscard]] std::uint64_t pseudo_header(const typename Family::Address& source,
                                          const typename Family::Address& destination,
                                          std::uint8_t protocol, std::uint32_t length) {
    const auto sum_up = [](const typename Family::Address& address) {
        return sum_of<sizeof address>(reinterpret_cast<const std::uint8_t*>(&address));
    };
    return sum_up(source) + sum_up(destination) + Be32::from_host(length + protocol).wire();
}

/// One's-complement zero in its other form.
[[nodiscard]] constexpr Be16 nonzero(Be16 checksum) {
    return checksum.wire() == 0 ? Be16::from_wire(0xffff) : checksum;
}

/// Collects changes to 16-bit words at even offsets, then updates the checksum over them by
/// RFC 1624, equation 3. A checksum that was wrong stays wrong by the same difference.
class Delta {
  public:
    template <class T>
    constexpr void replace(const T& from, const T& to) {
        // Wider words do as well as those of 16 bits, and are fewer.
        using Word = std::conditional_t<sizeof(T) % 4 == 0, std::uint32_t, std::uint16_t>;
        // NOLINTNEXTLINE(bugprone-sizeof-expression): a word may be what is replaced
        using Words = std::array<Word, sizeof(T) / sizeof(Word)>;
        static_assert(sizeof(T) % sizeof(Word) == 0);
        const auto before = std::bit_cast<Words>(from);
        const auto after = std::bit_cast<Words>(to);
        for (std::size_t i = 0; i < before.size(); ++i) {
            total_ += static_cast<Word>(~before[i]);
            total_ += after[i];
        }
    }

    /// The change by one hop less: the time to live is the first byte of its word.
    [[nodiscard]] static constexpr Delta of_hop() {
        Delta delta;
        delta.replace(std::array<std::uint8_t, 2>{1, 0}, std::array<std::uint8_t, 2>{0, 0});
        return delta;
    }

    constexpr void add(const Delta& other) { total_ += other.total_; }
    /// In one word, which is 0 only when nothing was collected.
    [[nodiscard]] constexpr std::uint16_t folded() const { return fold(total_); }

    [[nodiscard]] constexpr Be16 apply(Be16 checksum) const {
        return finish(static_cast<std::uint16_t>(~checksum.wire()) + total_);
    }

    /// As `apply`, with 0xffff, the other one's-complement zero, in place of 0: for UDP, where 0
    /// means "no checksum" (RFC 768), and for echo replies, which may be all zeros: then 0xffff is
    /// right and 0 is not, which equation 3 cannot tell.
    [[nodiscard]] constexpr Be16 apply_nonzero(Be16 checksum) const {
        return nonzero(apply(checksum));
    }

  private:
    std::uint64_t total_ = 0;
};

/// The change of the sum under a checksum when words change: a `Delta`, folded, to be kept and
/// applied to many packets. Its inverted word takes it back.
class SumChange {
  public:
    constexpr SumChange() = default;
    constexpr explicit SumChange(const Delta& delta) : change_(delta.folded()) {}
    constexpr explicit SumChange(std::uint16_t word) : change_(word) {}
    [[nodiscard]] constexpr std::uint16_t word() const { return change_; }

    /// @param more  another change, to be applied with it
    [[nodiscard]] constexpr Be16 apply(Be16 checksum, std::uint32_t more = 0) const {
        // The inverted checksum, and 0xffff, which is one's-complement zero: so the sum is not 0,
        // and of a checksum's two zeros it leads to the one that `Delta` does.
        const std::uint32_t total = 0x1fffeU - checksum.wire() + change_ + more;
        return Be16::from_wire(static_cast<std::uint16_t>(~((total + std::rotl(total, 16)) >> 16)));
    }
    /// As `Delta::apply_nonzero`.
    [[nodiscard]] constexpr Be16 apply_nonzero(Be16 checksum) const {
        return nonzero(apply(checksum));
    }

  private:
    std::uint16_t change_ = 0;
};

}  // namespace noclash::nat::checksum
