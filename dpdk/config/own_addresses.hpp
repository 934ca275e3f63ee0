// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "dpdk/config/config.hpp"

namespace noclash::dpdk {

/// The addresses that a configuration gives to the gateway, and what they are there: for messages.
/// Those of services are added by whoever wants to know of them, too.
class OwnAddresses {
  public:
    /// @param config  is not needed afterwards
    explicit OwnAddresses(const Config& config);
    void add(const std::vector<nat::Service<V4>>& services);

    /// As "an address of pool "p""; null when the address is not the gateway's.
    [[nodiscard]] const std::string* owner(V4Address address) const {
        const auto found = owner_of_.find(address.value.host());
        return found == owner_of_.end() ? nullptr : &owners_[found->second];
    }

  private:
    /// The first owner counts.
    void add(V4Address address) {
        owner_of_.emplace(address.value.host(), static_cast<std::uint32_t>(owners_.size() - 1));
    }

    std::vector<std::string> owners_;
    std::unordered_map<std::uint32_t, std::uint32_t> owner_of_;
};

}  // namespace noclash::dpdk
