// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace noclash::nat {

/// The treatment of a segment that its receiver cannot expect. Never is one forwarded untranslated.
enum class TcpWindow : std::uint8_t {
    off,      ///< nobody looks: flags alone move the state
    liberal,  ///< a RST is dropped; anything else is translated, and moves nothing
    strict,   ///< dropped
};

struct TcpPolicy {
    TcpWindow window = TcpWindow::liberal;
    bool pickup = false;  ///< a segment other than a SYN may open a flow, too
    friend bool operator==(const TcpPolicy&, const TcpPolicy&) = default;
};

/// The treatment of TCP timestamps of connections whose source is translated (RFC 7323).
enum class TcpTimestamps : std::uint8_t {
    preserve,   ///< they pass as they are
    normalize,  ///< each outside address has one clock
    strip,      ///< SYNs do not offer them
};

/// Whether a new connection may succeed one that has ended but still holds its tuple.
enum class TcpReuse : std::uint8_t {
    never,  ///< it waits for its timeout
    safe,   ///< when no port is free, and no server that follows RFC 6191 refuses it
};

/// The treatment of a segment from an inside host that belongs to no flow and opens none.
enum class TcpUnknown : std::uint8_t {
    drop,   ///< nothing: silence
    reset,  ///< the host is told by a RST that its connection is gone
};

}  // namespace noclash::nat
