// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "dpdk/control/flow_view.hpp"

namespace noclash::dpdk {

/// Which flows somebody wants to see; what is absent matches any. Mappings, permissions and
/// incarnations are seen when `state` names them, else not.
struct FlowFilter {
    std::optional<Prefix<V4>> source;       ///< of the original tuple
    std::optional<Prefix<V4>> destination;  ///< of the original tuple
    std::optional<Prefix<V4>> address;      ///< anywhere in either tuple
    std::optional<std::uint16_t> port;      ///< anywhere in either tuple
    std::optional<std::uint16_t> source_port;
    std::optional<std::uint16_t> destination_port;
    std::optional<std::uint8_t> protocol;
    std::optional<std::string> state;

    /// The "filter" of a request, which may be absent or null.
    /// @throws std::runtime_error that names the key and what was expected
    [[nodiscard]] static FlowFilter parse(const nlohmann::json& request);
    [[nodiscard]] bool matches(const FlowView& flow) const;
    /// Mappings, permissions or incarnations are wanted, no connections.
    [[nodiscard]] bool wants_wildcards() const;
    [[nodiscard]] bool is_empty() const { return *this == FlowFilter{}; }

    friend bool operator==(const FlowFilter&, const FlowFilter&) = default;
};

}  // namespace noclash::dpdk
