// SPDX-License-Identifier: Apache-2.0
#include "dpdk/device/device_sockets.hpp"

#include <linux/if_packet.h>
#include <linux/if_xdp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <string>

namespace noclash::dpdk {

namespace {

bool is_socket_of(int descriptor, int family) {
    int domain = 0;
    socklen_t length = sizeof domain;
    return ::getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 &&
           domain == family;
}

/// This process' sockets of a family, in ascending order.
std::vector<int> sockets_of(int family) {
    std::vector<int> found;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error)) {
        const std::string name = entry.path().filename().string();
        int descriptor = -1;
        std::from_chars(name.data(), name.data() + name.size(), descriptor);
        if (descriptor >= 0 && is_socket_of(descriptor, family)) found.push_back(descriptor);
    }
    std::sort(found.begin(), found.end());
    return found;
}

/// The index of the interface that a packet socket is bound to; 0: to none; -1: it has gone.
int interface_of(int packet_socket) {
    sockaddr_ll address{};
    socklen_t length = sizeof address;
    if (::getsockname(packet_socket, reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
    return address.sll_ifindex;
}

}  // namespace

std::vector<int> packet_sockets_on(unsigned interface_index) {
    std::vector<int> found = sockets_of(AF_PACKET);
    std::erase_if(found, [&](int descriptor) {
        return interface_of(descriptor) != static_cast<int>(interface_index);
    });
    return found;
}

std::vector<int> xdp_sockets() {
    return sockets_of(AF_XDP);
}

bool is_orphan(int packet_socket) {
    return interface_of(packet_socket) < 0;
}

bool has_frames(int packet_socket) {
    pollfd ready{packet_socket, POLLIN, 0};
    return ::poll(&ready, 1, 0) > 0 && (ready.revents & POLLIN) != 0;
}

std::uint64_t xdp_ring_full(int xdp_socket) {
    xdp_statistics counted{};
    socklen_t length = sizeof counted;
    const bool told = ::getsockopt(xdp_socket, SOL_XDP, XDP_STATISTICS, &counted, &length) == 0 &&
                      length == sizeof counted;
    return told ? counted.rx_ring_full : 0;
}

std::uint64_t take_ring_drops(int packet_socket) {
    tpacket_stats counted{};
    socklen_t length = sizeof counted;
    const bool told =
        ::getsockopt(packet_socket, SOL_PACKET, PACKET_STATISTICS, &counted, &length) == 0;
    return told ? counted.tp_drops : 0;
}

}  // namespace noclash::dpdk
