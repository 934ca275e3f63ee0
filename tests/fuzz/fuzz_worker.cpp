// SPDX-License-Identifier: Apache-2.0

// Any frames to a whole gateway of two workers: ARP, neighbours, fragments, TCP, UDP, ICMP, SCTP,
// mappings, static mappings, services, untracked packets. Of what leaves:
//
//  * each frame is ARP or an IPv4 packet that parses, within the port's MTU, from the port's own
//    MAC address to one station (ARP: or to all), with right checksums if all came with right ones;
//  * no inside address gets out, and none that is not inside gets in;
//  * in the end nobody holds a packet buffer or a flow any more, and every frame that came has been
//    counted as sent, dropped or used up.
//
// An input is steps: frames as they stand, packets of usual connections, answers to what has left,
// ICMP errors about it, fragments, and time. NOCLASH_FUZZ_VARIANT chooses the configuration, 0
// to 7.

#include <rte_ip.h>

#include <algorithm>
#include <span>

#include "engine/base/clock.hpp"
#include "nat/packet/arp.hpp"
#include "nat/packet/headers.hpp"
#include "nat/packet/parse.hpp"
#include "nat/packet/rewrite.hpp"
#include "tests/fuzz/worker_bed.hpp"

namespace {

using namespace noclash;
using namespace noclash::dpdk::test;
using dpdk::test::inside, dpdk::test::outside;
using nat::EthernetHeader, nat::IpHeader, nat::TcpHeader, nat::UdpHeader;
using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t ethernet_bytes = sizeof(EthernetHeader);
constexpr std::size_t ip_bytes = sizeof(IpHeader<V4>);
constexpr std::size_t remembered = 16;  // frames that left, which may be answered
constexpr std::size_t most_steps = 200;
constexpr std::uint32_t deaf_from = 240;  // hosts with such a last byte answer no ARP
constexpr int settling_s = 70;            // longer than any timeout, of a flow and its mapping

constexpr V4Address address(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
    return V4Address::from_host(std::uint32_t{a} << 24U | std::uint32_t{b} << 16U |
                                std::uint32_t{c} << 8U | d);
}
constexpr bool lies_in(V4Address host, V4Address net, unsigned length) {
    return (host.value.host() ^ net.value.host()) >> (32 - length) == 0;
}

/// What is left of the input; zeros behind its end.
class Input {
  public:
    explicit Input(std::span<const std::uint8_t> bytes) : left_(bytes) {}
    [[nodiscard]] bool empty() const { return left_.empty(); }
    std::uint8_t byte() {
        if (left_.empty()) return 0;
        const std::uint8_t first = left_.front();
        left_ = left_.subspan(1);
        return first;
    }
    std::uint16_t word() {
        const auto high = static_cast<unsigned>(byte()) << 8U;
        return static_cast<std::uint16_t>(high | byte());
    }
    Bytes bytes(std::size_t count) {
        const auto taken = left_.first(std::min(count, left_.size()));
        left_ = left_.subspan(taken.size());
        return {taken.begin(), taken.end()};
    }

  private:
    std::span<const std::uint8_t> left_;
};

template <class Header>
Header& at(Bytes& bytes, std::size_t offset) {
    require(offset + sizeof(Header) <= bytes.size());
    return *reinterpret_cast<Header*>(bytes.data() + offset);
}

/// A host's address, chosen by a byte: on the inside, or beyond the outside.
V4Address host_of(std::uint16_t port, std::uint8_t choice) {
    if (port == inside) {
        if (choice < 8) return address(198, 51, 100, choice);
        return choice == 8 ? address(10, 1, 0, 50) : address(10, 1, 0, choice);
    }
    if (choice < 32) return address(203, 0, 113, static_cast<std::uint8_t>(choice * 8));
    return choice % 2 == 0 ? address(192, 0, 2, choice) : address(203, 0, 113, choice);
}

/// Whoever is connected to the ports, and what they have seen.
class Neighborhood {
  public:
    /// A gateway outlives an input; `end` leaves nothing in it.
    Neighborhood(Bed& bed, std::uint64_t& now_ms) : bed_(bed), now_ms_(now_ms) { settle(); }

    void step(Input& input) {
        const std::uint8_t what = input.byte();
        port_ = what >> 3U & 1U;
        worker_ = what >> 4U & 1U;
        switch (what & 7U) {
            case 0:
                return any_frame(input);
            case 1:
                return any_packet(input);
            case 2:
                return arp(input);
            case 3:
                return open(input);
            case 4:
                return answer(input);
            case 5:
                return report(input);
            case 6:
                return fragment(input);
            default:
                now_ms_ += std::uint64_t{1} << (input.byte() % 18U);
                return settle();
        }
    }

