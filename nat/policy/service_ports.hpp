// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "engine/tuple.hpp"
#include "nat/policy/policy.hpp"
#include "nat/policy/rule_conditions.hpp"

namespace noclash::nat {

/// Services by the address, the port and the protocol that clients ask for: one look into one hash
/// table, whose line can be fetched ahead. Ranges of many ports are not here; nor is any service of
/// an address and protocol that has such a range, so that an answer never depends on what is not
/// here. A `RuleClassifier` answers for those.
///
/// Never changed once it is built; read by all workers.
template <class Family>
class ServicePorts {
  public:
    /// A range of so many ports has a place for each of them.
    static constexpr std::uint32_t most_of_range = 16;

    /// A port of a service. Those of one key stand in the order of their rules.
    struct Place {
        typename Family::Address address{};
        Be16 port{};
        std::uint16_t ingress_port = 0;
        std::uint32_t rule_and_protocol = empty;  ///< the rule's place, and 8 bits
        std::uint32_t service_and_any = 0;        ///< the service's place, and 1 bit: by any port

        [[nodiscard]] std::uint32_t rule() const { return rule_and_protocol >> 8U; }
        [[nodiscard]] std::uint32_t service() const { return service_and_any >> 1U; }
    };

    /// @param rules  of services: each has one address, a protocol with ports, and a range of them
    explicit ServicePorts(std::span<const Rule<Family>> rules) {
        const auto count_of = [rules](std::uint32_t widest) {
            std::size_t count = 0;
            for (const Rule<Family>& rule : rules)
                if (rule.to_port->size() <= widest) count += rule.to_port->size();
            return count;
        };
        // So that memory stays in proportion to the rules.
        const std::uint32_t widest =
            count_of(most_of_range) <= 2 * rules.size() + most_of_range ? most_of_range : 1;
        const std::size_t count = count_of(widest);
        using Owner = std::pair<decltype(words_of(Tuple<Family>{})), std::uint8_t>;
        std::map<Owner, bool> are_narrow;
        const auto owner_of = [](const Rule<Family>& rule) {
            Tuple<Family> tuple{};
            tuple.destination = rule.to.front().network;
            return Owner(words_of(tuple), *rule.protocol);
        };
        for (const Rule<Family>& rule : rules) {
            bool& is_narrow = are_narrow.try_emplace(owner_of(rule), true).first->second;
            is_narrow = is_narrow && rule.to_port->size() <= widest;
        }
        places_.resize(std::bit_ceil(std::max<std::size_t>(count + count / 2, 4)));
        shift_ = 64U - static_cast<unsigned>(std::countr_zero(places_.size()));
        for (std::uint32_t i = 0; i < rules.size(); ++i) {
            if (are_narrow.at(owner_of(rules[i])))
                add(rules[i], i);
            else
                is_complete_ = false;
        }
    }

    /// Whether all services are here: who is not found is for none.
    [[nodiscard]] bool is_complete() const { return is_complete_; }

    /// Where the search for a packet begins.
    [[nodiscard, gnu::always_inline]] std::size_t home_of(const Tuple<Family>& tuple) const {
        return home_of(tuple.destination, tuple.destination_port, tuple.protocol);
    }
    void prefetch(std::size_t home) const { __builtin_prefetch(&places_[home]); }
    /// The first rule that a packet is for; null: none here.
    [[nodiscard, gnu::always_inline]] const Place* find(std::size_t home,
                                                        const Tuple<Family>& tuple,
                                                        std::uint16_t ingress_port) const {
        for (std::size_t at = home;; at = (at + 1) & (places_.size() - 1)) {
            const Place& place = places_[at];
            if (place.rule_and_protocol == empty) return nullptr;
            if (place.address == tuple.destination && place.port == tuple.destination_port &&
                (place.rule_and_protocol & 0xffU) == tuple.protocol &&
                ((place.service_and_any & 1U) != 0 || place.ingress_port == ingress_port))
                return &place;
        }
    }

  private:
    static constexpr std::uint32_t empty = ~0U;  // no rule has such a place

    static std::array<std::uint64_t, sizeof(Tuple<Family>) / sizeof(std::uint64_t)> words_of(
        const Tuple<Family>& tuple) {
        return std::bit_cast<decltype(words_of(tuple))>(tuple);
    }

    /// Who configures services may make them collide.
    [[nodiscard, gnu::always_inline]] std::size_t home_of(const typename Family::Address& address,
                                                          Be16 port, std::uint8_t protocol) const {
        constexpr std::uint64_t odd = 0x9e37'79b9'7f4a'7c15ULL;
        std::uint64_t hash = std::uint64_t{port.wire()} << 8U | protocol;
        if constexpr (sizeof address == sizeof(std::uint32_t)) {
            hash |= std::uint64_t{std::bit_cast<std::uint32_t>(address)} << 32U;
        } else {
            for (const std::uint64_t word : std::bit_cast<std::array<std::uint64_t, 2>>(address))
                hash = (hash ^ hash >> 32U ^ word) * odd;
        }
        return ((hash ^ hash >> 29U) * odd) >> shift_;
    }

    void add(const Rule<Family>& rule, std::uint32_t number) {
        for (std::uint32_t port = rule.to_port->first; port <= rule.to_port->last; ++port) {
            Place place;
            place.address = rule.to.front().network;
            place.port = Be16::from_host(static_cast<std::uint16_t>(port));
            place.ingress_port = rule.ingress_port.value_or(0);
            place.rule_and_protocol = number << 8U | *rule.protocol;
            place.service_and_any = rule.service << 1U | (rule.ingress_port ? 0U : 1U);
            std::size_t at = home_of(place.address, place.port, *rule.protocol);
            while (places_[at].rule_and_protocol != empty)
                at = (at + 1) & (places_.size() - 1);
            places_[at] = place;
        }
    }

    std::vector<Place> places_;  ///< open addressing; some are empty
    unsigned shift_ = 0;         ///< of a hash, to a place
    bool is_complete_ = true;
};

static_assert(sizeof(ServicePorts<V4>::Place) == 16);

}  // namespace noclash::nat
