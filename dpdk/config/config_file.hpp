// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace noclash::dpdk {

/// The text of a configuration file, of at most 64 MiB.
/// @throws ConfigError
[[nodiscard]] std::string read_config_file(const std::string& file);

}  // namespace noclash::dpdk
