// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "dpdk/config/config.hpp"

namespace noclash::dpdk {

/// Records that the state file of such an instance has room for.
[[nodiscard]] std::size_t state_records(const Config& config);

/// Where the state of an instance lies, or will lie.
[[nodiscard]] std::string state_path(const Config& config);

}  // namespace noclash::dpdk
