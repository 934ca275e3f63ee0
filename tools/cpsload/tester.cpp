// SPDX-License-Identifier: Apache-2.0
#include "tools/cpsload/tester.hpp"

#include <algorithm>

namespace noclash::cpsload {
namespace {

constexpr std::uint32_t repetitions_a_turn = 64;

std::span<std::uint8_t> bytes_of(rte_mbuf* frame) {
    // One that the device spread over several buffers is none of ours.
    if (frame->nb_segs != 1) return {};
    return {rte_pktmbuf_mtod(frame, std::uint8_t*), rte_pktmbuf_data_len(frame)};
}

}  // namespace

Tester::Tester(Ledger& ledger, Side client, Side server, rte_mempool* packets)
    : ledger_(ledger),
      client_side_(client),
      server_side_(server),
      client_(ledger, FrameWriter(client.station.mac(), client.station.gateway_mac())),
      server_(ledger, FrameWriter(server.station.mac(), server.station.gateway_mac())),
      packets_(packets) {}

bool Tester::allocate(std::uint16_t count) {
    return rte_pktmbuf_alloc_bulk(packets_, fresh_.data(), count) == 0;
}

bool Tester::turn(Time now) {
    const std::size_t arrived = serve(server_, server_side_, now);
    const std::size_t answered = serve(client_, client_side_, now);
    const bool repeated = repeat(now);
    flush();
    return arrived + answered > 0 || repeated;
}

void Tester::flush() {
    client_side_.link.flush();
    server_side_.link.flush();
}

template <class Peer>
std::size_t Tester::serve(Peer& peer, Side& side, Time now) {
    const auto frames = side.link.receive();
    for (rte_mbuf* frame : frames)
        rte_prefetch0(rte_pktmbuf_mtod(frame, void*));
    std::array<FrameKind, burst> kind_of{};
    for (std::size_t i = 0; i < frames.size(); ++i) {
        kind_of[i] = read_frame(bytes_of(frames[i]), segments_[i]);
        if (kind_of[i] == FrameKind::segment)
            ledger_.connections.prefetch(peer.slot_of(segments_[i]));
    }
    std::array<rte_mbuf*, burst> done;
    unsigned done_count = 0;
    for (std::size_t i = 0; i < frames.size(); ++i) {
        std::uint16_t length = 0;
        switch (kind_of[i]) {
            case FrameKind::segment:
                length =
                    peer.receive(segments_[i], rte_pktmbuf_mtod(frames[i], std::uint8_t*), now);
                break;
            case FrameKind::bad_checksum:
                ++ledger_.counters.bad_checksums;
                break;
            case FrameKind::icmp:
                ++ledger_.counters.icmp;
                break;
            case FrameKind::arp:
                answer_arp(side, frames[i]);
                continue;
            case FrameKind::other:
                break;
        }
        if (length > 0) {
            side.link.send(frames[i], length);
        } else {
            done[done_count++] = frames[i];
        }
    }
    if (done_count > 0) rte_pktmbuf_free_bulk(done.data(), done_count);
    return frames.size();
}

bool Tester::repeat(Time now) {
    bool any = false;
    for (std::uint32_t i = 0; i < repetitions_a_turn; ++i) {
        if (!client_.second_due() && !ledger_.deadlines.due(now)) break;
        if (client_side_.link.room() < burst || !allocate(1)) break;
        any = true;
        const std::uint16_t length =
            client_.repeat(rte_pktmbuf_mtod(fresh_[0], std::uint8_t*), now);
        if (length > 0) {
            client_side_.link.send(fresh_[0], length);
        } else {
            rte_pktmbuf_free(fresh_[0]);
        }
    }
    return any;
}

std::uint32_t Tester::open(std::uint32_t count, Time now) {
    std::uint32_t opened = 0;
    // A pair of DNS queries takes two buffers, and leaves in one burst.
    while (opened < count && client_side_.link.room() >= 2UL * burst) {
        const auto wanted =
            static_cast<std::uint16_t>(std::min<std::uint32_t>(burst, count - opened));
        if (!allocate(wanted)) break;
        std::uint16_t used = 0;
        while (used < wanted) {
            const std::uint16_t length =
                client_.open(rte_pktmbuf_mtod(fresh_[used], std::uint8_t*), now);
            if (length == 0) break;
            client_side_.link.send(fresh_[used++], length);
            if (!client_.second_due()) ++opened;
        }
        if (used < wanted) {
            rte_pktmbuf_free_bulk(fresh_.data() + used, wanted - used);
            break;
        }
    }
    if (client_.second_due()) repeat(now);
    return opened;
}

void Tester::answer_arp(Side& side, rte_mbuf* frame) {
    const auto payload = bytes_of(frame).subspan(sizeof(nat::EthernetHeader));
    const auto message = nat::parse_arp(payload);
    const auto answer = message ? side.station.receive(*message) : std::nullopt;
    if (!answer) {
        rte_pktmbuf_free(frame);
        return;
    }
    nat::build_arp_frame(*answer, message->sender_mac,
                         std::span<std::uint8_t, nat::arp_frame_bytes>(
                             rte_pktmbuf_mtod(frame, std::uint8_t*), nat::arp_frame_bytes));
    side.link.send(frame, nat::arp_frame_bytes);
}

}  // namespace noclash::cpsload
