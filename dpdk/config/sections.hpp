// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <unordered_set>
#include <vector>

#include "dpdk/config/config.hpp"
#include "dpdk/config/reader.hpp"

namespace noclash::dpdk {

/// Each reads its part of the file into the configuration and notes what is wrong. They run in this
/// order, since later parts refer to earlier ones by name or address.

void read_general(const Section& top, Config& config);
void read_state(const Section& top, Config& config);
void read_memory(const Section& top, Config& config);
void read_neighbors(const Section& top, Config& config);
void read_fragments(const Section& top, Config& config);
void read_timeouts(const Section& top, Config& config);
void read_ports(const Section& top, Config& config);
void read_routes(const Section& top, Config& config);
void read_pools(const Section& top, Config& config);
void read_rules(const Section& top, Config& config);
void read_services(const Section& top, Config& config);
void read_limits(const Section& top, Config& config);
void read_static_neighbors(const Section& top, Config& config);

/// Reads `control_socket`, when it is there; an unfit one has been noted.
void read_control_socket(const Section& top, std::string& into);

/// Reads the `name` of a port, pool, rule or service; an unfit or missing one has been noted.
/// @param longest  characters
[[nodiscard]] std::string read_name(const Section& section, std::size_t longest = 31);

/// Reads the word for a value of an enum; `words` are in its order.
template <std::size_t count, class Enum>
void read_word(const Section& section, std::string_view key,
               const std::array<std::string_view, count>& words, Enum& into) {
    if (const auto word = section.choice(key, words)) into = static_cast<Enum>(*word);
}

/// Reads a prefix or an array of them; unfit ones have been noted.
[[nodiscard]] std::vector<Prefix<V4>> read_prefixes(const Section& section, std::string_view key);

/// Reads a range of ports such as "1024-65535", when `key` is there.
void read_port_range(const Section& section, std::string_view key, nat::PortRange& ports);

/// Reads how ports of `ports` are chosen: `port_preservation` and `port_parity`.
void read_port_likeness(const Section& section, nat::PortRange ports, nat::PortLikeness& likeness);

/// Reads `in`; the index of the port that it names.
[[nodiscard]] std::optional<std::uint16_t> read_ingress(const Section& section,
                                                        const Config& config);

/// The index of the pool that `key` names; there being none has been noted.
[[nodiscard]] std::optional<std::uint16_t> find_pool(const Section& section, std::string_view key,
                                                     std::string_view name, const Config& config);

/// What `source` says of a flow whose destination is translated.
struct Source {
    nat::SourceNat source_nat = nat::SourceNat::keep;
    std::optional<std::uint16_t> pool;  ///< its index
};
[[nodiscard]] Source read_source(const Section& section, const Config& config);

/// Reads `mapping` and `filtering`, and notes what needs the other.
void read_behavior(const Section& section, nat::NatBehavior& behavior);
/// Notes when what is read gives out ports that an earlier rule, or pool, gives out otherwise.
/// The rules that were read before, as far as another one is compared with them.
struct EarlierRules {
    std::unordered_set<std::string> names;
    std::vector<std::size_t> masquerading;  ///< places in the list
    std::vector<std::size_t> mapping;  ///< of those, the ones with endpoint-independent mappings
};
void check_behavior(const Section& section, const nat::Rule<V4>& rule, const Config& config,
                    EarlierRules& earlier);
void check_behavior(const Section& section, const nat::Pool<V4>& pool, const Config& config);

/// Reads `inside` and `outside` of a rule that is a static mapping, and checks that no other rule,
/// pool or port has either of them.
void read_static_mapping(const Section& section, const Config& config, nat::Rule<V4>& rule);

/// Reads `backends` of a service.
[[nodiscard]] std::vector<nat::Backend<V4>> read_backends(const Section& section);

/// The index of the element with this name.
template <class Elements>
[[nodiscard]] std::optional<std::uint16_t> index_of(const Elements& elements,
                                                    std::string_view name) {
    for (std::size_t i = 0; i < elements.size(); ++i) {
        if (elements[i].name == name) return static_cast<std::uint16_t>(i);
    }
    return std::nullopt;
}

}  // namespace noclash::dpdk
