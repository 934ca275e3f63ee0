// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>

#include "engine/quiescence.hpp"
#include "engine/tuple_hash.hpp"

namespace noclash {

/// The atomics, quiescence and hash of production; tests substitute their own (`tests/`).
struct Production {
    template <class T>
    using Atomic = std::atomic<T>;
    using Quiescence = QsbrQuiescence;
    using Hash = TupleHash;
};

}  // namespace noclash
