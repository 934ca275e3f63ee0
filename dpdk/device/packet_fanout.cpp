// SPDX-License-Identifier: Apache-2.0
#include "dpdk/device/packet_fanout.hpp"

#include <linux/if_packet.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

namespace noclash::dpdk {

namespace {

std::atomic<std::uint64_t> joined{0};

/// The upper half of the option's word; the lower half is the number of the group.
constexpr std::uint32_t defragment = std::uint32_t{PACKET_FANOUT_FLAG_DEFRAG} << 16U;

int set_option(int socket, int level, int name, const void* value, socklen_t length) {
    // The C library's own may be this one: there is nothing to fall back on but the system call.
    return static_cast<int>(::syscall(SYS_setsockopt, socket, level, name, value, length));
}

int join_fanout(int socket, const void* value, socklen_t length) {
    std::uint32_t word = 0;
    std::memcpy(&word, value, sizeof word);
    word &= ~defragment;
    const int result = set_option(socket, SOL_PACKET, PACKET_FANOUT, &word, length);
    if (result == 0) joined.fetch_add(1, std::memory_order_relaxed);
    return result;
}

}  // namespace

std::uint64_t sockets_without_defragmentation() {
    return joined.load(std::memory_order_relaxed);
}

}  // namespace noclash::dpdk

/// In place of the C library's, for drivers too: see dpdk/device/packet_fanout.hpp.
// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): glibc's names are reserved.
extern "C" int setsockopt(int socket, int level, int name, const void* value,
                          socklen_t length) noexcept {
    using namespace noclash::dpdk;
    if (level == SOL_PACKET && name == PACKET_FANOUT && length == sizeof(std::uint32_t))
        return join_fanout(socket, value, length);
    return set_option(socket, level, name, value, length);
}
