// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <unordered_set>

#include "engine/address.hpp"

namespace noclash::dpdk {

/// Addresses that are asked for with nearly every packet, and found with few. Fixed once built.
class AddressSet {
  public:
    void add(const V4Address& address) {
        members_.insert(address.value.wire());
        const std::size_t block = block_of(address);
        blocks_[block / 64] |= std::uint64_t{1} << block % 64;
    }
    [[nodiscard, gnu::always_inline]] bool contains(const V4Address& address) const {
        const std::size_t block = block_of(address);
        return (blocks_[block / 64] >> block % 64 & 1) != 0 && is_member(address);
    }
    /// In network byte order.
    [[nodiscard]] const std::unordered_set<std::uint32_t>& members() const { return members_; }

  private:
    static constexpr std::size_t blocks = 4096;
    static_assert(std::has_single_bit(blocks));

    /// Of the /20 that an address is in: so that the largest pool sets some bits, not all.
    static std::size_t block_of(const V4Address& address) {
        // Fibonacci hashing: the upper bits are mixed.
        return ((address.value.host() >> 12U) * 0x9e37'79b1U) >> (33U - std::bit_width(blocks));
    }
    [[gnu::noinline]] bool is_member(const V4Address& address) const {
        return members_.contains(address.value.wire());
    }

    std::unordered_set<std::uint32_t> members_;
    /// By `block_of` of the members: nearly every question ends here.
    std::array<std::uint64_t, blocks / 64> blocks_{};
};

}  // namespace noclash::dpdk
