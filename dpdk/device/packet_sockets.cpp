// SPDX-License-Identifier: Apache-2.0
#include "dpdk/device/packet_sockets.hpp"

#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/membarrier.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <mutex>
#include <vector>

namespace noclash::dpdk {

namespace {

std::atomic<std::uint64_t> joined{0};

/// Packet sockets that hear nothing yet.
struct Deaf {
    std::mutex lock;
    std::vector<int> sockets;
};

Deaf& deaf() {
    static Deaf all;
    return all;
}

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

/// Where the kernel refuses the filter, the socket works as it would without.
void deafen(int socket) {
    sock_filter drop_all = BPF_STMT(BPF_RET | BPF_K, 0);
    const sock_fprog program{.len = 1, .filter = &drop_all};
    if (set_option(socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0) return;
    const std::scoped_lock guard(deaf().lock);
    deaf().sockets.push_back(socket);
}

}  // namespace

std::uint64_t sockets_without_defragmentation() {
    return joined.load(std::memory_order_relaxed);
}

void open_packet_sockets() {
    const std::scoped_lock guard(deaf().lock);
    if (deaf().sockets.empty()) return;
    // A grace period of the kernel's: a frame that is on its way to a socket from before the socket
    // joined meets the filter.
    ::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
    const int unused = 0;
    // One that the driver has closed has no filter to lose.
    for (const int socket : deaf().sockets)
        set_option(socket, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused);
    deaf().sockets.clear();
}

}  // namespace noclash::dpdk

/// In place of the C library's, for drivers too: see dpdk/device/packet_sockets.hpp.
// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): glibc's names are reserved.
extern "C" int setsockopt(int socket, int level, int name, const void* value,
                          socklen_t length) noexcept {
    using namespace noclash::dpdk;
    // The first option that the driver sets: the ring comes later.
    if (level == SOL_PACKET && name == PACKET_VERSION) deafen(socket);
    if (level == SOL_PACKET && name == PACKET_FANOUT && length == sizeof(std::uint32_t))
        return join_fanout(socket, value, length);
    return set_option(socket, level, name, value, length);
}
