// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "engine/tuple.hpp"

namespace noclash::nat {

/// The words of `Flow::memory`. All are relaxed atomics, written by whichever worker
/// has a packet; a flow begins with zeros (`track_first`), and keeps what it has when it closes.
namespace flow_memory {

/// One past the last sequence number that this direction's sender has used, SYN and FIN counted.
[[nodiscard]] constexpr std::size_t tcp_end(Direction sender) {
    return static_cast<std::size_t>(sender);
}

/// The same word of the reply's sender, while a proxied flow waits for it (nat/syn_proxy/): what
/// the SYN to it says.
inline constexpr std::size_t proxied_syn = tcp_end(Direction::reply);

/// The last acknowledgment number of this direction's sender: what it expects next. Before its
/// first one, the other side's initial sequence number.
[[nodiscard]] constexpr std::size_t tcp_acknowledged(Direction sender) {
    return 2 + static_cast<std::size_t>(sender);
}

/// The largest windows, as they stand in headers: the original sender's in the low half. Their
/// scales are in `Flow::protocol_detail`.
inline constexpr std::size_t tcp_windows = 4;

/// The number that is added to the original direction's TSval; 0: nothing.
inline constexpr std::size_t timestamp_offset = 5;

/// The same word in a proxied flow (nat/syn_proxy/): the number that is added to the reply
/// direction's TSval; until the backend has answered, the TSval that the client echoes.
inline constexpr std::size_t timestamp_shift = timestamp_offset;

/// The latest TSval that went out in the original direction; 0: none.
inline constexpr std::size_t timestamp_sent = 6;

// The same words in mappings and permissions (nat/mapping/mapping.hpp), which no packet belongs to,
// are:

inline constexpr std::size_t references = 0;     ///< how many flows and permissions hold it
inline constexpr std::size_t outward_until = 1;  ///< a Moment: see `outward_until()`
inline constexpr std::size_t idle = 2;           ///< 1: in quarantine

}  // namespace flow_memory

}  // namespace noclash::nat
