// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "engine/base/counters.hpp"
#include "nat/packet/drop_reason.hpp"

namespace noclash::dpdk {

/// The counters of one worker beside those of engine and pipeline. Written by the worker, read by
/// anyone.
struct WorkerCounters {
    Counter rx_packets;
    Counter rx_bytes;
    Counter tx_packets;
    Counter tx_bytes;
    Counter arp_received;
    Counter arp_sent;
    Counter icmp_errors_sent;
    Counter icmp_errors_suppressed;  ///< not sent: the rate limit
    Counter tcp_resets_sent;         ///< in answer to segments of unknown connections
    Counter tcp_resets_suppressed;   ///< not sent: the rate limit
    Counter own_segments_sent;       ///< of the SYN proxy
    Counter flow_resets_sent;        ///< to the ends of connections that were ended with a reset
    Counter no_buffer;               ///< ARP or ICMP of our own not sent: no packet buffer left
    Counter parked;                  ///< packets that waited for another worker's set-up
    Counter adopted;                 ///< of those, the ones that went on with the flow
    Counter neighbor_waited;         ///< packets that waited for a neighbour's address
    Counter neighbor_moved;          ///< neighbours in use that have another MAC address now
    Counter neighbor_claims;         ///< claims of a neighbour's address that were not believed
    Counter address_conflicts;       ///< ARP of other stations that use an address of ours
    Counter fragments_received;
    Counter fragment_copies;  ///< of those, copies of others, which cost nothing
    Counter reassembled;      ///< packets that were put together of them
    Counter fragmented;       ///< packets that went out in fragments
    Counter fragments_sent;   ///< those
    Counter naps;
    Counter woken;  ///< naps that a frame ended
    std::array<Counter, nat::drop_reasons> drops;

    void drop(nat::DropReason reason) { drops[static_cast<std::size_t>(reason)].add(); }
    [[nodiscard]] std::uint64_t dropped(nat::DropReason reason) const {
        return drops[static_cast<std::size_t>(reason)].value();
    }
};

}  // namespace noclash::dpdk