    /// Whatever is left runs into its timeout.
    void end() {
        for (int second = 0; second < settling_s; ++second) {
            now_ms_ += 1000;
            settle();
        }
        require(bed_.flows() == 0 && bed_.held() == 0);
        require(bed_.unaccounted() == unaccounted_ || bed_.fragments() != fragments_);
    }

  private:
    static nat::MacAddress mac_of(std::uint16_t port, V4Address host) {
        const std::uint32_t number = host.value.host();
        return {{2, 0, static_cast<std::uint8_t>(port), static_cast<std::uint8_t>(number >> 16U),
                 static_cast<std::uint8_t>(number >> 8U), static_cast<std::uint8_t>(number)}};
    }

    void any_frame(Input& input) {
        right_ = false;
        deliver(input.bytes(input.word() % 2000U));
    }
    void any_packet(Input& input) {
        right_ = false;
        deliver_packet(input.bytes(input.word() % 1600U));
    }

    void arp(Input& input) {
        const std::uint8_t flags = input.byte();
        const V4Address sender = host_of(port_, input.byte());
        const V4Address target = (flags & 1U) != 0 ? own(port_) : host_of(port_, input.byte());
        nat::ArpMessage message = nat::arp_request(mac_of(port_, sender), sender, target);
        if ((flags & 2U) != 0) message.operation = nat::ArpOperation::reply;
        if ((flags & 4U) != 0) message.sender_mac.bytes[5] ^= 0x55U;
        send_arp(message, (flags & 8U) != 0 ? bed_.mac(port_) : nat::broadcast_mac);
    }

    /// A packet of one side's host: it opens a connection, or belongs to one that is there.
    void open(Input& input) {
        const std::uint8_t choice = input.byte();
        const V4Address source = host_of(port_, input.byte());
        V4Address destination = host_of(port_ ^ 1U, input.byte());
        if (port_ == outside)
            destination = choice % 3 == 0 ? own(outside) : host_of(outside, input.byte());
        else if (choice % 5 == 0)
            destination = host_of(inside, input.byte());
        const std::uint16_t client = 1000U + input.byte() % 4U;
        const std::uint8_t service = input.byte();
        const std::uint16_t server = service % 3 == 0 ? 80 : service % 3 == 1 ? 53 : service;
        switch (choice >> 4U & 3U) {
            case 0:
                return deliver_packet(tcp(source, destination, client, server, input.byte(),
                                          input.byte(), input.byte(), input));
            case 1:
                return deliver_packet(udp(source, destination, client, server, input.byte() * 8U));
            case 2:
                return deliver_packet(icmp(source, destination, 8, 0,
                                           Be32::from_host(std::uint32_t{client} << 16U), 32));
            default:
                return other_protocol(source, destination, input);
        }
    }

    void other_protocol(V4Address source, V4Address destination, Input& input) {
        const std::uint8_t protocol = input.byte();
        if (is_summed(protocol)) right_ = false;
        deliver_packet(with_ip(source, destination, protocol, input.bytes(input.byte())));
    }

    /// The other side answers to a packet that has left.
    void answer(Input& input) {
        const Sent* sent = choose(input);
        if (sent == nullptr) return;
        Bytes packet(sent->bytes.begin() + ethernet_bytes, sent->bytes.end());
        const auto& ip = at<IpHeader<V4>>(packet, 0);
        const V4Address source = ip.destination.get(), destination = ip.source.get();
        const std::uint8_t flags = input.byte();
        port_ = sent->port;
        if (ip.header_length() != ip_bytes || (ip.fragment.get().host() & 0x3fffU) != 0) return;
        if (ip.protocol == nat::ip_protocol::tcp && packet.size() >= ip_bytes + sizeof(TcpHeader)) {
            const auto& theirs = at<TcpHeader>(packet, ip_bytes);
            Bytes segment = tcp(source, destination, theirs.destination_port.get().host(),
                                theirs.source_port.get().host(), flags, 0, 0, input);
            auto& ours = at<TcpHeader>(segment, ip_bytes);
            const std::uint32_t length =
                static_cast<std::uint32_t>(packet.size() - ip_bytes - theirs.header_length());
            const std::uint32_t phantom = (theirs.flags & 3U) != 0 ? 1 : 0;
            ours.acknowledgment = Be32::from_host(theirs.sequence.get().host() + length + phantom +
                                                  (input.byte() >> 6U));
            ours.sequence = Be32::from_host(theirs.acknowledgment.get().host());
            return deliver_packet(std::move(segment));
        }
        if (ip.protocol == nat::ip_protocol::udp && packet.size() >= ip_bytes + sizeof(UdpHeader)) {
            const auto& theirs = at<UdpHeader>(packet, ip_bytes);
            return deliver_packet(udp(source, destination, theirs.destination_port.get().host(),
                                      theirs.source_port.get().host(), flags));
        }
        at<IpHeader<V4>>(packet, 0).source = source;
        at<IpHeader<V4>>(packet, 0).destination = destination;
        if (ip.protocol == nat::ip_protocol::icmp && packet.size() > ip_bytes &&
            packet[ip_bytes] == 8)
            packet[ip_bytes] = 0;
        deliver_packet(std::move(packet));
    }

