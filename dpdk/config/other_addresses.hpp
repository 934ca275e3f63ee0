// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "dpdk/config/config.hpp"
#include "dpdk/config/values.hpp"

namespace noclash::dpdk {

/// Addresses that others have: of routers, and those that stand for a subnet or for all in it.
class OtherAddresses {
  public:
    /// @param config  is not needed afterwards
    explicit OtherAddresses(const Config& config);

    /// Describes the first address of `range` that a host cannot share; nothing when there is none.
    [[nodiscard]] std::optional<std::string> router_or_subnet(AddressRange range) const;
    /// Likewise, of subnets alone (RFC 1122, section 3.2.1.3). /31 (RFC 3021) and /32 have no such
    /// addresses.
    [[nodiscard]] std::optional<std::string> subnet_end(AddressRange range) const;

  private:
    struct Subnet {
        std::string port;
        V4Address network, broadcast;
    };

    std::map<std::uint32_t, Prefix<V4>> routers_;  ///< by address: the first route by each
    std::vector<Subnet> subnets_;
};

}  // namespace noclash::dpdk
