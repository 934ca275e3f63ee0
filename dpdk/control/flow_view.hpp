// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/flow.hpp"
#include "engine/tuple.hpp"
#include "nat/mapping/mapping.hpp"

namespace noclash::dpdk {

/// One flow as it was at some moment, copied for somebody who looks at flows.
struct FlowView {
    FlowId id;
    Tuple<V4> original;
    Tuple<V4> reply;
    std::uint64_t packets[2];
    std::uint64_t bytes[2];
    std::int32_t timeout_ms;  ///< what is left
    std::uint16_t rule;
    std::uint16_t worker;
    std::uint8_t protocol_state;
    std::uint8_t marks;
    std::uint32_t references;  ///< of a mapping or permission: flows that hold it

    /// A mapping, permission or incarnation, no connection.
    [[nodiscard]] bool is_wildcard() const { return original.reserved != 0; }
    /// Whether this is the record of a connection's next incarnation (nat/reuse/incarnations.hpp).
    [[nodiscard]] bool is_incarnation() const {
        return original.reserved == nat::wildcard::incarnation;
    }
    /// The name as conntrack prints it; empty for a protocol without states.
    [[nodiscard]] std::string_view state() const;
};

}  // namespace noclash::dpdk
