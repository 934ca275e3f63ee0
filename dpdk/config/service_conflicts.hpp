// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "dpdk/config/config.hpp"
#include "dpdk/config/other_addresses.hpp"
#include "dpdk/config/own_addresses.hpp"
#include "dpdk/config/reader.hpp"
#include "dpdk/config/service_endpoints.hpp"

namespace noclash::dpdk {

/// Why a service cannot be beside what there is.
struct ServiceConflict {
    std::string_view key;                ///< of the service: where the conflict is
    std::optional<std::size_t> backend;  ///< which one, when it is about one of `backends`
    std::string what;
    std::string_view expected;
};

/// Notes a conflict of the service that stands in this section.
void note(const Section& section, const ServiceConflict& conflict);

/// Says whether a service gets on with ports, routes, pools and rules of a configuration, and with
/// the services that have been inserted: whoever changes one service of thousands keeps it, and
/// compares no others. Not for several threads at once.
class ServiceConflicts {
  public:
    using Service = nat::Service<V4>;

    /// @param config  is not needed afterwards; its services are not looked at
    explicit ServiceConflicts(const Config& config);

    /// All that is wrong with a service that is sound by itself and not inserted; nothing when it
    /// can be.
    [[nodiscard]] std::vector<ServiceConflict> find(const Service& service) const;
    /// What is wrong with one more backend of `service`: its address alone matters.
    [[nodiscard]] std::optional<ServiceConflict> find(const Service& service,
                                                      V4Address backend) const;
    /// A service without conflict.
    void insert(const Service& service);
    /// Exactly as it was inserted.
    void erase(const Service& service);

  private:
    using Conflicts = std::vector<ServiceConflict>;

    void find_name(const Service& service, Conflicts& found) const;
    void find_address(const Service& service, Conflicts& found) const;
    void find_endpoint(const Service& service, Conflicts& found) const;
    void find_source(const Service& service, Conflicts& found) const;

    /// The outside end of a static mapping.
    struct Outside {
        std::string rule;
        std::optional<std::uint8_t> protocol;
        std::optional<std::uint16_t> port;
    };
    /// A rule that masquerades with endpoint-independent mappings.
    struct Mapper {
        std::string rule;
        std::optional<std::uint8_t> protocol;
        nat::PortRange ports;
    };

    bool tracks_windows_;
    OtherAddresses others_;
    OwnAddresses own_;  ///< but for VIPs
    std::unordered_set<std::uint32_t> neighbors_;
    std::unordered_set<std::string> rules_;                     ///< their names
    std::unordered_multimap<std::uint32_t, Outside> outsides_;  ///< by address
    std::vector<Mapper> mappers_;

    std::unordered_set<std::string> names_;
    ServiceEndpoints endpoints_;
    /// How many services have the address as theirs, or as a backend's.
    std::unordered_map<std::uint32_t, std::size_t> vips_, backends_;
};

}  // namespace noclash::dpdk
