// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <unordered_set>

#include "engine/base/address.hpp"

namespace noclash::dpdk {

/// Addresses that are asked for with nearly every packet, and found with few. Fixed once built.
class AddressSet {
  public:
    void add(const V4Address& address) {
        members_.insert(address.value.wire());
        set(blocks_, block_of(address));
        set(hosts_, host_of(address));
    }
    [[nodiscard, gnu::always_inline]] bool contains(const V4Address& address) const {
        return test(blocks_, block_of(address)) && test(hosts_, host_of(address)) &&
               is_member(address);
    }
    /// In network byte order.
    [[nodiscard]] const std::unordered_set<std::uint32_t>& members() const { return members_; }

  private:
    static constexpr std::size_t blocks = 4096, hosts = 65536;
    static_assert(std::has_single_bit(blocks) && std::has_single_bit(hosts));

    template <std::size_t words>
    static void set(std::array<std::uint64_t, words>& bits, std::size_t bit) {
        bits[bit / 64] |= std::uint64_t{1} << bit % 64;
    }
    template <std::size_t words>
    static bool test(const std::array<std::uint64_t, words>& bits, std::size_t bit) {
        return (bits[bit / 64] >> bit % 64 & 1) != 0;
    }

    /// Fibonacci hashing: the upper bits are mixed.
    static std::size_t spread(std::uint32_t value, std::size_t places) {
        return (value * 0x9e37'79b1U) >> (33U - std::bit_width(places));
    }
    /// The bit of an address's /20: so the largest pool sets some bits, not all.
    static std::size_t block_of(const V4Address& address) {
        return spread(address.value.host() >> 12U, blocks);
    }
    /// The bit of the address itself: its neighbours in a port's subnet are asked for most of all.
    static std::size_t host_of(const V4Address& address) {
        return spread(address.value.host(), hosts);
    }
    [[gnu::noinline]] bool is_member(const V4Address& address) const {
        return members_.contains(address.value.wire());
    }

    std::unordered_set<std::uint32_t> members_;
    // By `block_of` and `host_of` of the members: nearly every question ends here.
    std::array<std::uint64_t, blocks / 64> blocks_{};
    std::array<std::uint64_t, hosts / 64> hosts_{};
};

}  // namespace noclash::dpdk
