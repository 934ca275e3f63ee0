// SPDX-License-Identifier: Apache-2.0
#include "dpdk/datapath/sleeper.hpp"

#include <sys/socket.h>
#include <time.h>

namespace noclash::dpdk {

bool Sleeper::sleep(long most_ns) {
    const timespec most{0, most_ns};
    if (::ppoll(watched_.data(), watched_.size(), &most, nullptr) <= 0) return false;
    bool frames = false;
    for (const pollfd& queue : watched_) {
        frames |= (queue.revents & POLLIN) != 0;
        // An interface that was switched off: the socket tells it until somebody has asked.
        int error = 0;
        socklen_t length = sizeof error;
        if ((queue.revents & POLLERR) != 0)
            ::getsockopt(queue.fd, SOL_SOCKET, SO_ERROR, &error, &length);
    }
    return frames;
}

}  // namespace noclash::dpdk
