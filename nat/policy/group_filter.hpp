// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "engine/tuple.hpp"
#include "nat/policy/rule_conditions.hpp"

namespace noclash::nat {

/// Groups of conditions, a bit for each; the 65th shares the bit of the first, and so on.
using GroupBits = std::uint64_t;

/// For blocks of addresses, which are all of one size: the groups with a prefix that has an address
/// in the block. Blocks that fall on one place share it.
template <class Family>
class BlockFilter {
  public:
    /// @param bits    leading bits of an address that are its block; 64 at most
    /// @param places  a power of two, 2 at least
    BlockFilter(unsigned bits, std::size_t places)
        : bits_(bits),
          shift_(64U - static_cast<unsigned>(std::countr_zero(places))),
          places_(places) {}

    void add(GroupBits group, const Prefix<Family>& prefix) {
        constexpr unsigned most_expanded = 8;
        const unsigned length = std::min<unsigned>(prefix.length, bits_);
        const unsigned rest = bits_ - length;
        if (rest > most_expanded) {
            everywhere_ |= group;
            return;
        }
        const std::uint64_t first = block_of(prefix.network) >> rest << rest;
        for (std::uint64_t block = first; block < first + (std::uint64_t{1} << rest); ++block)
            places_[place_of(block)] |= group;
    }
    [[nodiscard, gnu::always_inline]] GroupBits groups_of(
        const typename Family::Address& address) const {
        return places_[place_of(block_of(address))] | everywhere_;
    }

  private:
    [[nodiscard]] std::uint64_t block_of(const typename Family::Address& address) const {
        if constexpr (Family::address_bits == 32) {
            return address.value.host() >> (32U - bits_);
        } else {
            std::uint64_t leading = 0;
            std::memcpy(&leading, &address, sizeof leading);
            return __builtin_bswap64(leading) >> (64U - bits_);
        }
    }
    [[nodiscard]] std::size_t place_of(std::uint64_t block) const {
        return block * 0x9e37'79b9'7f4a'7c15ULL >> shift_;
    }

    unsigned bits_, shift_;
    GroupBits everywhere_ = 0;
    std::vector<GroupBits> places_;
};

/// Says of a packet which groups of a `TupleSpace` may know it, from the packet's port, protocol
/// and blocks of addresses. A bit too many costs a look into a group in vain; there is never one
/// too few.
template <class Family>
class GroupFilter {
  public:
    /// @param entries  about how many conditions will be added
    explicit GroupFilter(std::size_t entries) : GroupFilter(Places{places_for(entries)}) {}

    void add(std::size_t group, const Conditions<Family>& conditions) {
        const GroupBits bit = GroupBits{1} << group % 64;
        for (std::size_t port = 0; port < ingress_.size(); ++port)
            if (!conditions.ingress_port || place_of(*conditions.ingress_port) == port)
                ingress_[port] |= bit;
        for (std::size_t protocol = 0; protocol < protocol_.size(); ++protocol)
            if (!conditions.protocol || *conditions.protocol == protocol)
                protocol_[protocol] |= bit;
        for (BlockFilter<Family>* filter : {&large_from_, &small_from_})
            filter->add(bit, conditions.from);
        for (BlockFilter<Family>* filter : {&large_to_, &small_to_})
            filter->add(bit, conditions.to);
    }

    [[nodiscard, gnu::always_inline]] GroupBits candidates(const Tuple<Family>& tuple,
                                                           std::uint16_t ingress_port) const {
        return ingress_[place_of(ingress_port)] & protocol_[tuple.protocol] &
               large_from_.groups_of(tuple.source) & small_from_.groups_of(tuple.source) &
               large_to_.groups_of(tuple.destination) & small_to_.groups_of(tuple.destination);
    }

  private:
    struct Places {
        std::size_t count;
    };
    static constexpr unsigned large_block = Family::address_bits == 32 ? 16 : 48;
    static constexpr unsigned small_block = Family::address_bits == 32 ? 24 : 64;

    explicit GroupFilter(Places places)
        : large_from_(large_block, places.count),
          small_from_(small_block, places.count),
          large_to_(large_block, places.count),
          small_to_(small_block, places.count) {}

    /// As many as fit a processor's second cache beside the flows.
    static std::size_t places_for(std::size_t entries) {
        return std::bit_ceil(std::clamp<std::size_t>(entries, 256, 8192));
    }
    /// Ports beyond the first 63 share a place.
    [[nodiscard]] std::size_t place_of(std::uint16_t port) const {
        return std::min<std::size_t>(port, ingress_.size() - 1);
    }

    std::array<GroupBits, 64> ingress_{};
    std::array<GroupBits, 256> protocol_{};
    BlockFilter<Family> large_from_, small_from_, large_to_, small_to_;
};

}  // namespace noclash::nat
