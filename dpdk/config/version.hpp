// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace noclash::dpdk {

/// From the build: meson.build's project version.
inline constexpr std::string_view noclash_version = NOCLASH_VERSION;

}  // namespace noclash::dpdk
