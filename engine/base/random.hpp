// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cassert>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

namespace noclash {

/// Fills `bytes` with what nobody outside can predict: OpenSSL's generator (AES-256 in counter
/// mode, NIST SP 800-90A), one for each thread, seeded by the kernel and again every few minutes.
/// In bulk it takes a fifth of the time that `getrandom(2)` does.
/// @throws std::runtime_error when it has no entropy to begin with
void random_bytes(void* bytes, std::size_t size);

/// A number in [0, first) and one in [0, second), each pair as likely as any other, from one word
/// (Brackett-Rozinsky and Lemire, "Batched ranged random integer generation", 2024). It is Lemire's
/// draw of one number below first * second, its quotient and remainder by `second` taken apart
/// before they are put together: with x * first = a * 2^bits + r and r * second = b * 2^bits + s,
/// x * first * second = (a * second + b) * 2^bits + s. So the test of s is that draw's, too, and it
/// refuses no more than one word in 2^bits / (first * second).
/// @param first, second  at least 1; their product at most 2^bits
/// @param word  uniform, as all that `next` gives in its place
template <std::unsigned_integral Word, class Next>
[[nodiscard]] constexpr std::pair<Word, Word> two_below(Word first, Word second, Word word,
                                                        Next&& next) {
    static_assert(sizeof(Word) <= sizeof(std::uint32_t));
    constexpr unsigned bits = std::numeric_limits<Word>::digits;
    const std::uint64_t pairs = std::uint64_t{first} * second;
    assert(pairs >= 1 && pairs <= std::uint64_t{1} << bits);
    for (;; word = next()) {
        const std::uint64_t a = std::uint64_t{word} * first;
        const std::uint64_t b = std::uint64_t{static_cast<Word>(a)} * second;
        const auto rest = static_cast<Word>(b);
        if (rest >= pairs || rest >= (std::uint64_t{1} << bits) % pairs) [[likely]]
            return {static_cast<Word>(a >> bits), static_cast<Word>(b >> bits)};
    }
}

/// Random numbers that nobody outside can predict, made in bulk. One worker's own.
class RandomBuffer {
  public:
    RandomBuffer() { refill(); }

    /// Uniform in [0, bound), without modulo bias (Lemire, "Fast random integer generation in an
    /// interval", 2019). 1 <= bound.
    [[nodiscard]] std::uint32_t below(std::uint32_t bound) {
        assert(bound >= 1);
        std::uint64_t product = std::uint64_t{next()} * bound;
        if (static_cast<std::uint32_t>(product) < bound) {
            const std::uint32_t threshold = -bound % bound;
            while (static_cast<std::uint32_t>(product) < threshold)
                product = std::uint64_t{next()} * bound;
        }
        return static_cast<std::uint32_t>(product >> 32U);
    }

    /// As `below(first)` and `below(second)`, but mostly of one word.
    [[nodiscard]] std::pair<std::uint32_t, std::uint32_t> below(std::uint32_t first,
                                                                std::uint32_t second) {
        constexpr std::uint64_t most_pairs = 1U << 26U;  // one word in 64 is refused, at worst
        if (std::uint64_t{first} * second > most_pairs) [[unlikely]]
            return {below(first), below(second)};
        return two_below(first, second, next(), [this] { return next_of_refused(); });
    }

    /// Called between bursts, a little at a time, so that no packet waits for more than that.
    void top_up() {
        if (used_ < slice) return;
        used_ -= slice;
        random_bytes(&buffer_[used_], slice * sizeof buffer_[0]);
    }

  private:
    // By 16 KiB a byte costs 1 cycle, by 4 KiB 3: each call has its price. It takes some 8 us, as
    // 4 KiB of the kernel's do.
    static constexpr std::size_t slice = 4096;
    static constexpr std::size_t words = 2 * slice;

    std::uint32_t next() {
        if (used_ == words) [[unlikely]]
            refill();
        const std::uint32_t word = buffer_[used_];
        buffer_[used_++] = 0;  // what was used once must not be readable later
        return word;
    }
    [[gnu::noinline]] std::uint32_t next_of_refused() { return next(); }
    [[gnu::noinline, gnu::cold]] void refill() {
        random_bytes(buffer_.data(), sizeof buffer_);
        used_ = 0;
    }

    std::array<std::uint32_t, words> buffer_{};
    std::size_t used_ = 0;
};

}  // namespace noclash
