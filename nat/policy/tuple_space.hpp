// SPDX-License-Identifier: Apache-2.0
#pragma once

// # Tuple space search
//
// The first of thousands of conditions that a packet fulfils, without reading them one by one
// (Srinivasan, Suri, Varghese: "Packet Classification using Tuple Space Search", SIGCOMM 1999).
//
// Conditions that ask for the same parts of a packet (as: protocol, 16 bits of the source, all of
// the destination) are a *group*. These parts are a mask over the packet's tuple, and what is left
// of the tuple is a key of one hash table. So a group answers with one look, however many
// conditions it has; a list of ten thousand has some dozens of groups. Conditions of one key differ
// in their destination ports alone, and share a *bucket*: the ports in steps, each with the number
// of the first condition that has it. Nothing is left to compare.
//
// Groups are numbered, and asked, in the order of their first condition. The search ends when the
// next group's first comes after the best that was found. A filter (nat/policy/group_filter.hpp)
// leaves out most groups that do not know the packet's ports, protocol or addresses; and it answers
// for conditions that ask for ingress port and protocol alone, which are in no group.
//
// An example: 5,000 services `to = "192.0.2.7"`, `protocol = "tcp"`, `to_port = 443` are one group
// (protocol, 32 bits of the destination); `masquerade` with `in` alone comes last, and is in none.
// A packet to 198.51.100.1 is in no block of the group's addresses, so no group is asked at all.

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/tuple.hpp"
#include "nat/packet/protocols.hpp"
#include "nat/policy/group_filter.hpp"
#include "nat/policy/port_steps.hpp"
#include "nat/policy/rule_conditions.hpp"

namespace noclash::nat {

/// Parts of a tuple as a mask, and the numbers of those that were met. `zone` stands for the
/// ingress port, and `reserved` for the group's number.
template <class Family>
class TupleGroups {
  public:
    static constexpr std::size_t most = 256;

    [[nodiscard]] static Tuple<Family> mask_of(const Conditions<Family>& conditions);
    /// The number of the group that the conditions belong to, a new one if they are its first;
    /// nothing when there are `most` others.
    [[nodiscard]] std::optional<std::size_t> number_of(const Conditions<Family>& conditions) {
        const auto words = std::bit_cast<Words>(mask_of(conditions));
        const auto known = numbers_.find(words);
        if (known != numbers_.end()) return known->second;
        if (numbers_.size() == most) return std::nullopt;
        return numbers_.emplace(words, numbers_.size()).first->second;
    }

  private:
    using Words = std::array<std::uint64_t, sizeof(Tuple<Family>) / sizeof(std::uint64_t)>;

    static typename Family::Address address_mask(unsigned length);

    std::map<Words, std::size_t> numbers_;
};

/// Never changed once it is built; read by all workers.
template <class Family>
class TupleSpace {
  public:
    static constexpr std::size_t most_entries = std::size_t{1} << 20U;

    /// Conditions, and the number that they answer with.
    struct Entry {
        Conditions<Family> conditions;
        std::uint32_t number;
    };

    /// @param entries  by number
    /// @throws std::length_error when there are more than `most_entries`, or too many groups
    explicit TupleSpace(std::span<const Entry> entries);

    /// The least number whose conditions the packet fulfils, or `no_number`.
    [[nodiscard]] std::uint32_t find(const Tuple<Family>& tuple, std::uint16_t ingress_port) const {
        return find(tuple, ingress_port, ip_protocol::has_ports(tuple.protocol));
    }
    /// @param has_ports  whether ranges of ports are asked about the packet at all
    [[nodiscard, gnu::always_inline]] std::uint32_t find(const Tuple<Family>& tuple,
                                                         std::uint16_t ingress_port,
                                                         bool has_ports) const {
        const std::uint16_t port = tuple.destination_port.host();
        const SearchStart start = filter_.start(tuple, ingress_port, has_ports);
        std::uint32_t best = start.number;
        search(tuple, ingress_port, start, [&](const Bucket& bucket) {
            best = std::min(best, has_ports ? bucket.number_at(port, steps_) : bucket.portless);
            return best;
        });
        return best;
    }
    /// Calls `each(range)` for the ranges of ports of conditions that the packet fulfils but for
    /// its port.
    template <class Each>
    void for_each_range(const Tuple<Family>& tuple, std::uint16_t ingress_port, Each&& each) const {
        constexpr SearchStart all_groups{~GroupBits{0}, no_number};
        search(tuple, ingress_port, all_groups, [&](const Bucket& bucket) {
            bucket.for_each_range(steps_, each);
            return no_number;
        });
    }

