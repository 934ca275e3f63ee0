// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dpdk/config/config.hpp"

namespace noclash::dpdk {

/// Whether a setting can become another one while noclash runs.
enum class Reload : std::uint8_t {
    live,
    restart,  ///< memory, threads and devices are laid out by it at start
};

/// The words of a setting: one; of a list, any number.
using Values = std::vector<std::string>;

/// A key of a configuration with its value in words, as the file has them. Two values are equal
/// just when their words are.
struct Setting {
    std::string_view key;
    Values values;
    Reload reload = Reload::live;
    std::string_view nothing = "none";  ///< what an empty list means
};
using Settings = std::vector<Setting>;

/// The settings of one table of the file.
struct Table {
    std::string_view name;  ///< empty: the keys at the top of the file
    Settings settings;
};

/// What stands in no array of tables: the top of the file, and its tables. All configurations have
/// the same keys, in the same order.
[[nodiscard]] std::vector<Table> tables_of(const Config& config);

/// Those of one entry of an array of tables, without what identifies it. All entries of a kind have
/// the same keys, in the same order; those that mean nothing in an entry have their defaults.
[[nodiscard]] Settings settings_of(const PortConfig& port);
[[nodiscard]] Settings settings_of(const RouteConfig& route, const Config& config);
[[nodiscard]] Settings settings_of(const StaticNeighbor& neighbor, const Config& config);
[[nodiscard]] Settings settings_of(const nat::Pool<V4>& pool);
[[nodiscard]] Settings settings_of(const nat::Rule<V4>& rule, const Config& config);
[[nodiscard]] Settings settings_of(const nat::Service<V4>& service, const Config& config);

/// With commas between them; of many, the first ones and how many more there are.
[[nodiscard]] std::string shown_values(const Values& values);

}  // namespace noclash::dpdk
