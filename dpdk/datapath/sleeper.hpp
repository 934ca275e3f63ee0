// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <poll.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace noclash::dpdk {

/// How a worker that has nothing to do waits: until one of its queues has frames, where the device
/// has a descriptor that says so, and at most for a given time, since timers have to go on.
class Sleeper {
  public:
    explicit Sleeper(std::size_t most) { watched_.reserve(most); }

    void forget() {
        watched_.clear();
        is_woken_by_all_ = true;
    }
    /// A queue's descriptor, as of `Port::rx_descriptor`: -1 stands for a queue that wakes nobody.
    void watch(int descriptor) {
        if (descriptor < 0)
            is_woken_by_all_ = false;
        else
            watched_.push_back({descriptor, POLLIN, 0});
    }

    /// Whether no queue can get frames without ending `sleep`.
    [[nodiscard]] bool is_woken_by_all() const { return is_woken_by_all_; }

    /// @return whether a queue has frames
    bool sleep(long most_ns);

  private:
    std::vector<pollfd> watched_;
    bool is_woken_by_all_ = true;
};

}  // namespace noclash::dpdk
