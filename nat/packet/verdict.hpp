// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>

#include "engine/tuple_index.hpp"
#include "nat/packet/drop_reason.hpp"
#include "nat/packet/icmp.hpp"
#include "nat/packet/packet.hpp"

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

/// What the pipeline asks of the router around it.
template <class R, class Family>
concept Router = requires(const R router, const typename Family::Address& address,
                          Hop<Family>& hop) {
    { router.route(address) } -> std::same_as<std::optional<Hop<Family>>>;
    { router.route(address, hop) } -> std::same_as<bool>;  // the same, written in place
    { router.port_address(hop.port) } -> std::same_as<typename Family::Address>;
    { router.is_own(address) } -> std::same_as<bool>;  // of a port or a pool
    // The broadcast or the network address of a port's subnet.
    { router.is_broadcast(address) } -> std::same_as<bool>;
    // Either of both: no other host has it. Asked of each first packet, for both its addresses.
    { router.is_reserved(address) } -> std::same_as<bool>;
    // Reserved, or an inside one that a rule translates to or from: a dnat target, a static
    // mapping's.
    { router.is_translated(address) } -> std::same_as<bool>;
    // Whether any port asks for the way back to a source, and whether there is one (RFC 3704).
    { router.checks_reverse_path() } -> std::same_as<bool>;
    { router.has_way_back(address, hop.port) } -> std::same_as<bool>;
};

enum class Outcome : std::uint8_t {
    drop,      ///< for `reason`
    reject,    ///< drop for `reason`, and tell the sender by `error`
    reset,     ///< drop for `reason`, and tell the sender of a TCP segment by a RST
    transmit,  ///< rewritten; send it to its hop
    fragment,  ///< likewise, in fragments: it is longer than its hop's MTU
    park,      ///< its flow cannot be decided just now: process it again soon
};

/// What becomes of a packet: a word, to be handed up in a register.
struct alignas(8) Verdict {
    Outcome outcome = Outcome::drop;
    DropReason reason = DropReason::none;
    IcmpError error{};

    static Verdict drop(DropReason reason) { return {Outcome::drop, reason, {}}; }
    static Verdict reject(DropReason reason, IcmpError error) {
        return {Outcome::reject, reason, error};
    }
    static Verdict reset(DropReason reason) { return {Outcome::reset, reason, {}}; }
    static Verdict transmit() { return {Outcome::transmit, DropReason::none, {}}; }
    static Verdict fragment() { return {Outcome::fragment, DropReason::none, {}}; }
    /// `late` is what the packet is dropped for when it has waited too long.
    static Verdict park(DropReason late = DropReason::park_timeout) {
        return {Outcome::park, late, {}};
    }
    /// As `refusal`, a drop or reject, once the packet has waited too long.
    static Verdict park(const Verdict& refusal) {
        return {Outcome::park, refusal.reason, refusal.error};
    }
    /// Whether the sender of a packet that parked is told when it has waited too long.
    [[nodiscard]] bool tells_when_late() const { return error.type != 0; }
    [[nodiscard]] bool transmits() const {
        return outcome == Outcome::transmit || outcome == Outcome::fragment;
    }
};
static_assert(sizeof(Verdict) == 8);

/// One packet on its way through the pipeline.
template <class Family>
struct Job {
    PacketView packet{};
    std::uint16_t ingress_port = 0;
    void* buffer = nullptr;  ///< the caller's own: which buffer this is
    /// Of ICMP errors, once it is known that they are, `tuple` is that of the direction in which
    /// they go: the inverse of the quoted packet's.
    Parsed<Family> parsed{};
    std::uint64_t hash = 0;  ///< of `parsed.tuple`
    Found found{};           ///< its flow, as far as the bucket tells
    Verdict verdict{};
    Hop<Family> hop{};  ///< where it goes; of packets that are transmitted
};

}  // namespace noclash::nat