    /// A router reports a packet that has left.
    void report(Input& input) {
        const Sent* sent = choose(input);
        if (sent == nullptr) return;
        port_ = sent->port;
        const std::uint8_t kind = input.byte();
        Bytes quoted(sent->bytes.begin() + ethernet_bytes, sent->bytes.end());
        quoted.resize(std::min<std::size_t>(quoted.size(), ip_bytes + 8U + (kind >> 2U)));
        const std::uint32_t mtu = input.word();
        Bytes error = icmp(host_of(port_, input.byte()), at<IpHeader<V4>>(quoted, 0).source.get(),
                           kind % 2 == 0 ? 3 : 11, kind % 2 == 0 ? 4 : 0, Be32::from_host(mtu), 0);
        error.insert(error.end(), quoted.begin(), quoted.end());
        deliver_packet(std::move(error));
    }

    /// A part of a datagram, whose length and content follow from its identification.
    void fragment(Input& input) {
        const std::uint8_t id = input.byte();
        const V4Address source = host_of(port_, static_cast<std::uint8_t>(16U + id % 4U));
        const V4Address destination =
            port_ == outside ? own(outside) : host_of(outside, static_cast<std::uint8_t>(id));
        Bytes whole = udp(source, destination, 1000, 53, 40U + id * 16U);
        repair(whole);
        const std::size_t payload = whole.size() - ip_bytes;
        const std::size_t begin = input.byte() * 8U;
        const std::size_t length = (1U + input.byte() % 64U) * 8U;
        if (begin >= payload) return;
        const bool last = begin + length >= payload;
        const std::size_t end = last ? payload : begin + length;
        Bytes part(whole.begin(), whole.begin() + ip_bytes);
        part.insert(part.end(), whole.begin() + static_cast<std::ptrdiff_t>(ip_bytes + begin),
                    whole.begin() + static_cast<std::ptrdiff_t>(ip_bytes + end));
        auto& ip = at<IpHeader<V4>>(part, 0);
        ip.id = Be16::from_host(id);
        ip.fragment = Be16::from_host(
            static_cast<std::uint16_t>(begin / 8U | (last ? 0U : IpHeader<V4>::more_fragments)));
        deliver_packet(std::move(part));
    }

