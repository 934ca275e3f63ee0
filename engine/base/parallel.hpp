// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace noclash {

/// A part of a loop: `call(context, begin, end)` runs the rounds from `begin` to before `end`.
struct LoopPart {
    void (*call)(const void* context, std::size_t begin, std::size_t end);
    const void* context;
};

/// Runs the rounds 0 .. `size` - 1 on all CPUs, in parts of at least `grain` rounds. Intel TBB
/// stays out of this header: it would take a third of the time to compile those that include it.
void parallel_for(std::size_t size, std::size_t grain, LoopPart part);

/// As above.
/// @param function  called as `function(begin, end)`, from several threads at once; must not throw
template <class Function>
void parallel_for(std::size_t size, std::size_t grain, const Function& function) {
    const auto call = [](const void* context, std::size_t begin, std::size_t end) {
        (*static_cast<const Function*>(context))(begin, end);
    };
    parallel_for(size, grain, LoopPart{call, &function});
}

}  // namespace noclash
