// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nat/policy/policy_snapshot.hpp"

namespace noclash::schedule {

/// A policy of defaults, for what asks no rule.
inline const nat::Policy<V4>& no_rules() {
    static nat::Identities identities(1);
    static const nat::Policy<V4> policy({}, {}, {}, identities, nullptr);
    return policy;
}

}  // namespace noclash::schedule
