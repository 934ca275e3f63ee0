// SPDX-License-Identifier: Apache-2.0
#include "dpdk/device/background.hpp"

#include <sys/resource.h>

#include <exception>
#include <thread>

namespace noclash::dpdk {

void in_background(const std::function<void()>& work) {
    std::exception_ptr thrown;
    std::thread thread([&] {
        // Of this thread alone, for Linux; a thread that may not be nicer works as it is.
        static_cast<void>(::setpriority(PRIO_PROCESS, 0, 19));
        try {
            work();
        } catch (...) {
            thrown = std::current_exception();
        }
    });
    thread.join();
    if (thrown) std::rethrow_exception(thrown);
}

}  // namespace noclash::dpdk
