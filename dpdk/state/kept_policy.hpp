// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "nat/policy/identities.hpp"

namespace noclash::dpdk {

/// What an instance needs to know of its policy to understand the flow records that it finds:
/// whose numbers stand in them, how pools pair hosts, and the configuration that was in force.
/// Kept beside the state file, as JSON.
struct KeptPolicy {
    std::array<std::uint64_t, 2> instance{};  ///< of the state file that it belongs to
    nat::IdentityTable identities;
    std::string configuration_file;
    std::string configuration;  ///< its text
    std::string services{};     ///< that commands have made: see KeptServices
};

/// Its file.
[[nodiscard]] std::string kept_policy_path(const std::string& state_file);

/// Replaces the file in one step. @throws std::runtime_error
void write_kept_policy(const std::string& path, const KeptPolicy& policy);

/// @throws std::runtime_error that names the file and what is wrong with it
[[nodiscard]] KeptPolicy read_kept_policy(const std::string& path);

}  // namespace noclash::dpdk
