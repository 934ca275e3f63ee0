// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/tuple.hpp"
#include "nat/policy/identities.hpp"
#include "nat/policy/pooling.hpp"
#include "nat/policy/port_set.hpp"

namespace noclash::nat {

/// `Rule::mss_clamp` that leaves it to the MTU.
inline constexpr std::uint16_t any_mss = 65535;

/// `Rule::service` of what is no service.
inline constexpr std::uint32_t no_service = UINT32_MAX;

/// A rule's action on the first packet of a flow.
enum class Action : std::uint8_t { drop, reject, forward, snat, masquerade, dnat, bind };

/// Whether a first packet goes no further, in silence or with an answer [RFC 5508 REQ-8].
[[nodiscard]] constexpr bool forbids(Action action) {
    return action == Action::drop || action == Action::reject;
}

/// Whether what a `forward` rule lets pass gets a flow.
enum class Tracking : std::uint8_t {
    flow,  ///< as with all other rules
    none,  ///< each packet is forwarded on its own: nat/untracked.hpp
};

/// What becomes of a rule's flows when a reload removes the rule, or forbids what it allowed.
enum class OnChange : std::uint8_t {
    keep,  ///< they live on, until they end by themselves
    end,   ///< they end with it
};

/// How the source of a flow is translated.
enum class SourceNat : std::uint8_t {
    keep,        ///< stays as it is (its port moves only when the tuple is taken)
    masquerade,  ///< becomes the egress port's own address
    pool,        ///< becomes an address of a pool
};

/// The dependence of a translated source on the destination [RFC 4787 REQ-1] [RFC 5382 REQ-1].
enum class Mapping : std::uint8_t {
    endpoint_dependent,    ///< EDM: each flow has a port of its own, which other flows may share
    endpoint_independent,  ///< EIM: an inside endpoint has one outside endpoint for all it talks to
};

/// Which remotes may send to the outside endpoint of a mapping [RFC 4787 REQ-8] [RFC 5382 REQ-3].
enum class Filtering : std::uint8_t {
    address_and_port_dependent,  ///< APDF: only endpoints that the inside endpoint has sent to
    address_dependent,           ///< ADF: any port of such an address
    endpoint_independent,        ///< EIF: everybody
};

/// How source NAT behaves, in the words of RFC 4787. Other filtering than APDF needs EIM.
struct NatBehavior {
    Mapping mapping = Mapping::endpoint_dependent;
    Filtering filtering = Filtering::address_and_port_dependent;
    friend bool operator==(NatBehavior, NatBehavior) = default;
};

/// Where a `dnat` rule sends a flow.
template <class Family>
struct Target {
    typename Family::Address address;
    std::optional<std::uint16_t> port;  ///< absent: the port stays
    friend bool operator==(const Target&, const Target&) = default;
};

/// Binds an inside endpoint to an outside one in both directions: what the inside one sends leaves
/// as the outside one, and what comes to that goes inside, whichever side begins. Without ports,
/// all of an address: 1:1 NAT. No other flow gets the outside endpoint for a source.
template <class Family>
struct StaticMapping {
    Target<Family> inside;
    Target<Family> outside;  ///< has a port just when `inside` has one

    /// A packet that the inside endpoint sends.
    [[nodiscard]] bool leaves(const Tuple<Family>& tuple) const {
        return tuple.source == inside.address &&
               (!inside.port || tuple.source_port.host() == *inside.port);
    }
    /// A packet to the outside endpoint.
    [[nodiscard]] bool enters(const Tuple<Family>& tuple) const {
        return tuple.destination == outside.address &&
               (!outside.port || tuple.destination_port.host() == *outside.port);
    }
    friend bool operator==(const StaticMapping&, const StaticMapping&) = default;
};

/// Whether the gateway answers clients' SYNs in the place of a TCP service's backends
/// (nat/syn_proxy/syn_proxy.hpp).
enum class SynProxyMode : std::uint8_t {
    off,
    automatic,  ///< while very many connections are half open
    on,
};

/// One rule of the list; the first that matches decides. An empty list matches anything. What a
/// first packet needs of its rule, once it is known, comes first, on one cache line.
template <class Family>
struct alignas(64) Rule {
    RuleId id = 0;  ///< given by the policy: the number of its name

    // The action.
    Action action = Action::drop;
    Tracking tracking = Tracking::flow;
    SourceNat source_nat = SourceNat::keep;
    OnChange on_change = OnChange::keep;
    std::uint16_t pool = 0;   ///< index into the pools, when `source_nat` is `pool`
    PortRange ports;          ///< of `masquerade`
    PortLikeness likeness{};  ///< likewise
    NatBehavior behavior{};   ///< of the source NAT; with a pool, the pool's
    /// When there, SYNs and SYN-ACKs of the rule's flows promise to take no larger segments than
    /// this (bytes of payload) and than fit the MTU of both ports.
    std::optional<std::uint16_t> mss_clamp;
    /// Of a `dnat` rule that the policy made of a service: the place of the service in its list.
    std::uint32_t service = no_service;
    SynProxyMode syn_proxy = SynProxyMode::off;  ///< likewise
    /// The targets of a `dnat` rule, at least one: each new flow gets one of them at random.
    std::vector<Target<Family>> targets;

    // The conditions, on the packet as it came.
    std::optional<std::uint16_t> ingress_port;  ///< index of the port
    std::optional<std::uint8_t> protocol;
    std::optional<PortRange> to_port;
    std::vector<Prefix<Family>> from;
    std::vector<Prefix<Family>> to;
    /// The mapping of a `bind` rule, which matches by it and by `protocol` (TCP or UDP when it has
    /// ports).
    std::optional<StaticMapping<Family>> mapping;

    std::string name;

    [[nodiscard]] bool is_service() const { return service != no_service; }
};

/// Addresses and ports that sources are translated to. Ranges may be anywhere [RFC 6888 REQ-3].
template <class Family>
struct Pool {
    std::string name;
    std::vector<typename Family::Address> addresses;  ///< ranges expanded; at most 65,536
    PortRange ports;
    Pooling pooling = Pooling::paired;
    PortLikeness likeness{};
    Pairing pairing{};  ///< given by the policy, as is `id`
    NatBehavior behavior{};
    PoolId id = 0;  ///< the number of its name
};

}  // namespace noclash::nat
