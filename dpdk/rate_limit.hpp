// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

namespace noclash::dpdk {

/// Token bucket; one thread's own.
class RateLimit {
  public:
    RateLimit(std::uint32_t per_second, std::uint32_t burst)
        : per_second_(per_second),
          most_millitokens_(std::uint64_t{burst} * 1000),
          millitokens_(most_millitokens_) {}

    /// Takes a token if there is one.
    [[nodiscard]] bool allow(std::uint64_t now_ms) {
        millitokens_ =
            std::min(most_millitokens_, millitokens_ + (now_ms - last_ms_) * per_second_);
        last_ms_ = now_ms;
        if (millitokens_ < 1000) return false;
        millitokens_ -= 1000;
        return true;
    }

  private:
    std::uint64_t per_second_;
    std::uint64_t most_millitokens_;
    std::uint64_t millitokens_;
    std::uint64_t last_ms_ = 0;
};

}  // namespace noclash::dpdk
