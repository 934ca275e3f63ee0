// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dpdk/config/config.hpp"

namespace noclash::dpdk {

/// One difference between two configurations.
struct ConfigChange {
    enum class Kind : std::uint8_t {
        added,
        removed,
        changed,  ///< what has this name has other settings
        moved,    ///< stands at another place among the others: a rule; a port
    };
    Kind kind;
    /// As the file names it: "rule", "service", "pool", "port", "route", "neighbor"; or a table,
    /// "limits"; empty for a key at the top of the file.
    std::string section;
    /// Of the rule, service, pool or port; of a route its prefix; of a neighbour its address; of a
    /// setting its key, "udp_s".
    std::string name;
    std::string words;   ///< for people: `action: masquerade -> drop`; `300 -> 120`
    bool needs_restart;  ///< cannot be changed while noclash runs
    friend bool operator==(const ConfigChange&, const ConfigChange&) = default;
};

/// "added", "removed", "changed" or "moved".
[[nodiscard]] std::string_view to_string(ConfigChange::Kind kind);

/// What was changed, as people look for it in the file: `workers`, `[limits] sources`, `rule
/// "web"`.
[[nodiscard]] std::string title_of(const ConfigChange& change);

/// The titles of those that need a restart, each once.
[[nodiscard]] std::vector<std::string> restart_titles(const std::vector<ConfigChange>& changes);

/// What is to be done to make `wanted` of `running`; nothing when they mean the same. Both have
/// been checked. What has a name, a prefix or an address is the same in both when that is: it is
/// changed, never removed and added anew. A port of which some changes need a restart has one
/// change for these and one for the others. Comments and warnings make no difference, nor does the
/// order of pools, routes, neighbours, services and backends.
///
/// In this order: keys at the top, tables, ports, routes, neighbours, pools, rules, services; of
/// each of these, what was removed comes first, then the others as `wanted` has them.
[[nodiscard]] std::vector<ConfigChange> config_changes(const Config& running, const Config& wanted);

}  // namespace noclash::dpdk
