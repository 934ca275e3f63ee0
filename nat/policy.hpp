// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/tuple.hpp"
#include "nat/icmp.hpp"

namespace noclash::nat {

/// Inclusive range of transport ports (or ICMP identifiers), in host order.
struct PortRange {
    std::uint16_t first = 1024;
    std::uint16_t last = 65535;

    [[nodiscard]] std::uint32_t size() const { return last - first + 1U; }
    [[nodiscard]] bool contains(std::uint16_t port) const { return first <= port && port <= last; }
    friend bool operator==(PortRange, PortRange) = default;
};

/// `Rule::mss_clamp` that leaves it to the MTU.
inline constexpr std::uint16_t any_mss = 65535;

/// What becomes of the first packet of a flow.
enum class Action : std::uint8_t { drop, forward, snat, masquerade, dnat };

/// How the source of a flow is translated.
enum class SourceNat : std::uint8_t {
    keep,        ///< stays as it is (its port moves only when the tuple is taken)
    masquerade,  ///< becomes the egress port's own address
    pool,        ///< becomes an address of a pool
};

/// What becomes of the TCP timestamps of connections whose source is translated (RFC 7323).
enum class TcpTimestamps : std::uint8_t {
    preserve,   ///< they pass as they are
    normalize,  ///< each outside address has one clock
    strip,      ///< SYNs do not offer them
};

/// Where a `dnat` rule sends a flow.
template <class Family>
struct Target {
    typename Family::Address address;
    std::optional<std::uint16_t> port;  ///< absent: the port stays
    friend bool operator==(const Target&, const Target&) = default;
};

/// One rule of the list; the first that matches decides. An empty list matches anything.
template <class Family>
struct Rule {
    std::string name;

    // What it matches, in the packet as it came.
    std::optional<std::uint16_t> ingress_port;  ///< index of the port
    std::optional<std::uint8_t> protocol;
    std::vector<Prefix<Family>> from;
    std::vector<Prefix<Family>> to;
    std::optional<PortRange> to_port;

    // What it does.
    Action action = Action::drop;
    SourceNat source_nat = SourceNat::keep;
    std::uint16_t pool = 0;  ///< index into the pools, when `source_nat` is `pool`
    PortRange ports;         ///< of `masquerade`
    /// When there, SYNs and SYN-ACKs of the rule's flows promise to take no larger segments than
    /// this (bytes of payload) and than fit the MTU of both ports.
    std::optional<std::uint16_t> mss_clamp;
    /// Of a `dnat` rule, which has at least one: each new flow gets one of them at random.
    std::vector<Target<Family>> targets;
};

/// Addresses and ports that sources are translated to. Ranges may be anywhere [RFC 6888 REQ-3].
template <class Family>
struct Pool {
    std::string name;
    std::vector<typename Family::Address> addresses;  ///< ranges expanded; at most 65,536
    PortRange ports;
};

template <class Family>
struct PolicyConfig {
    std::vector<Pool<Family>> pools;
    std::vector<Rule<Family>> rules;
    /// What the sender of a packet is told that no flow can be set up for, because table or ports
    /// run out; nothing, when absent. Of RFC 6888's "host unreachable" and RFC 5508's
    /// "administratively prohibited", the first is the error that hosts take for a passing one
    /// (RFC 1122, section 4.2.3.9), which a shortage is.
    std::optional<IcmpError> no_room_error = icmp_error::host_unreachable;
    TcpTimestamps tcp_timestamps = TcpTimestamps::preserve;
};

}  // namespace noclash::nat
