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

#include <algorithm>
#include <span>

#include "engine/base/clock.hpp"
#include "nat/packet/arp.hpp"
#include "nat/packet/headers.hpp"
#include "tests/fuzz/fuzz_input.hpp"
#include "tests/fuzz/worker_bed.hpp"
#include "tests/fuzz/worker_hosts.hpp"
#include "tests/fuzz/worker_judge.hpp"
#include "tests/fuzz/worker_packets.hpp"

namespace {

using namespace noclash;
using namespace noclash::dpdk::test;
using dpdk::test::inside, dpdk::test::outside;
using nat::EthernetHeader, nat::IpHeader, nat::TcpHeader, nat::UdpHeader;

constexpr std::size_t remembered = 16;  // frames that left, which may be answered
constexpr std::size_t most_steps = 200;
constexpr std::uint32_t deaf_from = 240;  // hosts with such a last byte answer no ARP
constexpr int settling_s = 70;            // longer than any timeout, of a flow and its mapping

/// The hosts and routers at both ports, and the frames that they have seen.
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

    /// Lets all flows and packets that are left run into their timeouts.
    void end() {
        for (int second = 0; second < settling_s; ++second) {
            now_ms_ += 1000;
            settle();
        }
        require(bed_.flows() == 0 && bed_.held() == 0);
        require(bed_.unaccounted() == unaccounted_ || bed_.fragments() != fragments_);
    }

  private:
    void any_frame(Input& input) {
        sums_ = Checksums::any;
        deliver(input.bytes(input.word() % 2000U));
    }
    void any_packet(Input& input) {
        sums_ = Checksums::any;
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
        if (is_summed(protocol)) sums_ = Checksums::any;
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

    void deliver_packet(Bytes packet) {
        if (sums_ == Checksums::right && packet.size() >= ip_bytes) repair(packet);
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
        judge_packet(sent, sums_);
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

    const Sent* choose(Input& input) const {
        const std::uint8_t choice = input.byte();
        return seen_.empty() ? nullptr : &seen_[choice % seen_.size()];
    }

    Bed& bed_;
    std::uint64_t& now_ms_;
    std::uint16_t port_ = 0;
    unsigned worker_ = 0;
    Checksums sums_ = Checksums::right;  ///< of all packets that came
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
