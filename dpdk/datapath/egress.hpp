// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "dpdk/datapath/frame.hpp"
#include "dpdk/datapath/gateway.hpp"
#include "dpdk/datapath/hold_queue.hpp"
#include "dpdk/datapath/worker_counters.hpp"
#include "nat/packet/arp.hpp"

namespace noclash::dpdk {

/// One worker's way out: from a packet and its next hop to a frame on the worker's own TX queue.
/// Finds the neighbour's address, asks for it when it is not known, keeps packets waiting for it,
/// and sends in bursts. Takes ownership of every frame handed to it.
class Egress {
  public:
    Egress(Gateway& gateway, std::uint16_t queue, WorkerCounters& counters);
    Egress(const Egress&) = delete;
    Egress& operator=(const Egress&) = delete;
    ~Egress();

    /// It is `now_ms` until the next call. Once a loop, before all else.
    void begin(std::uint64_t now_ms) {
        if (now_ms == now_ms_) return;
        now_ms_ = now_ms;
        forget_recent();
    }

    /// An IP packet, translated, whose Ethernet header is to be filled in.
    void send(rte_mbuf* frame, const nat::Hop<V4>& hop) {
        const std::uint64_t towards = key(hop);
        const Recent& known = recent(towards);
        if (known.towards != towards) [[unlikely]]
            return send_first(frame, hop);
        ethernet(frame) = known.header;
        enqueue(hop.port, frame);
    }

    /// As `send`, for a packet longer than `hop.mtu`, which goes in fragments [RFC 4787 REQ-13].
    void send_long(rte_mbuf* frame, const nat::Hop<V4>& hop) { send_first(frame, hop); }

    /// An ARP message, built here. Broadcast or to its target.
    void send_arp(std::uint16_t port, const nat::ArpMessage& message, const nat::MacAddress& to);

    /// Who has `address`? To `at`: one station, or all.
    void ask(std::uint16_t port, V4Address address, const nat::MacAddress& at) {
        send_arp(port,
                 nat::arp_request(gateway_.macs[port],
                                  gateway_.policy.of_round().router.port_address(port), address),
                 at);
    }

    /// Hands what was sent to the devices. Once a loop.
    void flush();

    /// Notes whether a link takes frames: if not, they are dropped. Before any frame of this round.
    /// @return whether it takes some and did not before
    bool take_link(std::uint16_t port, bool up) {
        forget_recent();
        return std::exchange(queues_[port].down, !up) && up;
    }

    /// While `held`, frames to memif devices wait, as far as there is room. Held at first.
    void hold(bool held) { held_ = held; }

    /// Looks again, once a millisecond, at packets whose neighbour was not known; a burst goes on
    /// its way in a round, so that no device is overrun by what has gathered. A packet whose
    /// neighbour does not answer becomes the caller's again: `give_up(frame)`.
    template <class GiveUp>
    void revisit(GiveUp&& give_up) {
        if (waiting_.empty() || visited_ms_ == now_ms_) return;
        failed_.clear();
        Resolution found{};
        const bool all_went = waiting_.visit(
            lines_a_visit, packets_a_visit,
            [&](const Waiting& packet) {
                found = resolve(packet.hop);
                return found.state != NeighborState::incomplete;
            },
            [&](const Waiting& packet) {
                if (found.state == NeighborState::reachable)
                    transmit(packet.frame, packet.hop, found.mac);
                else
                    failed_.push_back(packet.frame);
            });
        if (all_went) visited_ms_ = now_ms_;
        for (rte_mbuf* frame : failed_)
            give_up(frame);  // which may send, and so let other packets wait
    }

    void drop(rte_mbuf* frame, nat::DropReason reason) {
        counters_.drop(reason);
        rte_pktmbuf_free(frame);
    }

  private:
    static constexpr std::size_t burst = 32;
    static constexpr std::size_t packets_a_visit = 2 * burst;
    static constexpr std::size_t lines_a_visit = 128;

    struct Waiting {
        rte_mbuf* frame = nullptr;
        nat::Hop<V4> hop;
    };
    struct Queue {
        std::array<rte_mbuf*, burst> frames;
        std::uint16_t used = 0;
        bool down = false;        ///< the link: nothing is handed to the device
        std::uint64_t bytes = 0;  ///< of all of them
    };

    /// A neighbour that a packet went to, and the header that its frames get. Good for the
    /// millisecond: then the neighbour table is asked again, which drives the asking by ARP.
    struct alignas(32) Recent {
        std::uint64_t towards = 0;  ///< the hop's `key`, which is not 0: it has an MTU
        nat::EthernetHeader header{};
    };
    static constexpr std::size_t recents = 64;

    [[nodiscard]] static std::uint64_t key(const nat::Hop<V4>& hop) {
        return std::bit_cast<std::uint64_t>(hop);
    }
    [[nodiscard]] Recent& recent(std::uint64_t towards) {
        // From the top of the product, where every byte of the key has its say.
        return recent_[towards * 0x9e3779b97f4a7c15ULL >> (64U - std::countr_zero(recents))];
    }
    void forget_recent();
    /// To a neighbour that must be looked up, or longer than the MTU.
    void send_first(rte_mbuf* frame, const nat::Hop<V4>& hop);
    [[nodiscard]] nat::EthernetHeader header_to(std::uint16_t port,
                                                const nat::MacAddress& to) const;
    Resolution resolve(const nat::Hop<V4>& hop);
    void wait(rte_mbuf* frame, const nat::Hop<V4>& hop);
    void transmit(rte_mbuf* frame, const nat::Hop<V4>& hop, const nat::MacAddress& to);
    void transmit_in_fragments(rte_mbuf* frame, const nat::Hop<V4>& hop, const nat::MacAddress& to);
    void enqueue(std::uint16_t port, rte_mbuf* frame) {
        Queue& queue = queues_[port];
        queue.frames[queue.used++] = frame;
        queue.bytes += rte_pktmbuf_pkt_len(frame);
        if (queue.used == burst) flush(port);
    }
    void flush(std::uint16_t port);
    void discard(Queue& queue, std::uint16_t sent, nat::DropReason reason);

    Gateway& gateway_;
    std::uint16_t queue_;
    bool held_;
    WorkerCounters& counters_;
    std::vector<Queue> queues_;  ///< by port
    HoldQueue<Waiting> waiting_;
    std::vector<rte_mbuf*> failed_;  ///< of one `revisit`; never grows beyond `packets_a_visit`
    std::uint64_t now_ms_ = 0;
    std::uint64_t visited_ms_ = 0;
    std::array<Recent, recents> recent_{};  ///< at `now_ms_`
};

}  // namespace noclash::dpdk