    static Bytes with_ip(V4Address source, V4Address destination, std::uint8_t protocol,
                         const Bytes& payload) {
        Bytes packet(ip_bytes);
        auto& ip = at<IpHeader<V4>>(packet, 0);
        ip.version_and_length = 0x45;
        ip.ttl = 64;
        ip.protocol = protocol;
        ip.source = source;
        ip.destination = destination;
        packet.insert(packet.end(), payload.begin(), payload.end());
        return packet;
    }
    static Bytes tcp(V4Address source, V4Address destination, std::uint16_t from, std::uint16_t to,
                     std::uint8_t flags, std::uint8_t sequence, std::uint8_t acknowledgment,
                     Input& input) {
        Bytes packet = with_ip(source, destination, nat::ip_protocol::tcp, {});
        packet.resize(ip_bytes + sizeof(TcpHeader));
        auto& header = at<TcpHeader>(packet, ip_bytes);
        header.source_port = Be16::from_host(from);
        header.destination_port = Be16::from_host(to);
        header.sequence = Be32::from_host(sequence * 0x01000001U);
        header.acknowledgment = Be32::from_host(acknowledgment * 0x01000001U);
        header.flags = flags & 0x3fU;
        header.window = Be16::from_host(0x2000);
        header.data_offset = 0x50;
        if ((flags & 0x40U) != 0) {  // timestamps
            Bytes option{1, 1, 8, 10, 0, 0, 0, input.byte(), 0, 0, 0, input.byte()};
            packet.insert(packet.end(), option.begin(), option.end());
            at<TcpHeader>(packet, ip_bytes).data_offset = 0x80;
        }
        if ((flags & 0x80U) != 0) packet.resize(packet.size() + input.byte() * 5U, 0xda);
        return packet;
    }
    static Bytes udp(V4Address source, V4Address destination, std::uint16_t from, std::uint16_t to,
                     std::size_t length) {
        Bytes packet = with_ip(source, destination, nat::ip_protocol::udp, {});
        packet.resize(ip_bytes + sizeof(UdpHeader) + length);
        for (std::size_t i = 0; i < length; ++i)
            packet[ip_bytes + sizeof(UdpHeader) + i] = static_cast<std::uint8_t>(i);
        auto& header = at<UdpHeader>(packet, ip_bytes);
        header.source_port = Be16::from_host(from);
        header.destination_port = Be16::from_host(to);
        header.length = Be16::from_host(static_cast<std::uint16_t>(sizeof(UdpHeader) + length));
        return packet;
    }
    static Bytes icmp(V4Address source, V4Address destination, std::uint8_t type, std::uint8_t code,
                      Be32 rest, std::size_t length) {
        Bytes packet = with_ip(source, destination, nat::ip_protocol::icmp, {});
        packet.resize(ip_bytes + 8 + length);
        packet[ip_bytes] = type;
        packet[ip_bytes + 1] = code;
        at<nat::Wire<Be32>>(packet, ip_bytes + 4) = rest;
        return packet;
    }

    /// Whether `repair` knows what is summed.
    static bool is_summed(std::uint8_t protocol) {
        return protocol == nat::ip_protocol::tcp || protocol == nat::ip_protocol::udp ||
               protocol == nat::ip_protocol::icmp;
    }

    /// Sums and length of a packet that one of these has made.
    static void repair(Bytes& packet) {
        auto& ip = at<rte_ipv4_hdr>(packet, 0);
        ip.total_length = rte_cpu_to_be_16(static_cast<std::uint16_t>(packet.size()));
        ip.hdr_checksum = 0;
        ip.hdr_checksum = rte_ipv4_cksum(&ip);
        if ((rte_be_to_cpu_16(ip.fragment_offset) & 0x3fffU) != 0) return;
        const auto sum_at = [&](std::size_t offset, auto sum_of) {
            if (packet.size() < ip_bytes + offset + 2) return;
            auto& sum = at<nat::Wire<std::uint16_t>>(packet, ip_bytes + offset);
            sum = std::uint16_t{0};
            sum = static_cast<std::uint16_t>(sum_of());
        };
        const auto with_addresses = [&] {
            return rte_ipv4_udptcp_cksum(&ip, packet.data() + ip_bytes);
        };
        if (ip.next_proto_id == nat::ip_protocol::tcp) sum_at(16, with_addresses);
        if (ip.next_proto_id == nat::ip_protocol::udp) sum_at(6, with_addresses);
        if (ip.next_proto_id == nat::ip_protocol::icmp)
            sum_at(2, [&] {
                return ~rte_raw_cksum(packet.data() + ip_bytes, packet.size() - ip_bytes) & 0xffff;
            });
    }

    static V4Address own(std::uint16_t port) {
        return port == inside ? address(10, 1, 0, 1) : address(203, 0, 113, 1);
    }

    void deliver_packet(Bytes packet) {
        if (right_ && packet.size() >= ip_bytes) repair(packet);
        Bytes frame(ethernet_bytes);
        auto& header = at<EthernetHeader>(frame, 0);
        header.destination = bed_.mac(port_);
        header.source = mac_of(port_, own(port_));
        header.type = Be16::from_host(nat::ether_type::ipv4);
        frame.insert(frame.end(), packet.begin(), packet.end());
        deliver(std::move(frame));
    }
    void send_arp(const nat::ArpMessage& message, const nat::MacAddress& to) {
        Bytes frame(nat::arp_frame_bytes);
        nat::build_arp_frame(message, to, std::span<std::uint8_t, nat::arp_frame_bytes>(frame));
        deliver(std::move(frame));
    }
    void deliver(Bytes frame) {
        if (frame.size() > 2000) frame.resize(2000);
        bed_.put(port_, worker_, frame);
        settle();
    }

