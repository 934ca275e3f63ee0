// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <bitset>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "nat/policy/policy.hpp"
#include "nat/policy/rule_classifier.hpp"
#include "nat/policy/rule_match.hpp"

namespace noclash::nat {

/// Ports of services, port-forwards and static mappings. They are never proposed as the source of a
/// translated flow, so that no answer to a flow is mistaken for a request to the service, nor the
/// other way round. A rule that forwards all ports of an address reserves none: the address may be
/// shared with flows from inside, whose answers are found before any rule is asked. (An address
/// that is bound as a whole is in no pool: the configuration sees to that.)
///
/// Built once; read by all workers. Two that have the same edition reserve the same.
template <class Family>
class ReservedPorts {
  public:
    /// @param services  the rules that the policy made of services
    /// @param previous  of the policy before this one; null when there is none
    explicit ReservedPorts(std::span<const Rule<Family>> rules,
                           std::span<const Rule<Family>> services = {},
                           const ReservedPorts* previous = nullptr) {
        for (const Rule<Family>& service : services)
            add({service.protocol, service.to, *service.to_port});
        for (const Rule<Family>& rule : rules) {
            if (rule.action == Action::dnat && rule.to_port)
                add({rule.protocol, rule.to, *rule.to_port});
            if (!rule.mapping || !rule.mapping->outside.port) continue;
            const auto& [address, port] = rule.mapping->outside;
            add({rule.protocol, {{address, Family::address_bits}}, {*port, *port}});
        }
        if (previous != nullptr)
            edition_ = previous->edition_ + (services_ == previous->services_ ? 0U : 1U);
        note_ports();
        std::vector<typename TupleSpace<Family>::Entry> entries;
        for (const Service& service : services_)
            append_conditions(service, entries);
        if (entries.size() <= most_listed) return;
        space_ = std::make_unique<const TupleSpace<Family>>(entries);
    }

    /// Counts the changes of what is reserved from policy to policy.
    [[nodiscard]] std::uint32_t edition() const { return edition_; }

    [[nodiscard]] bool contains(std::uint8_t protocol, const typename Family::Address& address,
                                std::uint16_t port) const {
        if (port < all_.first || port > all_.last || !anywhere_->test(port)) [[likely]]
            return false;
        return serves(protocol, address, port);
    }

    /// Calls `each(range)` for the ports served at an address.
    template <class Each>
    void for_each(std::uint8_t protocol, const typename Family::Address& address,
                  Each&& each) const {
        if (space_) return space_->for_each_range(tuple_of(protocol, address, 0), 0, each);
        for (const Service& service : services_)
            if (service.at(protocol, address)) each(service.ports);
    }

  private:
    struct Service {
        std::optional<std::uint8_t> protocol;
        std::vector<Prefix<Family>> addresses;
        PortRange ports;

        [[nodiscard]] bool at(std::uint8_t p, const typename Family::Address& address) const {
            return (!protocol || *protocol == p) && within<Family>(addresses, address);
        }
        friend bool operator==(const Service&, const Service&) = default;
    };

    [[nodiscard, gnu::noinline]] bool serves(std::uint8_t protocol,
                                             const typename Family::Address& address,
                                             std::uint16_t port) const {
        // Of any protocol: an ICMP identifier stands for a port, too.
        if (space_) return space_->find(tuple_of(protocol, address, port), 0, true) != no_number;
        return std::ranges::any_of(services_, [&](const Service& service) {
            return service.ports.contains(port) && service.at(protocol, address);
        });
    }

    static Tuple<Family> tuple_of(std::uint8_t protocol, const typename Family::Address& address,
                                  std::uint16_t port) {
        Tuple<Family> tuple{};
        tuple.protocol = protocol;
        tuple.destination = address;
        tuple.destination_port = Be16::from_host(port);
        return tuple;
    }

    void add(Service service) {
        all_.first = std::min(all_.first, service.ports.first);
        all_.last = std::max(all_.last, service.ports.last);
        services_.push_back(std::move(service));
    }
    /// Each port once, however many services have it.
    void note_ports() {
        std::vector<PortRange> ranges;
        for (const Service& service : services_)
            ranges.push_back(service.ports);
        std::ranges::sort(ranges, {}, &PortRange::first);
        std::uint32_t next = 0;
        for (const PortRange range : ranges)
            for (next = std::max<std::uint32_t>(next, range.first); next <= range.last; ++next)
                anywhere_->set(next);
    }
    static void append_conditions(const Service& service,
                                  std::vector<typename TupleSpace<Family>::Entry>& entries) {
        Conditions<Family> conditions{{}, service.protocol, {}, {}};
        conditions.port = PortCondition::destination_range;
        conditions.range = service.ports;
        const auto append = [&](const Prefix<Family>& address) {
            conditions.to = address;
            entries.push_back({conditions, static_cast<std::uint32_t>(entries.size())});
        };
        if (service.addresses.empty()) append({});
        for (const Prefix<Family>& address : service.addresses)
            append(address);
    }

    std::vector<Service> services_;
    std::uint32_t edition_ = 0;
    std::unique_ptr<const TupleSpace<Family>> space_;  ///< of the services, when they are many
    PortRange all_{65535, 0};  ///< of the first to the last port that a service has; none at first
    /// Ports that some service has at some address: almost every question ends here.
    std::unique_ptr<std::bitset<65536>> anywhere_ = std::make_unique<std::bitset<65536>>();
};

}  // namespace noclash::nat
