// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "nat/policy/policy.hpp"

namespace noclash::nat {

/// What keeps a client at its backend from one flow to the next.
enum class Affinity : std::uint8_t {
    none,    ///< flows are spread by both ends' addresses and ports
    client,  ///< all flows of a source address go to one backend, as long as backends stay the same
};

/// What a client hears of a service that has no backend for it.
enum class NoBackend : std::uint8_t {
    reject,  ///< at once: a RST for TCP, else "port unreachable" (RFC 1122, section 3.2.2.1)
    drop,    ///< nothing
};

/// What becomes of TCP connections to a backend that the service does not have any more.
enum class OnGone : std::uint8_t {
    reset,  ///< both ends get a RST
    keep,   ///< they live on, until they end by themselves
};

/// What the gateway offers to clients in the backends' place.
struct SynOffer {
    static constexpr std::uint16_t least_segment = 536, most_segment = 9216;
    static constexpr std::uint8_t most_scale = 14;

    std::uint16_t max_segment_size = 1460;  ///< `least_segment` to `most_segment` bytes
    std::uint8_t window_scale = 7;          ///< 0 to `most_scale` (RFC 7323, section 2.3)
    bool sack = true;
    bool timestamps = true;  ///< without, no client gets SACK and a window scale either
    friend bool operator==(const SynOffer&, const SynOffer&) = default;
};

/// When a backend whose openings fail gets no new flows for a while (nat/policy/inhibition.hpp).
struct Inhibit {
    std::uint32_t failures = 0;  ///< so many in a row; 0: never
    std::uint32_t first_s = 10;  ///< for how long, in seconds
    std::uint32_t most_s = 300;  ///< up to how long, when it goes on failing; `first_s` at least
    friend bool operator==(const Inhibit&, const Inhibit&) = default;
};
inline constexpr std::uint32_t usual_failures = 3;  ///< with `inhibit = true`

/// The weight of a backend that gets no new flow while another can have it: it drains.
inline constexpr std::uint16_t no_weight = 0;
inline constexpr std::uint16_t most_weight = 256;

/// Of `Service::syn_proxy_above`.
inline constexpr std::uint32_t default_syn_proxy_above = 4096, most_syn_proxy_above = 10'000'000;

/// A server behind a service. Its address and port are its identity.
template <class Family>
struct Backend {
    typename Family::Address address;
    std::uint16_t port = 0;    ///< 0: the port that the client asked for
    std::uint16_t weight = 1;  ///< share of new flows; 0 to `most_weight`
    friend bool operator==(const Backend&, const Backend&) = default;
};

/// A backend's address and port in one number.
template <class Family>
[[nodiscard]] std::uint64_t backend_identity(const typename Family::Address& address,
                                             std::uint16_t port) {
    std::uint64_t identity = 0;
    static_assert(sizeof address <= 6);
    std::memcpy(&identity, &address, sizeof address);
    return identity << 16U | port;
}

/// A virtual address and port, whose flows are spread over backends. Services are asked before
/// rules: no rule can take a service's packets.
template <class Family>
struct Service {
    std::string name;                           ///< of its own among services and rules
    typename Family::Address address;           ///< the VIP
    std::vector<PortRange> ports;               ///< of the VIP; at least one
    std::uint8_t protocol = 0;                  ///< TCP, UDP or SCTP
    std::optional<std::uint16_t> ingress_port;  ///< index of the port; absent: any
    SourceNat source_nat = SourceNat::keep;
    std::uint16_t pool = 0;  ///< index into the pools, when `source_nat` is `pool`
    Affinity affinity = Affinity::none;
    NoBackend no_backend = NoBackend::reject;
    OnGone on_gone = OnGone::reset;
    /// So long may TCP connections to a backend of weight 0 live (seconds); 0: as long as they
    /// like.
    std::uint32_t drain_s = 0;
    SynProxyMode syn_proxy = SynProxyMode::off;
    /// With `automatic`: half-open connections from which on the service is guarded.
    std::uint32_t syn_proxy_above = default_syn_proxy_above;
    /// What clients are offered while the service is guarded; absent: the least that all backends
    /// have offered lately.
    std::optional<SynOffer> syn_offer;
    Inhibit inhibit;
    std::vector<Backend<Family>> backends;
    bool by_command = false;  ///< made while the gateway runs; no file has it
    friend bool operator==(const Service&, const Service&) = default;
};

}  // namespace noclash::nat
