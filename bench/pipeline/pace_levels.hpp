// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace noclash::bench {

/// The paces that a CPU was seen at, and which of them is its full pace: the highest *level*, at
/// which it ran again and again. A sample or two above it, as a turbo clock gives for a moment, are
/// none; neither is a pace that a neighbour leaves, however often. Any thread.
class PaceLevels {
  public:
    /// @param pace  above 0, in any unit
    void add(double pace) {
        bins_[bin_of(pace)].fetch_add(1, std::memory_order_relaxed);
        samples_.fetch_add(1, std::memory_order_relaxed);
    }

    /// The highest pace at which a fiftieth of the samples lie together, and at least three; with
    /// fewer samples than that, the highest of all. 0 without a sample.
    [[nodiscard]] double full() const {
        const std::uint64_t level =
            std::max<std::uint64_t>(3, samples_.load(std::memory_order_relaxed) / 50);
        std::size_t highest = none;
        for (std::size_t bin = bins; bin-- > 0;) {
            const std::uint64_t together =
                count(bin) + (bin > 0 ? count(bin - 1) : 0) + (bin > 1 ? count(bin - 2) : 0);
            if (highest == none && count(bin) > 0) highest = bin;
            if (together >= level && count(bin) > 0) return pace_of(bin);
        }
        return highest == none ? 0 : pace_of(highest);
    }

    /// Whether a CPU at this pace has its core to itself. With a neighbour on the core's other
    /// thread it has 45 to 65 % of its full pace; a turbo clock makes the full pace itself differ
    /// by 15 %.
    [[nodiscard]] bool is_full(double pace) const { return pace >= 0.8 * full(); }

  private:
    // A bin is 2 % wide, so what a level's samples differ by falls into three.
    static constexpr std::size_t bins = 512;
    static constexpr std::size_t none = bins;
    static constexpr double lowest = 0.01, step = 1.02;

    static std::size_t bin_of(double pace) {
        const double bin = std::log(std::max(pace, lowest) / lowest) / std::log(step);
        return std::min(static_cast<std::size_t>(bin), bins - 1);
    }
    static double pace_of(std::size_t bin) {
        return lowest * std::pow(step, static_cast<double>(bin));
    }
    [[nodiscard]] std::uint64_t count(std::size_t bin) const {
        return bins_[bin].load(std::memory_order_relaxed);
    }

    std::array<std::atomic<std::uint64_t>, bins> bins_{};
    std::atomic<std::uint64_t> samples_{0};
};

}  // namespace noclash::bench
