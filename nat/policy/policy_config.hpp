// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "nat/packet/icmp.hpp"
#include "nat/policy/policy.hpp"
#include "nat/policy/service.hpp"
#include "nat/policy/tcp_policy.hpp"

namespace noclash::nat {

template <class Family>
struct PolicyConfig {
    std::vector<Pool<Family>> pools;
    std::vector<Rule<Family>> rules;
    std::vector<Service<Family>> services{};  ///< asked before rules
    /// The ICMP error to the sender of a packet that gets no flow, because table or ports
    /// run out; nothing, when absent. Of RFC 6888's "host unreachable" and RFC 5508's
    /// "administratively prohibited", the first is the error that hosts take for a passing one
    /// (RFC 1122, section 4.2.3.9), which a shortage is.
    std::optional<IcmpError> no_room_error = icmp_error::host_unreachable;
    /// Whether a flow that is not assured ends to make room when the table is full (netfilter's
    /// early drop); else none ever does [RFC 6888 REQ-11].
    bool early_drop = false;
    /// How much of the table TCP connections that may come from outside can take while they are
    /// half open; beyond it the oldest go. 0: there is no bound.
    std::uint32_t half_open_percent = 75;
    TcpPolicy tcp{};
    TcpTimestamps tcp_timestamps = TcpTimestamps::preserve;
    TcpReuse tcp_reuse = TcpReuse::safe;
    TcpUnknown tcp_unknown = TcpUnknown::drop;
};

}  // namespace noclash::nat
