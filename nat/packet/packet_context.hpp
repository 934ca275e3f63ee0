// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "engine/tuple_index.hpp"
#include "nat/packet/packet.hpp"
#include "nat/packet/verdict.hpp"

namespace noclash::nat {

/// Where a packet goes next.
template <class Family>
struct Hop {
    std::uint16_t port = 0;               ///< egress port
    std::uint16_t mtu = 1500;             ///< of that port, bytes of IP packet
    typename Family::Address next_hop{};  ///< whose link-layer address the frame gets
};
static_assert(sizeof(Hop<V4>) == sizeof(std::uint64_t));  // one word, and handled as such

/// The ingress port of what came by none: ICMP errors that the gateway itself reports.
inline constexpr std::uint16_t no_port = 0xffff;

/// One packet on its way through the pipeline.
template <class Family>
struct PacketContext {
    PacketView packet{};
    std::uint16_t ingress_port = 0;
    void* buffer = nullptr;  ///< the caller's own: which buffer this is
    /// In ICMP errors, once they are known to be such, `tuple` is that of the direction in which
    /// they go: the inverse of the quoted packet's.
    Parsed<Family> parsed{};
    std::uint64_t hash = 0;  ///< of `parsed.tuple`
    Found found{};           ///< its flow, as far as the bucket tells
    Verdict verdict{};
    Hop<Family> hop{};  ///< where it goes; of packets that are transmitted
};

}  // namespace noclash::nat
