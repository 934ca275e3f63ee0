// SPDX-License-Identifier: Apache-2.0
#pragma once

// The kinds of records in the flow table: flows, whose tuples are those of packets, and three
// others that use the table's atomic claim for tuples of their own. `Tuple::reserved` tells them
// apart.

#include <cstdint>

#include "engine/tuple.hpp"

namespace noclash::nat {

/// Values of `Tuple::reserved` in tuples that no packet has. Packets' tuples have 0.
namespace wildcard {
inline constexpr std::uint8_t remote = 1;       ///< of a mapping: any remote address and port
inline constexpr std::uint8_t remote_port = 2;  ///< of a permission: any port of one address
/// Marks a new incarnation of a live connection (nat/reuse/incarnations.hpp): its tuples are those
/// of the connection's flow, with this mark.
inline constexpr std::uint8_t incarnation = 3;
}  // namespace wildcard

/// A mapping, a permission or an incarnation, as opposed to a flow.
template <class Record>
[[nodiscard]] bool is_wildcard(const Record& record) {
    return record.tuple(Direction::original).reserved != 0;
}
template <class Record>
[[nodiscard]] bool is_mapping(const Record& record) {
    return record.tuple(Direction::original).reserved == wildcard::remote;
}

template <class Record>
[[nodiscard]] bool is_incarnation(const Record& record) {
    return record.tuple(Direction::original).reserved == wildcard::incarnation;
}

/// The tuple of the new incarnation of a flow with `tuple`, in either direction.
template <class Family>
[[nodiscard]] Tuple<Family> incarnation_of(Tuple<Family> tuple) {
    tuple.reserved = wildcard::incarnation;
    return tuple;
}

}  // namespace noclash::nat