  private:
    using Words = std::array<std::uint64_t, sizeof(Tuple<Family>) / sizeof(std::uint64_t)>;
    using Steps = std::vector<std::vector<PortStep>>;

    struct Group {
        Words mask{};
        std::uint32_t first = no_number;  ///< the least number in it
    };
    /// All conditions of one key. No condition has the number `no_number`: an empty place.
    struct Bucket {
        Words key{};
        std::uint32_t first = no_number;     ///< the least number in it
        std::uint32_t portless = no_number;  ///< the least that asks for no range
        std::uint32_t steps = no_number;     ///< of several ranges; a single one stands here:
        PortRange range{1, 0};               ///< which is that of `first`, if not empty

        [[nodiscard, gnu::always_inline]] std::uint32_t number_at(std::uint16_t port,
                                                                  const Steps& all) const {
            if (steps != no_number) [[unlikely]]
                return nat::number_at(all[steps], port);
            return range.contains(port) ? first : portless;
        }
        template <class Each>
        void for_each_range(const Steps& all, Each&& each) const {
            if (steps == no_number) {
                if (range.first <= range.last) each(range);
                return;
            }
            const std::vector<PortStep>& own = all[steps];
            for (std::size_t i = 0; i < own.size(); ++i) {
                if (own[i].number == no_number) continue;
                const unsigned end = i + 1 < own.size() ? own[i + 1].first : 65536U;
                each(PortRange{own[i].first, static_cast<std::uint16_t>(end - 1)});
            }
        }
    };

    static Words masked(const Words& packet, const Words& mask) {
        Words key;
        for (std::size_t i = 0; i < key.size(); ++i)
            key[i] = packet[i] & mask[i];
        return key;
    }
    static Words packet_of(Tuple<Family> tuple, std::uint16_t ingress_port) {
        tuple.zone = ingress_port;
        tuple.reserved = 0xff;
        return std::bit_cast<Words>(tuple);
    }

    /// Asks groups in their order, until the next one's first comes after what `ask(bucket)` said.
    template <class Ask>
    [[gnu::always_inline]] void search(const Tuple<Family>& tuple, std::uint16_t ingress_port,
                                       const SearchStart& start, Ask&& ask) const {
        const Words packet = packet_of(tuple, ingress_port);
        std::uint32_t best = start.number;
        for (const Group* groups = groups_.data(); groups != groups_.data() + groups_.size();
             groups += filter_bits) {
            for (GroupBits left = start.groups; left != 0; left &= left - 1) {
                const Group& group = groups[std::countr_zero(left)];
                if (group.first >= best) return;
                const Bucket* bucket = bucket_of(masked(packet, group.mask));
                if (bucket != nullptr) best = ask(*bucket);
            }
        }
    }
    [[nodiscard, gnu::always_inline]] const Bucket* bucket_of(const Words& key) const {
        for (std::size_t place = home_of(key);; place = (place + 1) & (buckets_.size() - 1)) {
            const Bucket& bucket = buckets_[place];
            if (bucket.first == no_number) return nullptr;
            if (bucket.key == key) return &bucket;
        }
    }
    /// In registers: a key that were stored in words and loaded as a whole, as by XXH3, would make
    /// the processor wait. Who chooses rules may make them collide.
    [[nodiscard, gnu::always_inline]] std::size_t home_of(const Words& key) const {
        std::uint64_t hash = 0;
        for (const std::uint64_t word : key)
            hash = (hash ^ hash >> 32U ^ word) * 0x9e37'79b9'7f4a'7c15ULL;
        return hash >> shift_;
    }

    void add(std::span<const std::pair<Words, const Entry*>> of_one_key);

    static constexpr std::size_t filter_bits = 64;

    GroupFilter<Family> filter_;
    std::vector<Group> groups_;  ///< a multiple of `filter_bits`: behind the last, some have no key
    std::vector<Bucket> buckets_;  ///< open addressing; half of them are empty at least
    unsigned shift_;               ///< of a hash, to a place in `buckets_`
    Steps steps_;
};

static_assert(TupleGroups<V4>::most <= 256, "a group's number is the key's byte `reserved`");

}  // namespace noclash::nat

#include "nat/policy/tuple_space_build.hpp"
