// SPDX-License-Identifier: Apache-2.0

// Any bytes as an ARP message: what parses survives being built and parsed again.

#include <array>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "nat/packet/arp.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace noclash::nat;
    const std::vector<std::uint8_t> payload(data, data + size);  // Its end is where it should be.
    const auto message = parse_arp(payload);
    if (!message) return 0;
    std::array<std::uint8_t, arp_frame_bytes> frame;
    build_arp_frame(*message, broadcast_mac, frame);
    if (parse_arp(std::span(frame).subspan(sizeof(EthernetHeader))) != message) std::abort();
    const ArpMessage reply = arp_reply(*message, MacAddress{{2, 0, 0, 0, 0, 1}});
    if (reply.target_ip != message->sender_ip) std::abort();
    return 0;
}
