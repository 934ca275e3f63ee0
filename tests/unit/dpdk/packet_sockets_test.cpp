// SPDX-License-Identifier: Apache-2.0
#include "dpdk/device/packet_sockets.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <thread>
#include <vector>

namespace noclash::dpdk::packet_sockets_test {
namespace {

constexpr std::uint16_t discard_port = 9;

/// A socket as the driver makes one, step by step; the program's `setsockopt` is the one under
/// test.
class DriverSocket {
  public:
    DriverSocket() : socket_(::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL))) {}
    DriverSocket(const DriverSocket&) = delete;
    DriverSocket& operator=(const DriverSocket&) = delete;
    ~DriverSocket() { ::close(socket_); }

    [[nodiscard]] bool set(int name, int value) const {
        return ::setsockopt(socket_, SOL_PACKET, name, &value, sizeof value) == 0;
    }
    [[nodiscard]] bool bind() const {
        sockaddr_ll address{};
        address.sll_family = AF_PACKET;
        address.sll_protocol = htons(ETH_P_ALL);
        address.sll_ifindex = static_cast<int>(::if_nametoindex("lo"));
        return ::bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    }
    /// Frames that have come in since the last call; the loopback interface shows each twice.
    [[nodiscard]] int arrived() const {
        int count = 0;
        std::uint8_t byte = 0;
        for (;;) {
            sockaddr_ll from{};
            socklen_t length = sizeof from;
            if (::recvfrom(socket_, &byte, 1, 0, reinterpret_cast<sockaddr*>(&from), &length) < 0)
                return count;
            if (from.sll_pkttype != PACKET_OUTGOING) ++count;
        }
    }

  private:
    int socket_;
};

void send_datagrams(int count) {
    const int socket = ::socket(AF_INET, SOCK_DGRAM, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(discard_port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < count; ++i)
        EXPECT_EQ(::sendto(socket, "x", 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to),
                  1);
    ::close(socket);
}

/// A network of this thread's own, with nothing but a loopback interface. False: not permitted.
bool enter_own_network() {
    if (::unshare(CLONE_NEWNET) != 0) return false;
    const int socket = ::socket(AF_INET, SOCK_DGRAM, 0);
    ifreq request{};
    std::string("lo").copy(static_cast<char*>(request.ifr_name), IFNAMSIZ - 1);
    request.ifr_flags = IFF_UP;
    const bool is_up = ::ioctl(socket, SIOCSIFFLAGS, &request) == 0;
    ::close(socket);
    return is_up;
}

TEST(PacketSockets, HearNothingUntilAllOfAPortHaveJoined) {
    bool permitted = true;
    std::thread([&permitted] {
        if (!enter_own_network()) {
            permitted = false;
            return;
        }
        constexpr int group = PACKET_FANOUT_HASH << 16 | 7;
        constexpr int frames = 20;
        const DriverSocket first, second, plain;
        for (const DriverSocket* socket : {&first, &second})
            ASSERT_TRUE(socket->set(PACKET_VERSION, TPACKET_V2));
        send_datagrams(frames);
        // A datagram that meets no socket is answered: so many ICMP errors, or fewer, come as well.
        EXPECT_GE(plain.arrived(), frames) << "the control must hear what the others do not";
        EXPECT_EQ(first.arrived() + second.arrived(), 0) << "not bound yet";
        ASSERT_TRUE(first.bind());
        ASSERT_TRUE(first.set(PACKET_FANOUT, group));
        ASSERT_TRUE(second.bind());
        send_datagrams(frames);
        EXPECT_GE(plain.arrived(), frames);
        EXPECT_EQ(first.arrived() + second.arrived(), 0) << "the second has not joined";
        ASSERT_TRUE(second.set(PACKET_FANOUT, group));
        open_packet_sockets();
        send_datagrams(frames);
        EXPECT_EQ(first.arrived() + second.arrived(), plain.arrived()) << "each frame once";
    }).join();
    if (!permitted) GTEST_SKIP() << "this user may make no network namespaces";
}

TEST(PacketSockets, JoinWithoutDefragmentation) {
    const std::uint64_t before = sockets_without_defragmentation();
    const DriverSocket socket;
    if (!socket.set(PACKET_VERSION, TPACKET_V2))
        GTEST_SKIP() << "this user may open no such socket";
    ASSERT_TRUE(socket.bind());
    constexpr int group = (PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_DEFRAG) << 16 | 9;
    ASSERT_TRUE(socket.set(PACKET_FANOUT, group));
    EXPECT_EQ(sockets_without_defragmentation(), before + 1);
    open_packet_sockets();
}

}  // namespace
}  // namespace noclash::dpdk::packet_sockets_test
