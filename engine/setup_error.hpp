// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace noclash {

/// Why a step of a flow's set-up did not succeed: one word from the tuple index up to the place
/// that makes a packet's verdict of it (nat/setup_verdict.hpp).
enum class SetupError : std::uint8_t {
    none,   ///< the step succeeded
    taken,  ///< the tuple has an owner
    busy,   ///< no slot until a grace period ends: try again after the next quiescent state
    chain_too_long,  ///< the tuple's bucket and overflow are full of entries
    table_full,      ///< no record is free
    exhausted,       ///< no address and port is free
    unfinished,      ///< none found yet, and some are left to try: go on at the next visit
    pending,         ///< what is needed is being set up, or is ending: try again at the next visit
    filtered,        ///< a mapping does not admit the remote
};

}  // namespace noclash
