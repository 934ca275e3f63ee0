// SPDX-License-Identifier: Apache-2.0
#include "tools/storm/packet_socket.hpp"

#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <system_error>
#include <thread>
#include <utility>

namespace noclash::tools {
namespace {

using namespace std::chrono_literals;

// The ring: 262,144 frames, so that a receiver that is not scheduled for seconds loses nothing.
constexpr unsigned frame_bytes = 256;
constexpr unsigned block_bytes = 64 << 10;
constexpr unsigned blocks = 1024;
constexpr std::size_t ring_bytes = std::size_t{block_bytes} * blocks;
constexpr std::size_t frames = ring_bytes / frame_bytes;

[[noreturn]] void fail(const std::string& what) {
    const int code = errno;
    std::string remedy;
    if (code == EPERM || code == EACCES) remedy = "; run as root";
    throw EnvironmentError(what + ": " + std::generic_category().message(code) + remedy);
}

FileDescriptor open_socket(int family, int type, int protocol, const std::string& what) {
    FileDescriptor socket(::socket(family, type | SOCK_CLOEXEC, protocol));
    if (socket.get() < 0) fail("cannot open a " + what + " socket");
    return socket;
}

ifreq request_for(const std::string& interface) {
    ifreq request{};
    if (interface.size() >= sizeof request.ifr_name)
        throw EnvironmentError("interface name too long: " + interface);
    std::memcpy(static_cast<char*>(request.ifr_name), interface.c_str(), interface.size());
    return request;
}

void bind_to(const FileDescriptor& socket, const std::string& interface, std::uint16_t protocol) {
    const unsigned index = ::if_nametoindex(interface.c_str());
    if (index == 0) fail("interface " + interface);
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = Be16::from_host(protocol).wire();
    address.sll_ifindex = static_cast<int>(index);
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        fail("cannot bind to interface " + interface);
}

template <class Value>
void set_option(const FileDescriptor& socket, int level, int option, Value value,
                const std::string& what) {
    if (::setsockopt(socket.get(), level, option, &value, sizeof value) != 0) fail(what);
}

}  // namespace

FileDescriptor::FileDescriptor(FileDescriptor&& other) noexcept
    : number_(std::exchange(other.number_, -1)) {}

FileDescriptor::~FileDescriptor() {
    if (number_ >= 0) ::close(number_);
}

FrameSender::FrameSender(const std::string& interface)
    : interface_(interface), socket_(open_socket(AF_PACKET, SOCK_RAW, 0, "packet")) {
    set_option(socket_, SOL_PACKET, PACKET_QDISC_BYPASS, 1, "cannot bypass the qdisc");
    bind_to(socket_, interface, 0);  // protocol 0: receives nothing
}

void FrameSender::send(std::span<const std::uint8_t> frame) {
    const auto deadline = std::chrono::steady_clock::now() + 1s;
    while (::send(socket_.get(), frame.data(), frame.size(), 0) < 0) {
        const bool no_room = errno == ENOBUFS || errno == EAGAIN || errno == EINTR;
        if (!no_room || std::chrono::steady_clock::now() > deadline)
            fail("cannot send on " + interface_);
        ++retries_;
        std::this_thread::yield();
    }
}

FrameReceiver::FrameReceiver(const std::string& interface)
    : socket_(open_socket(AF_PACKET, SOCK_RAW, 0, "packet")) {
    const int version = TPACKET_V2;
    const tpacket_req layout{.tp_block_size = block_bytes,
                             .tp_block_nr = blocks,
                             .tp_frame_size = frame_bytes,
                             .tp_frame_nr = frames};
    set_option(socket_, SOL_PACKET, PACKET_VERSION, version, "cannot choose the ring's version");
    set_option(socket_, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1, "cannot ignore outgoing frames");
    set_option(socket_, SOL_PACKET, PACKET_RX_RING, layout, "cannot lay out the receive ring");
    void* ring = ::mmap(nullptr, ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                        socket_.get(), 0);
    if (ring == MAP_FAILED) fail("cannot map the receive ring");
    ring_ = {static_cast<std::uint8_t*>(ring), ring_bytes};
    bind_to(socket_, interface, ETH_P_IP);
    static_cast<void>(kernel_drops());  // starts the statistics afresh
}

FrameReceiver::~FrameReceiver() {
    ::munmap(ring_.data(), ring_.size());
}

void FrameReceiver::drain(const std::function<void(std::span<const std::uint8_t>)>& take) {
    for (;;) {
        std::uint8_t* frame = ring_.data() + next_ * frame_bytes;
        auto* header = reinterpret_cast<tpacket2_hdr*>(frame);
        // The kernel's release of a frame to us, and ours back to it.
        std::atomic_ref<__u32> status(header->tp_status);
        if ((status.load(std::memory_order_acquire) & TP_STATUS_USER) == 0) return;
        take({frame + header->tp_mac, header->tp_snaplen});
        status.store(TP_STATUS_KERNEL, std::memory_order_release);
        next_ = (next_ + 1) % frames;
    }
}

std::uint64_t FrameReceiver::kernel_drops() {
    tpacket_stats statistics{};
    socklen_t length = sizeof statistics;
    if (::getsockopt(socket_.get(), SOL_PACKET, PACKET_STATISTICS, &statistics, &length) != 0)
        fail("cannot read the packet statistics");
    return statistics.tp_drops;
}

MacAddress mac_of_interface(const std::string& interface) {
    const auto socket = open_socket(AF_INET, SOCK_DGRAM, 0, "datagram");
    ifreq request = request_for(interface);
    if (::ioctl(socket.get(), SIOCGIFHWADDR, &request) != 0) fail("interface " + interface);
    MacAddress mac;
    std::memcpy(mac.data(), static_cast<const char*>(request.ifr_hwaddr.sa_data), mac.size());
    return mac;
}

MacAddress parse_mac(const std::string& text) {
    MacAddress mac{};
    std::array<unsigned, 6> bytes{};
    char rest = 0;
    // NOLINTNEXTLINE(cert-err34-c): the count tells whether all six were read.
    if (std::sscanf(text.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x%c", &bytes[0], &bytes[1], &bytes[2],
                    &bytes[3], &bytes[4], &bytes[5], &rest) != 6)
        throw EnvironmentError("not a MAC address: " + text + "; expected 02:00:00:00:00:01");
    std::transform(bytes.begin(), bytes.end(), mac.begin(),
                   [](unsigned byte) { return static_cast<std::uint8_t>(byte); });
    return mac;
}

MacAddress resolve_neighbor(const std::string& interface, V4Address neighbor) {
    const auto socket = open_socket(AF_INET, SOCK_DGRAM, 0, "datagram");
    arpreq request{};
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = Be16::from_host(9).wire();  // discard: any datagram makes the kernel ask
    address.sin_addr.s_addr = neighbor.value.wire();
    std::memcpy(&request.arp_pa, &address, sizeof address);
    std::memcpy(static_cast<char*>(request.arp_dev), interface.c_str(),
                std::min(interface.size(), sizeof request.arp_dev - 1));
    const auto deadline = std::chrono::steady_clock::now() + 5s;
    while (std::chrono::steady_clock::now() < deadline) {
        static_cast<void>(::sendto(socket.get(), "", 0, 0,
                                   reinterpret_cast<const sockaddr*>(&address), sizeof address));
        for (int attempt = 0; attempt < 20; ++attempt) {
            if (::ioctl(socket.get(), SIOCGARP, &request) == 0 &&
                (request.arp_flags & ATF_COM) != 0) {
                MacAddress mac;
                std::memcpy(mac.data(), static_cast<const char*>(request.arp_ha.sa_data),
                            mac.size());
                return mac;
            }
            std::this_thread::sleep_for(10ms);
        }
    }
    throw EnvironmentError(to_string<V4>(neighbor) + " does not answer ARP on " + interface +
                           "; is the gateway up?");
}

}  // namespace noclash::tools
