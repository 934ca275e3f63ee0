// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

namespace noclash::dpdk {

/// Does `work` in a thread of the lowest priority (nice 19) and waits for it: what takes long gives
/// way to workers that share its CPU. What it throws is thrown here.
void in_background(const std::function<void()>& work);

}  // namespace noclash::dpdk
