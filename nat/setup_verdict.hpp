// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "engine/setup_error.hpp"
#include "nat/packet/verdict.hpp"
#include "nat/policy/policy_config.hpp"

namespace noclash::nat {

/// A packet that cannot get a flow is dropped, and its sender is sent an ICMP error where the
/// policy says so; no existing flow is evicted: [RFC 6888 REQ-11] [RFC 5508 REQ-8] [field g].
template <class Family>
[[nodiscard]] Verdict no_room(const PolicyConfig<Family>& policy, DropReason reason) {
    const std::optional<IcmpError>& error = policy.no_room_error;
    return error ? Verdict::reject(reason, *error) : Verdict::drop(reason);
}

/// The verdict on a packet whose flow cannot be set up: the one place that decides it. Where
/// another visit may succeed, the packet parks, and is refused when it has waited too long.
/// @param error  not `none`
template <class Family>
[[nodiscard]] Verdict verdict_of(const PolicyConfig<Family>& policy, SetupError error) {
    switch (error) {
        case SetupError::none:
        case SetupError::taken:
        case SetupError::pending:
            return Verdict::park();
        case SetupError::busy:
            return Verdict::park(no_room(policy, DropReason::chain_too_long));
        case SetupError::unfinished:
            return Verdict::park(no_room(policy, DropReason::search_timeout));
        case SetupError::filtered:
            return Verdict::drop(DropReason::filtered);
        case SetupError::table_full:
            return no_room(policy, DropReason::table_full);
        case SetupError::exhausted:
            return no_room(policy, DropReason::exhausted);
        case SetupError::chain_too_long:
            break;
    }
    return no_room(policy, DropReason::chain_too_long);
}

}  // namespace noclash::nat
