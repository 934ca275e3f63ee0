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
#include "nat/policy/port_steps.hpp"
#include "nat/policy/rule_conditions.hpp"

namespace noclash::nat {

/// Groups of conditions, a bit for each; the 65th shares the bit of the first, and so on.
using GroupBits = std::uint64_t;

/// For blocks of addresses, which are all of one size: the groups with a prefix that has an address
/// in the block. Blocks that fall on one place share it.
template <class Family>
class BlockFilter {
  public:
    /// @param places  a power of two, 2 at least
    explicit BlockFilter(std::size_t places)
        : shift_(64U - static_cast<unsigned>(std::countr_zero(places))), places_(places) {}

    void add(GroupBits group, const Prefix<Family>& prefix) {
        constexpr unsigned most_expanded = 8;
        const unsigned rest = block_bits - std::min<unsigned>(prefix.length, block_bits);
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
    /// Small enough to tell a provider's hosts from others', large enough for a short prefix to be
    /// some blocks only.
    static constexpr unsigned block_bits = Family::address_bits == 32 ? 20 : 56;

    static std::uint64_t block_of(const typename Family::Address& address) {
        if constexpr (Family::address_bits == 32) {
            return address.value.host() >> (32U - block_bits);
        } else {
            std::uint64_t leading = 0;
            std::memcpy(&leading, &address, sizeof leading);
            return __builtin_bswap64(leading) >> (64U - block_bits);
        }
    }
    [[nodiscard]] std::size_t place_of(std::uint64_t block) const {
        return block * 0x9e37'79b9'7f4a'7c15ULL >> shift_;
    }

    unsigned shift_;
    GroupBits everywhere_ = 0;
    std::vector<GroupBits> places_;
};

/// Where a search begins.
struct SearchStart {
    GroupBits groups = 0;  ///< that may know the packet
    /// The least number of conditions that ask for ingress port and protocol at most.
    std::uint32_t number = no_number;
};

/// Says of a packet which groups of a `TupleSpace` may know it. A bit too many costs a look into a
/// group in vain; there is never one too few.
template <class Family>
class GroupFilter {
  public:
    /// @param entries  about how many conditions will be added
    explicit GroupFilter(std::size_t entries)
        : starts_(ingress_places * protocols),
          ports_(port_places + 1),
          from_(places_for(entries)),
          to_(places_for(entries)) {}

    /// Whether `add_wide` takes these conditions, so that they are in no group.
    [[nodiscard]] static bool is_wide(const Conditions<Family>& conditions) {
        return conditions.from.length == 0 && conditions.to.length == 0 &&
               conditions.port == PortCondition::none &&
               conditions.ingress_port.value_or(0) < shared_ingress;
    }
    void add_wide(const Conditions<Family>& conditions, std::uint32_t number) {
        for_each_start(conditions, [number](SearchStart& start) {
            start.number = std::min(start.number, number);
        });
    }
    /// A group's conditions but for their addresses: the same ones need not be added twice.
    void add_parts(std::size_t group, const Conditions<Family>& conditions) {
        for_each_start(conditions,
                       [bit = bit_of(group)](SearchStart& start) { start.groups |= bit; });
        add_ports(bit_of(group), conditions);
    }
    void add_addresses(std::size_t group, const Conditions<Family>& conditions) {
        from_.add(bit_of(group), conditions.from);
        to_.add(bit_of(group), conditions.to);
    }

    /// @param has_ports  whether ranges of ports are asked about the packet
    [[nodiscard, gnu::always_inline]] SearchStart start(const Tuple<Family>& tuple,
                                                        std::uint16_t ingress_port,
                                                        bool has_ports) const {
        const std::size_t port =
            has_ports ? tuple.destination_port.host() % port_places : port_places;
        SearchStart start = starts_[place_of(ingress_port) * protocols + tuple.protocol];
        start.groups &=
            ports_[port] & from_.groups_of(tuple.source) & to_.groups_of(tuple.destination);
        return start;
    }

  private:
    static constexpr std::size_t protocols = 256;
    static constexpr std::size_t port_places = 2048;   // and one for packets without ports
    static constexpr std::size_t shared_ingress = 32;  // the place of this port and all beyond
    static constexpr std::size_t ingress_places = shared_ingress + 1;

    static GroupBits bit_of(std::size_t group) { return GroupBits{1} << group % 64; }
    /// As many as fit a processor's second cache beside the flows.
    static std::size_t places_for(std::size_t entries) {
        return std::bit_ceil(std::clamp<std::size_t>(4 * entries, 1024, 16384));
    }
    static std::size_t place_of(std::uint16_t ingress_port) {
        return std::min<std::size_t>(ingress_port, shared_ingress);
    }

    template <class Each>
    void for_each_start(const Conditions<Family>& conditions, Each&& each) {
        for (std::size_t ingress = 0; ingress < ingress_places; ++ingress) {
            if (conditions.ingress_port && place_of(*conditions.ingress_port) != ingress) continue;
            for (std::size_t protocol = 0; protocol < protocols; ++protocol)
                if (!conditions.protocol || *conditions.protocol == protocol)
                    each(starts_[ingress * protocols + protocol]);
        }
    }
    void add_ports(GroupBits bit, const Conditions<Family>& conditions) {
        const PortRange range = conditions.range;
        const bool of_range = conditions.port == PortCondition::destination_range;
        if (of_range && range.size() < port_places) {
            for (std::uint32_t port = range.first; port <= range.last; ++port)
                ports_[port % port_places] |= bit;
            return;
        }
        const std::size_t end = of_range ? port_places : port_places + 1;
        for (std::size_t place = 0; place < end; ++place)
            ports_[place] |= bit;
    }

    std::vector<SearchStart> starts_;
    std::vector<GroupBits> ports_;  ///< by destination port
    BlockFilter<Family> from_, to_;
};

}  // namespace noclash::nat
