// SPDX-License-Identifier: Apache-2.0
#include "dpdk/datapath/egress.hpp"

#include <rte_ethdev.h>

#include <cstring>
#include <span>

#include "dpdk/datapath/fragmenter.hpp"
#include "dpdk/device/memory_plan.hpp"

namespace noclash::dpdk {

Egress::Egress(Gateway& gateway, std::uint16_t queue, WorkerCounters& counters)
    : gateway_(gateway),
      queue_(queue),
      held_(gateway.gate != nullptr),
      counters_(counters),
      queues_(gateway.ports.size()),
      waiting_(hold_packets(gateway.config)) {
    failed_.reserve(packets_a_visit);
}

Egress::~Egress() {
    waiting_.clear([](const Waiting& packet) { rte_pktmbuf_free(packet.frame); });
    for (Queue& queue : queues_)
        rte_pktmbuf_free_bulk(queue.frames.data(), queue.used);
}

Resolution Egress::resolve(const nat::Hop<V4>& hop) {
    constexpr Resolution no_room{NeighborState::gone, {}, false};
    const auto id = gateway_.neighbors.find_or_add(hop.port, hop.next_hop, now_ms_);
    if (!id) return no_room;
    const Resolution found = gateway_.neighbors.resolve(*id, now_ms_);
    if (found.ask_now) ask(hop.port, hop.next_hop, found.ask_at);
    return found;
}

void Egress::forget_recent() {
    for (Recent& known : recent_)
        known.towards = 0;
}

void Egress::send_first(rte_mbuf* frame, const nat::Hop<V4>& hop) {
    const Resolution found = resolve(hop);
    if (found.state == NeighborState::reachable) {
        recent(key(hop)) = {key(hop), header_to(hop.port, found.mac)};
        return transmit(frame, hop, found.mac);
    }
    if (found.state == NeighborState::gone) return drop(frame, nat::DropReason::neighbor_full);
    wait(frame, hop);  // a failed neighbour is given up at the next visit, with an answer
}

/// Until the neighbour is known [RFC 1122 section 2.3.2.2].
void Egress::wait(rte_mbuf* frame, const nat::Hop<V4>& hop) {
    const std::uint64_t neighbor = (hop.port + std::uint64_t{1}) << 32U | hop.next_hop.value.wire();
    const bool waits = waiting_.enter(neighbor, {frame, hop}, now_ms_, [this](const Waiting& old) {
        drop(old.frame, nat::DropReason::neighbor_failed);
    });
    if (!waits) return drop(frame, nat::DropReason::neighbor_full);
    counters_.neighbor_waited.add();
}

nat::EthernetHeader Egress::header_to(std::uint16_t port, const nat::MacAddress& to) const {
    nat::EthernetHeader header;
    header.destination = to;
    header.source = gateway_.macs[port];
    header.type = Be16::from_host(nat::ether_type::ipv4);
    return header;
}

void Egress::transmit(rte_mbuf* frame, const nat::Hop<V4>& hop, const nat::MacAddress& to) {
    if (rte_pktmbuf_pkt_len(frame) > hop.mtu + sizeof(nat::EthernetHeader))
        return transmit_in_fragments(frame, hop, to);
    ethernet(frame) = header_to(hop.port, to);
    enqueue(hop.port, frame);
}

void Egress::transmit_in_fragments(rte_mbuf* frame, const nat::Hop<V4>& hop,
                                   const nat::MacAddress& to) {
    std::array<rte_mbuf*, most_fragments> fragments;
    const std::size_t count = fragment_packet(frame, hop.mtu, gateway_.buffers, fragments);
    if (count == 0) return drop(frame, nat::DropReason::no_buffer);
    rte_pktmbuf_free(frame);
    counters_.fragmented.add();
    counters_.fragments_sent.add(count);
    const nat::EthernetHeader header = header_to(hop.port, to);
    for (rte_mbuf* fragment : std::span(fragments).first(count)) {
        ethernet(fragment) = header;
        enqueue(hop.port, fragment);
    }
}

void Egress::send_arp(std::uint16_t port, const nat::ArpMessage& message,
                      const nat::MacAddress& to) {
    rte_mbuf* frame = rte_pktmbuf_alloc(gateway_.buffers);
    if (frame == nullptr) return counters_.no_buffer.add();
    char* room = rte_pktmbuf_append(frame, nat::arp_frame_bytes);
    nat::build_arp_frame(message, to,
                         std::span<std::uint8_t, nat::arp_frame_bytes>(
                             reinterpret_cast<std::uint8_t*>(room), nat::arp_frame_bytes));
    counters_.arp_sent.add();
    enqueue(port, frame);
}

void Egress::flush() {
    for (std::uint16_t port = 0; port < gateway_.port_count(); ++port)
        if (queues_[port].used > 0) flush(port);
}

void Egress::flush(std::uint16_t port) {
    constexpr int tries = 4;  // a ring that is full may drain a little; a dead one never does
    Queue& queue = queues_[port];
    if (queue.down) [[unlikely]]
        return discard(queue, 0, nat::DropReason::link_down);
    const bool held = held_ && gateway_.ports[port]->is_memif();
    if (held && queue.used < burst) [[unlikely]]
        return;
    std::uint16_t sent = 0;
    for (int i = held ? tries : 0; i < tries && sent < queue.used; ++i)
        sent = static_cast<std::uint16_t>(
            sent + rte_eth_tx_burst(gateway_.ports[port]->id(), queue_, queue.frames.data() + sent,
                                    static_cast<std::uint16_t>(queue.used - sent)));
    counters_.tx_packets.add(sent);
    discard(queue, sent, nat::DropReason::tx_full);
}

/// Drops all but the first `sent` frames of a queue, which is empty then.
void Egress::discard(Queue& queue, std::uint16_t sent, nat::DropReason reason) {
    for (std::uint16_t i = sent; i < queue.used; ++i) {
        queue.bytes -= rte_pktmbuf_pkt_len(queue.frames[i]);
        drop(queue.frames[i], reason);
    }
    counters_.tx_bytes.add(queue.bytes);
    queue.used = 0;
    queue.bytes = 0;
}

}  // namespace noclash::dpdk
