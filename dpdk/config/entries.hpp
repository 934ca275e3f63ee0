// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "dpdk/config/config.hpp"
#include "dpdk/config/settings.hpp"

namespace noclash::dpdk {

/// An entry of an array of tables, as far as it matters when two configurations are compared.
struct Entry {
    std::string name;  ///< what is the same has the same one: a name, a prefix, an address
    Settings settings;
    std::string words;  ///< what it is, for people
};

[[nodiscard]] std::vector<Entry> ports_of(const Config& config);
[[nodiscard]] std::vector<Entry> routes_of(const Config& config);
[[nodiscard]] std::vector<Entry> neighbors_of(const Config& config);
[[nodiscard]] std::vector<Entry> pools_of(const Config& config);
[[nodiscard]] std::vector<Entry> rules_of(const Config& config);
[[nodiscard]] std::vector<Entry> services_of(const Config& config);

}  // namespace noclash::dpdk
