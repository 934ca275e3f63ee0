// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nat/packet/translation.hpp"
#include "nat/policy/policy_snapshot.hpp"

namespace noclash::schedule {

/// A policy of defaults, for what asks no rule.
inline const nat::Policy<V4>& no_rules() {
    // With a key: one that is drawn in the first run alone would change its numbers.
    static nat::Identities identities(nat::IdentityTable{{}, {}, {}, {1, 2}});
    static const nat::Policy<V4> policy({}, {}, {}, identities, nullptr);
    return policy;
}

/// What translating its packets changes, of a flow whose tuples are written.
template <class Record>
void fill_in(Record& flow) {
    Tuple<V4> to;
    Tuple<V4>::invert(flow.tuple(Direction::reply), to);
    nat::keep(flow, nat::translation(flow.tuple(Direction::original), to));
}

}  // namespace noclash::schedule
