// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

namespace noclash::cpsload {

/// Counts values in classes whose width grows with the value, so that a quantile is at most 1/128
/// (0.8 %) above the true one, from 1 to 2^40, in 36 KiB; values below 128 are exact. The layout is
/// that of HDR histograms. One thread.
class Histogram {
  public:
    static constexpr unsigned precision_bits = 7;
    static constexpr unsigned value_bits = 40;

    void record(std::uint64_t value) {
        value = std::min(value, most);
        ++counts_[class_of(value)];
        ++count_;
        highest_ = std::max(highest_, value);
    }

    [[nodiscard]] std::uint64_t count() const { return count_; }
    [[nodiscard]] std::uint64_t highest() const { return highest_; }

    /// A value that `share` (0 to 1) of the recorded ones do not exceed: the top of its class, and
    /// never more than the highest one recorded. 0 when nothing was.
    [[nodiscard]] std::uint64_t quantile(double share) const {
        const auto rank = static_cast<std::uint64_t>(share * static_cast<double>(count_));
        std::uint64_t seen = 0;
        for (std::size_t i = 0; i < counts_.size(); ++i) {
            seen += counts_[i];
            if (seen > 0 && seen >= rank) return std::min(top_of(i), highest_);
        }
        return highest_;
    }

  private:
    static constexpr std::uint64_t most = (std::uint64_t{1} << value_bits) - 1;
    static constexpr std::uint64_t width = std::uint64_t{1} << precision_bits;

    // Values of `precision_bits` or fewer bits are their own class; of a longer one the top
    // `precision_bits + 1` bits count, the first of which is 1.
    static std::size_t class_of(std::uint64_t value) {
        if (value < width) return value;
        const auto shift = static_cast<unsigned>(std::bit_width(value)) - precision_bits - 1;
        return (std::uint64_t{shift} << precision_bits) + (value >> shift);
    }
    static std::uint64_t top_of(std::size_t index) {
        if (index < 2 * width) return index;
        const std::uint64_t shift = (index >> precision_bits) - 1;
        const std::uint64_t bits = index - (shift << precision_bits);
        return ((bits + 1) << shift) - 1;
    }

    std::vector<std::uint64_t> counts_ =
        std::vector<std::uint64_t>(((value_bits - precision_bits + 1) << precision_bits));
    std::uint64_t count_ = 0;
    std::uint64_t highest_ = 0;
};

}  // namespace noclash::cpsload
