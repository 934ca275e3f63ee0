// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

namespace noclash::dpdk {

/// Does `work` in a thread of the lowest priority (nice 19) and waits for it: what takes long gives
/// way to workers that share its CPU. Calls `between` now and then while it waits. What either
/// throws is thrown here, once the thread has ended.
void in_background(const std::function<void()>& work, const std::function<void()>& between);

}  // namespace noclash::dpdk
