// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <bitset>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "nat/policy/policy.hpp"
#include "nat/policy/rule_match.hpp"

namespace noclash::nat {

/// Ports of port-forwards and static mappings. They are never proposed as the source of a
/// translated flow, so that no answer to a flow is mistaken for a request to the service, nor the
/// other way round. A rule that forwards all ports of an address reserves none: the address may be
/// shared with flows from inside, whose answers are found before any rule is asked. (An address
/// that is bound as a whole is in no pool: the configuration sees to that.)
///
/// Built once; read by all workers. Two that have the same edition reserve the same.
template <class Family>
class ReservedPorts {
  public:
    /// @param previous  of the policy before this one; null when there is none
    explicit ReservedPorts(std::span<const Rule<Family>> rules,
                           const ReservedPorts* previous = nullptr) {
        for (const Rule<Family>& rule : rules) {
            if (rule.action == Action::dnat && rule.to_port)
                add({rule.protocol, rule.to, *rule.to_port});
            if (!rule.mapping || !rule.mapping->outside.port) continue;
            const auto& [address, port] = rule.mapping->outside;
            add({rule.protocol, {{address, Family::address_bits}}, {*port, *port}});
        }
        if (previous != nullptr)
            edition_ = previous->edition_ + (services_ == previous->services_ ? 0U : 1U);
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
        return std::ranges::any_of(services_, [&](const Service& service) {
            return service.ports.contains(port) && service.at(protocol, address);
        });
    }

    void add(Service service) {
        all_.first = std::min(all_.first, service.ports.first);
        all_.last = std::max(all_.last, service.ports.last);
        for (std::uint32_t port = service.ports.first; port <= service.ports.last; ++port)
            anywhere_->set(port);
        services_.push_back(std::move(service));
    }

    std::vector<Service> services_;
    std::uint32_t edition_ = 0;
    PortRange all_{65535, 0};  ///< of the first to the last port that a service has; none at first
    /// Ports that some service has at some address: almost every question ends here.
    std::unique_ptr<std::bitset<65536>> anywhere_ = std::make_unique<std::bitset<65536>>();
};

}  // namespace noclash::nat
