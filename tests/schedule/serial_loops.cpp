// SPDX-License-Identifier: Apache-2.0

// All workers are fibers of one thread, so loops that would run on all CPUs run on this one.
// Instead of the engine's: a program's own definition comes first.

#include "engine/base/parallel.hpp"

namespace noclash {

void parallel_for(std::size_t size, std::size_t /*grain*/, LoopPart part) {
    if (size > 0) part.call(part.context, 0, size);
}

}  // namespace noclash