    /// Rounds until nothing leaves any more.
    void settle() {
        for (;;) {
            std::vector<Sent> sent;
            bed_.round(now_ms_, sent);
            if (sent.empty()) return;
            for (Sent& frame : sent)
                take(std::move(frame));
        }
    }

    void take(Sent sent) {
        require(sent.bytes.size() >= ethernet_bytes &&
                sent.bytes.size() <= std::max<std::size_t>(nat::arp_frame_bytes,
                                                           ethernet_bytes + bed_.mtu(sent.port)));
        const auto header = at<EthernetHeader>(sent.bytes, 0);
        require(header.source == bed_.mac(sent.port));
        if (header.type.get().host() == nat::ether_type::arp) return take_arp(sent);
        require(header.type.get().host() == nat::ether_type::ipv4);
        require(!header.destination.is_group());
        judge_packet(sent);
        if (seen_.size() == remembered) seen_.erase(seen_.begin());
        seen_.push_back(std::move(sent));
    }

    void take_arp(const Sent& sent) {
        const auto message = nat::parse_arp(std::span(sent.bytes).subspan(ethernet_bytes));
        require(message && message->sender_mac == bed_.mac(sent.port));
        const V4Address asked = message->target_ip;
        if (message->operation != nat::ArpOperation::request || message->is_gratuitous()) return;
        if ((asked.value.host() & 0xffU) >= deaf_from && asked != address(203, 0, 113, 254)) return;
        Bytes frame(nat::arp_frame_bytes);
        nat::build_arp_frame(nat::arp_reply(*message, mac_of(sent.port, asked)),
                             message->sender_mac,
                             std::span<std::uint8_t, nat::arp_frame_bytes>(frame));
        bed_.put(sent.port, 0, frame);
    }

    void judge_packet(Sent& sent) const {
        const nat::PacketView view{sent.bytes.data() + ethernet_bytes,
                                   static_cast<std::uint32_t>(sent.bytes.size() - ethernet_bytes),
                                   nat::Checked::unknown, nat::Checked::unknown};
        require(view.length >= ip_bytes);
        nat::Parsed<V4> parsed;
        const nat::DropReason reason = nat::parse<V4>(view, sent.port, parsed);
        require(reason == nat::DropReason::none || reason == nat::DropReason::fragment);
        const auto& ip = at<IpHeader<V4>>(sent.bytes, ethernet_bytes);
        require(ip.ttl > 0);
        judge_addresses(sent.port, ip.source.get(), ip.destination.get());
        if (right_ && reason == nat::DropReason::none && is_summed(ip.protocol))
            require(nat::l4_checksum_ok<V4>(view, parsed));
    }

    static void judge_addresses(std::uint16_t port, V4Address source, V4Address destination) {
        constexpr V4Address home = address(10, 1, 0, 0), transit = address(198, 51, 100, 0);
        if (port == outside) {
            require(!lies_in(source, home, 8) && !lies_in(destination, home, 8));
            return;
        }
        require(lies_in(destination, home, 24) || lies_in(destination, transit, 24));
    }

    const Sent* choose(Input& input) const {
        const std::uint8_t choice = input.byte();
        return seen_.empty() ? nullptr : &seen_[choice % seen_.size()];
    }

    Bed& bed_;
    std::uint64_t& now_ms_;
    std::uint16_t port_ = 0;
    unsigned worker_ = 0;
    bool right_ = true;  ///< all sums of what came
    std::int64_t unaccounted_ = bed_.unaccounted();
    std::uint64_t fragments_ = bed_.fragments();
    std::vector<Sent> seen_;
};

/// The gateway of this process: its variant is told by the environment.
struct Place {
    static std::size_t variant() {
        const char* number = std::getenv("NOCLASH_FUZZ_VARIANT");
        return number == nullptr ? 0 : std::strtoul(number, nullptr, 10) % variants.size();
    }
    Ground ground;
    Bed bed{ground, variant()};
    std::uint64_t now_ms = noclash::now_ms();
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static Place place;
    Input input({data, size});
    Neighborhood neighborhood(place.bed, place.now_ms);
    for (std::size_t steps = 0; !input.empty() && steps < most_steps; ++steps)
        neighborhood.step(input);
    neighborhood.end();
    return 0;
}
