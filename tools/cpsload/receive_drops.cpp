// SPDX-License-Identifier: Apache-2.0
#include "tools/cpsload/receive_drops.hpp"

#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

#include <charconv>
#include <filesystem>
#include <string>
#include <string_view>

namespace noclash::cpsload {
namespace {

constexpr std::string_view af_packet = "af_packet:";

/// Whether a descriptor is a packet socket on this interface.
bool is_packet_socket_on(int descriptor, unsigned interface) {
    int domain = 0;
    socklen_t length = sizeof domain;
    if (::getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0 ||
        domain != AF_PACKET)
        return false;
    sockaddr_ll address{};
    length = sizeof address;
    return ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &length) == 0 &&
           address.sll_ifindex == static_cast<int>(interface);
}

/// Frames that found the ring of a packet socket full, since the last call for it: the kernel
/// starts again at 0 with each.
std::uint64_t take_ring_drops(int descriptor) {
    tpacket_stats counted{};
    socklen_t length = sizeof counted;
    const bool told =
        ::getsockopt(descriptor, SOL_PACKET, PACKET_STATISTICS, &counted, &length) == 0;
    return told ? counted.tp_drops : 0;
}

/// The same for all sockets of this process on an interface: the driver does not tell which it has
/// opened, nor does it ask for their drops.
std::uint64_t take_ring_drops(const std::string& device) {
    if (!device.starts_with(af_packet)) return 0;
    const unsigned interface = ::if_nametoindex(device.c_str() + af_packet.size());
    std::uint64_t drops = 0;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error)) {
        const std::string name = entry.path().filename().string();
        int descriptor = -1;
        std::from_chars(name.data(), name.data() + name.size(), descriptor);
        if (interface != 0 && descriptor >= 0 && is_packet_socket_on(descriptor, interface))
            drops += take_ring_drops(descriptor);
    }
    return drops;
}

}  // namespace

std::uint64_t ReceiveDrops::Side::read() {
    ring += take_ring_drops(port.config().device);
    const dpdk::PortStats device = port.stats();
    return ring + device.rx_missed + device.rx_errors + device.rx_no_buffers;
}

ReceiveDrops::ReceiveDrops(const dpdk::Port& client, const dpdk::Port& server)
    : client_(client), server_(server) {
    for (Side* side : {&client_, &server_})
        side->before = side->read();
}

TesterLosses ReceiveDrops::since_start() {
    return {client_.read() - client_.before, server_.read() - server_.before};
}

}  // namespace noclash::cpsload
