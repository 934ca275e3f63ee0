// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace noclash::test {

/// Counts things by number, and tells how many there are below a number, and which is the n-th
/// (Fenwick 1994). All in logarithmic time.
class RankTree {
  public:
    explicit RankTree(std::size_t numbers)
        : nodes_(numbers + 1), top_(std::bit_floor(numbers + 1)) {}

    void add(std::size_t number) { change(number, 1); }
    void remove(std::size_t number) { change(number, ~std::uint32_t{0}); }

    [[nodiscard]] std::uint32_t size() const { return size_; }
    [[nodiscard]] std::uint32_t below(std::size_t number) const {
        std::uint32_t sum = 0;
        for (std::size_t i = number; i > 0; i &= i - 1)
            sum += nodes_[i];
        return sum;
    }
    /// The number of the thing with `n` things before it; n < size().
    [[nodiscard]] std::size_t nth(std::uint32_t n) const {
        std::size_t at = 0;
        for (std::size_t step = top_; step > 0; step /= 2) {
            if (at + step < nodes_.size() && nodes_[at + step] <= n) {
                at += step;
                n -= nodes_[at];
            }
        }
        return at;
    }

  private:
    void change(std::size_t number, std::uint32_t by) {
        size_ += by;
        for (std::size_t i = number + 1; i < nodes_.size(); i += i & (~i + 1))
            nodes_[i] += by;
    }

    std::vector<std::uint32_t> nodes_;
    std::size_t top_;
    std::uint32_t size_ = 0;
};

}  // namespace noclash::test
