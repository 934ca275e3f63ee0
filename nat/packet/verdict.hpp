// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "nat/packet/drop_reason.hpp"
#include "nat/packet/icmp.hpp"

namespace noclash::nat {

enum class Outcome : std::uint8_t {
    drop,      ///< for `reason`
    reject,    ///< drop for `reason`, and tell the sender by `error`
    reset,     ///< drop for `reason`, and tell the sender of a TCP segment by a RST
    transmit,  ///< rewritten; send it to its hop
    fragment,  ///< likewise, in fragments: it is longer than its hop's MTU
    park,      ///< its flow cannot be decided just now: process it again soon
    taken,     ///< the gateway was its receiver; what it answers waits in `OwnSegments`
};

/// The fate of a packet, in one word, so that it is handed up in a register.
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
    static Verdict taken() { return {Outcome::taken, DropReason::none, {}}; }
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

}  // namespace noclash::nat
