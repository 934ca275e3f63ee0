// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tools/cpsload/options.hpp"

// The values of options that are more than a number. All throw UsageError with the option's name.

namespace noclash::cpsload {

[[nodiscard]] V4Address address_of(const std::string& text, const std::string& option);

/// `10.1.0.2/16`.
[[nodiscard]] std::pair<V4Address, std::uint8_t> interface_address_of(const std::string& text,
                                                                      const std::string& option);

/// `10.1.0.1:30080`, where `/tcp`, `/udp` or `/dns` may follow.
struct ServiceText {
    Endpoint endpoint;
    std::string suffix;
};
[[nodiscard]] ServiceText service_of(const std::string& text);

/// `10.2.0.2` or `10.2.0.2:80`.
[[nodiscard]] Endpoint backend_of(const std::string& text);

/// `1024-65535`.
[[nodiscard]] std::pair<std::uint16_t, std::uint16_t> ports_of(const std::string& text);

/// `FROM:TO:SECONDS`.
[[nodiscard]] Schedule ramp_of(const std::string& text);

/// `tcp-crr=6,udp=3,dns=1`.
[[nodiscard]] std::vector<std::pair<Kind, std::uint32_t>> mix_of(const std::string& text);

}  // namespace noclash::cpsload
