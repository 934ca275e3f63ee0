// SPDX-License-Identifier: Apache-2.0
#include "nat/packet/arp.hpp"

#include <algorithm>
#include <cstring>

namespace noclash::nat {
namespace {

/// RFC 826, with hardware addresses of 6 bytes and protocol addresses of 4.
struct ArpHeader {
    Wire<Be16> hardware_type;
    Wire<Be16> protocol_type;
    std::uint8_t hardware_length;
    std::uint8_t protocol_length;
    Wire<Be16> operation;
    MacAddress sender_mac;
    Wire<V4Address> sender_ip;
    MacAddress target_mac;
    Wire<V4Address> target_ip;
};
static_assert(sizeof(ArpHeader) == arp_bytes && alignof(ArpHeader) == 1);

constexpr std::uint16_t ethernet_hardware = 1;

}  // namespace

std::optional<ArpMessage> parse_arp(std::span<const std::uint8_t> payload) {
    ArpHeader arp;
    if (payload.size() < sizeof arp) return std::nullopt;
    std::memcpy(&arp, payload.data(), sizeof arp);
    const auto operation = static_cast<ArpOperation>(arp.operation.get().host());
    if (arp.hardware_type.get().host() != ethernet_hardware ||
        arp.protocol_type.get().host() != ether_type::ipv4 || arp.hardware_length != 6 ||
        arp.protocol_length != 4 ||
        (operation != ArpOperation::request && operation != ArpOperation::reply) ||
        arp.sender_mac.is_group() || arp.sender_mac == MacAddress{}) {
        return std::nullopt;
    }
    return ArpMessage{operation, arp.sender_mac, arp.sender_ip.get(), arp.target_mac,
                      arp.target_ip.get()};
}

void build_arp_frame(const ArpMessage& message, const MacAddress& to,
                     std::span<std::uint8_t, arp_frame_bytes> out) {
    EthernetHeader ethernet{to, message.sender_mac, {}};
    ethernet.type = Be16::from_host(ether_type::arp);
    ArpHeader arp{};
    arp.hardware_type = Be16::from_host(ethernet_hardware);
    arp.protocol_type = Be16::from_host(ether_type::ipv4);
    arp.hardware_length = 6;
    arp.protocol_length = 4;
    arp.operation = Be16::from_host(static_cast<std::uint16_t>(message.operation));
    arp.sender_mac = message.sender_mac;
    arp.sender_ip = message.sender_ip;
    arp.target_mac = message.target_mac;
    arp.target_ip = message.target_ip;
    std::memcpy(out.data(), &ethernet, sizeof ethernet);
    std::memcpy(out.data() + sizeof ethernet, &arp, sizeof arp);
    std::ranges::fill(out.subspan(sizeof ethernet + sizeof arp), std::uint8_t{0});
}

ArpMessage arp_request(const MacAddress& our_mac, V4Address our_ip, V4Address ip) {
    return {ArpOperation::request, our_mac, our_ip, MacAddress{}, ip};
}

ArpMessage arp_reply(const ArpMessage& request, const MacAddress& our_mac) {
    return {ArpOperation::reply, our_mac, request.target_ip, request.sender_mac, request.sender_ip};
}

ArpMessage arp_announcement(const MacAddress& our_mac, V4Address our_ip) {
    return {ArpOperation::request, our_mac, our_ip, MacAddress{}, our_ip};
}

}  // namespace noclash::nat
