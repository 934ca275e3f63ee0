// SPDX-License-Identifier: Apache-2.0
#pragma once

// A fuzzer's input, taken from its front in bytes, words and strings of bytes.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace noclash::dpdk::test {

using Bytes = std::vector<std::uint8_t>;

/// The rest of a fuzzer's input. Behind its end stand zeros.
class Input {
  public:
    explicit Input(std::span<const std::uint8_t> bytes) : left_(bytes) {}
    [[nodiscard]] bool empty() const { return left_.empty(); }
    std::uint8_t byte() {
        if (left_.empty()) return 0;
        const std::uint8_t first = left_.front();
        left_ = left_.subspan(1);
        return first;
    }
    std::uint16_t word() {
        const auto high = static_cast<unsigned>(byte()) << 8U;
        return static_cast<std::uint16_t>(high | byte());
    }
    Bytes bytes(std::size_t count) {
        const auto taken = left_.first(std::min(count, left_.size()));
        left_ = left_.subspan(taken.size());
        return {taken.begin(), taken.end()};
    }

  private:
    std::span<const std::uint8_t> left_;
};

}  // namespace noclash::dpdk::test
