// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace noclash::nat {

/// How long something took, counted in buckets by powers of two of milliseconds: below 1 ms, from 1
/// to below 2 ms, from 2 to below 4 ms, and so on. Any thread may count.
class WaitHistogram {
  public:
    static constexpr std::size_t buckets = 18;
    using Counts = std::array<std::uint64_t, buckets>;

    /// The bucket of a time in ms; the last one has all from 65,536 ms on.
    [[nodiscard]] static constexpr std::size_t bucket_of(std::uint32_t ms) {
        return std::min<std::size_t>(static_cast<std::size_t>(std::bit_width(ms)), buckets - 1);
    }
    /// All times of a bucket but the last are below this, in ms.
    [[nodiscard]] static constexpr std::uint32_t bound_ms(std::size_t bucket) {
        return std::uint32_t{1} << bucket;
    }

    void add(std::uint32_t ms) { counts_[bucket_of(ms)].fetch_add(1, std::memory_order_relaxed); }

    [[nodiscard]] Counts counts() const {
        Counts counts{};
        for (std::size_t i = 0; i < buckets; ++i)
            counts[i] = counts_[i].load(std::memory_order_relaxed);
        return counts;
    }

  private:
    std::array<std::atomic<std::uint64_t>, buckets> counts_{};
};

/// The bound that `percent` of all times, and no fewer, stay below, in ms; nothing when there are
/// none.
/// @param percent  1 to 100
[[nodiscard]] constexpr std::optional<std::uint32_t> percentile_ms(
    const WaitHistogram::Counts& counts, std::uint32_t percent) {
    std::uint64_t all = 0;
    for (const std::uint64_t count : counts)
        all += count;
    if (all == 0) return std::nullopt;
    const std::uint64_t wanted = all / 100 * percent + (all % 100 * percent + 99) / 100;
    std::uint64_t seen = 0;
    std::size_t bucket = 0;
    for (; bucket + 1 < counts.size(); ++bucket)
        if ((seen += counts[bucket]) >= wanted) break;
    return WaitHistogram::bound_ms(bucket);
}

}  // namespace noclash::nat
