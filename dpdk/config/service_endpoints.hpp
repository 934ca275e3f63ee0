// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>

#include "dpdk/config/config.hpp"

namespace noclash::dpdk {

/// Whose packets are whose: the ports of services, by VIP, protocol and the port that packets come
/// in by. No packet belongs to two services. What is asked takes some logarithms, however many
/// services there are.
class ServiceEndpoints {
  public:
    using Service = nat::Service<V4>;

    /// @param ports  of the gateway
    explicit ServiceEndpoints(std::size_t ports) : ports_(static_cast<std::uint16_t>(ports)) {}

    /// A service of which some packet could be one of this service, too, and the first range of
    /// ports that both have.
    struct Overlap {
        std::string name;
        nat::PortRange ports;
    };
    [[nodiscard]] std::optional<Overlap> overlap(const Service& service) const;
    /// The service that has a packet; null when none has.
    [[nodiscard]] const std::string* owner(const Tuple<V4>& tuple, std::uint16_t ingress) const;

    /// The service overlaps no other.
    void insert(const Service& service);
    /// The service is there.
    void erase(const Service& service);

  private:
    static constexpr std::uint16_t any_port = std::numeric_limits<std::uint16_t>::max();

    struct Key {
        std::uint32_t address;
        std::uint8_t protocol;
        std::uint16_t ingress;  ///< or `any_port`
        std::uint16_t first;    ///< of the range
        friend auto operator<=>(const Key&, const Key&) = default;
    };
    struct Held {
        std::uint16_t last;  ///< of the range
        std::string name;
    };
    using Ranges = std::map<Key, Held>;

    static Key key_of(const Service& service, std::uint16_t first) {
        return {service.address.value.host(), service.protocol,
                service.ingress_port.value_or(any_port), first};
    }
    /// One that overlaps the ports from `key.first` to `last`; null when none does.
    [[nodiscard]] const Held* find(const Key& key, std::uint16_t last) const;

    std::uint16_t ports_;
    Ranges ranges_;
};

}  // namespace noclash::dpdk
