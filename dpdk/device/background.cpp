// SPDX-License-Identifier: Apache-2.0
#include "dpdk/device/background.hpp"

#include <sys/resource.h>

#include <chrono>
#include <future>
#include <thread>
#include <utility>

namespace noclash::dpdk {

void in_background(const std::function<void()>& work, const std::function<void()>& between) {
    std::packaged_task<void()> task([&work] {
        // Of this thread alone, for Linux; a thread that may not be nicer works as it is.
        static_cast<void>(::setpriority(PRIO_PROCESS, 0, 19));
        work();
    });
    std::future<void> done = task.get_future();
    const std::jthread thread(std::move(task));
    while (done.wait_for(std::chrono::milliseconds(100)) != std::future_status::ready)
        between();
    done.get();
}

}  // namespace noclash::dpdk
