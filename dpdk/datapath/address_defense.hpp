// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "engine/base/address.hpp"

namespace noclash::dpdk {

/// When an address of our own, which another station uses, is to be defended by an announcement: at
/// most once in an interval for each address, whatever is heard (RFC 5227, section 2.4, case c).
/// Two addresses in some hundred share their interval. By any thread.
class AddressDefense {
  public:
    static constexpr std::uint64_t interval_ms = 10'000;  ///< DEFEND_INTERVAL

    /// True for one of all callers in an interval.
    [[nodiscard]] bool due(const V4Address& address, std::uint64_t now_ms) {
        std::atomic<std::uint64_t>& next = next_ms_[address.value.host() * 0x9e3779b1U >> 24U];
        std::uint64_t at_ms = next.load(std::memory_order_relaxed);
        return at_ms <= now_ms &&
               next.compare_exchange_strong(at_ms, now_ms + interval_ms, std::memory_order_relaxed);
    }

  private:
    std::array<std::atomic<std::uint64_t>, 256> next_ms_{};
};

}  // namespace noclash::dpdk
