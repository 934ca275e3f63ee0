// SPDX-License-Identifier: Apache-2.0
#include "bench/pipeline/frames.hpp"

namespace noclash::bench {
namespace {

using nat::EthernetHeader;
using nat::IcmpHeader;
using nat::IpHeader;
using nat::TcpHeader;
using nat::UdpHeader;
namespace ip_protocol = nat::ip_protocol;
namespace icmp_type = nat::icmp_type;
using frame_layout::transport;

/// An echo request has its identifier for source port and destination port 0, a reply the reverse.
bool is_request(const Tuple<V4>& tuple) {
    return tuple.destination_port == Be16{};
}

void write_transport(FrameBytes frame, const Tuple<V4>& tuple, const Content& content) {
    if (tuple.protocol == ip_protocol::tcp) {
        auto& tcp = header_in<TcpHeader>(frame, transport);
        tcp.source_port = tuple.source_port;
        tcp.destination_port = tuple.destination_port;
        tcp.sequence = Be32::from_host(content.number);
        // Both sides count alike, so that what is established has windows that its segments fit.
        const bool acknowledges = (content.tcp_flags & nat::tcp_flag::ack) != 0;
        tcp.acknowledgment =
            Be32::from_host(acknowledges ? content.number + content.acknowledges : 0);
        tcp.data_offset = sizeof tcp / 4 << 4;
        tcp.flags = content.tcp_flags;
        tcp.window = Be16::from_host(0xffff);
        tcp.checksum = nat::checksum::finish(transport_sum(frame, tuple));
        return;
    }
    std::memcpy(&frame[transport + sizeof(UdpHeader)], &content.number, sizeof content.number);
    if (tuple.protocol == ip_protocol::udp) {
        auto& udp = header_in<UdpHeader>(frame, transport);
        udp.source_port = tuple.source_port;
        udp.destination_port = tuple.destination_port;
        udp.length = Be16::from_host(sizeof udp + sizeof content.number);
        const Be16 checksum = nat::checksum::finish(transport_sum(frame, tuple));
        udp.checksum = checksum == Be16{} ? Be16::from_wire(0xffff) : checksum;
        return;
    }
    auto& icmp = header_in<IcmpHeader>(frame, transport);
    icmp.type = is_request(tuple) ? icmp_type::echo_request : icmp_type::echo_reply;
    icmp.id = is_request(tuple) ? tuple.source_port : tuple.destination_port;
    icmp.checksum = nat::checksum::finish(transport_sum(frame, tuple));
}

void read_transport(FrameBytes frame, Sight& sight) {
    Tuple<V4>& tuple = sight.tuple;
    if (tuple.protocol == ip_protocol::icmp) {
        const auto& icmp = header_in<IcmpHeader>(frame, transport);
        const bool request = icmp.type == icmp_type::echo_request;
        (request ? tuple.source_port : tuple.destination_port) = icmp.id.get();
    } else {
        const auto& ports = header_in<UdpHeader>(frame, transport);
        tuple.source_port = ports.source_port.get();
        tuple.destination_port = ports.destination_port.get();
    }
    if (tuple.protocol == ip_protocol::tcp) {
        const auto& tcp = header_in<TcpHeader>(frame, transport);
        sight.content = {tcp.sequence.get().host(), tcp.flags};
    } else {
        std::memcpy(&sight.content.number, &frame[transport + sizeof(UdpHeader)],
                    sizeof sight.content.number);
    }
}

}  // namespace

void write_frame(FrameBytes frame, const nat::MacAddress& to, const nat::MacAddress& from,
                 const Tuple<V4>& tuple, const Content& content) {
    std::memset(frame.data(), 0, frame.size());
    auto& ethernet = header_in<EthernetHeader>(frame, 0);
    ethernet.destination = to;
    ethernet.source = from;
    ethernet.type = Be16::from_host(nat::ether_type::ipv4);
    auto& ip = header_in<IpHeader<V4>>(frame, frame_layout::ip);
    ip.version_and_length = 0x45;
    ip.total_length = Be16::from_host(frame_layout::ip_length(tuple.protocol));
    ip.ttl = sent_ttl;
    ip.protocol = tuple.protocol;
    ip.source = tuple.source;
    ip.destination = tuple.destination;
    ip.checksum =
        nat::checksum::finish(nat::checksum::sum(frame.subspan(frame_layout::ip, sizeof ip)));
    write_transport(frame, tuple, content);
}

Sight look_at(FrameBytes frame, std::size_t length) {
    Sight sight;
    const auto& ip = header_in<IpHeader<V4>>(frame, frame_layout::ip);
    sight.tuple.source = ip.source.get();
    sight.tuple.destination = ip.destination.get();
    sight.tuple.protocol = ip.protocol;
    if (ip.total_length.get().host() != frame_layout::ip_length(ip.protocol) ||
        length != frame_layout::ip + ip.total_length.get().host()) {
        sight.fault = "a packet changed its length";
        return sight;
    }
    read_transport(frame, sight);
    if (ip.ttl != sent_ttl - 1) sight.fault = "the time to live is not one less";
    if (!nat::checksum::good(
            nat::checksum::sum(frame.subspan(frame_layout::ip, sizeof(IpHeader<V4>)))))
        sight.fault = "an IP checksum is wrong";
    if (!nat::checksum::good(transport_sum(frame, sight.tuple)))
        sight.fault = "a transport checksum is wrong";
    return sight;
}

}  // namespace noclash::bench
