// SPDX-License-Identifier: Apache-2.0
#include "engine/base/parallel.hpp"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

namespace noclash {

void parallel_for(std::size_t size, std::size_t grain, LoopPart part) {
    tbb::parallel_for(tbb::blocked_range<std::size_t>(0, size, grain),
                      [part](const tbb::blocked_range<std::size_t>& range) {
                          part.call(part.context, range.begin(), range.end());
                      });
}

}  // namespace noclash
