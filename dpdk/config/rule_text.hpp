// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "dpdk/config/config.hpp"
#include "dpdk/config/values.hpp"

namespace noclash::dpdk {

/// A rule for people: what it matches ("tcp from 10.0.0.0/8 to port 80"), and what it does.
[[nodiscard]] std::string match_text(const nat::Rule<V4>& rule, const Config& config);
[[nodiscard]] std::string action_text(const nat::Rule<V4>& rule, const Config& config);

/// What packets a service has: "tcp 192.0.2.7 port 80, 8000-8010 in outside".
[[nodiscard]] std::string endpoint_text(const nat::Service<V4>& service, const Config& config);

}  // namespace noclash::dpdk
