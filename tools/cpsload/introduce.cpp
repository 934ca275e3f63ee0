// SPDX-License-Identifier: Apache-2.0
#include "tools/cpsload/introduce.hpp"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <stdexcept>
#include <thread>

namespace noclash::cpsload {
namespace {

constexpr Time ask_again = 200 * millisecond;
constexpr std::size_t requests_at_once = 256;

void send_arp(Side& side, rte_mempool* packets, const nat::ArpMessage& message,
              const nat::MacAddress& to) {
    rte_mbuf* frame = rte_pktmbuf_alloc(packets);
    if (frame == nullptr || side.link.room() == 0) {
        rte_pktmbuf_free(frame);
        return;
    }
    nat::build_arp_frame(message, to,
                         std::span<std::uint8_t, nat::arp_frame_bytes>(
                             rte_pktmbuf_mtod(frame, std::uint8_t*), nat::arp_frame_bytes));
    side.link.send(frame, nat::arp_frame_bytes);
}

void listen(Side& side, rte_mempool* packets) {
    for (rte_mbuf* frame : side.link.receive()) {
        const std::span<std::uint8_t> bytes{rte_pktmbuf_mtod(frame, std::uint8_t*),
                                            rte_pktmbuf_data_len(frame)};
        Segment none;
        if (read_frame(bytes, none) == FrameKind::arp) {
            const auto message = nat::parse_arp(bytes.subspan(sizeof(nat::EthernetHeader)));
            if (message) {
                if (const auto answer = side.station.receive(*message))
                    send_arp(side, packets, *answer, message->sender_mac);
            }
        }
        rte_pktmbuf_free(frame);
    }
    side.link.flush();
}

void ask(Side& side, rte_mempool* packets) {
    for (const nat::ArpMessage& request : side.station.introductions(requests_at_once))
        send_arp(side, packets, request, nat::broadcast_mac);
    side.link.flush();
}

}  // namespace

void introduce(Side client, Side server, rte_mempool* packets, const Clock& clock, Time patience,
               const std::atomic<bool>& stop) {
    const Time begin = clock.now();
    Time last_asked = 0;
    while (!client.station.introduced() || !server.station.introduced()) {
        const Time now = clock.now();
        if (stop.load(std::memory_order_relaxed)) return;
        if (now - begin > patience) {
            const bool at_client = !client.station.introduced();
            const Station& station = at_client ? client.station : server.station;
            throw std::runtime_error(fmt::format(
                "{} side: {} does not answer ARP requests of {}; is the gateway up, is this its "
                "address on this link (--{}-gateway), and is {} within its subnet?",
                at_client ? "client" : "server", to_string<V4>(station.gateway()),
                to_string<V4>(*station.unanswered()), at_client ? "client" : "server",
                to_string<V4>(*station.unanswered())));
        }
        // Many addresses take several rounds; the answers make them shorter.
        if (last_asked == 0 || now - last_asked > ask_again) {
            ask(client, packets);
            ask(server, packets);
            last_asked = now;
        }
        listen(client, packets);
        listen(server, packets);
        std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
}

}  // namespace noclash::cpsload
