// SPDX-License-Identifier: Apache-2.0
#pragma once

// # Reassembly
//
// A packet that came in fragments is put together before anything is decided about it: only the
// first fragment has ports, and the first need not come first. `rte_ip_frag` keeps the fragments
// and finds out when a packet is whole. What it leaves open is done here:
//
// * Its key lacks the protocol, and its hash can be computed by anybody. It is shown a keyed hash
//   of addresses, protocol and ingress port in place of the addresses.
// * It bounds neither what a source holds nor the length of a packet. Both are checked before.
// * It does not say why a fragment dies. What is expired leaves before each look-up; what dies then
//   alone found no room, and what dies together did not fit together: fragments that overlap or
//   repeat, or are more than eight. Such a packet is dropped whole (as RFC 5722 demands for IPv6).
// * The packet comes as a chain of buffers. It is copied into one, so that all that comes behind
//   may take any packet as one run of bytes.

#include <rte_ip_frag.h>
#include <rte_mbuf.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "dpdk/config.hpp"
#include "dpdk/worker_counters.hpp"
#include "engine/tuple_hash.hpp"
#include "nat/packet.hpp"
#include "nat/source_shares.hpp"

namespace noclash::dpdk {

/// One worker's store of fragments. All fragments of a packet must come to the same worker: they
/// do where devices spread fragments by addresses alone, as RSS and packet sockets do.
class Reassembly {
  public:
    /// A packet that is whole now, in one buffer.
    struct Whole {
        rte_mbuf* frame;
        std::uint16_t largest_fragment;  ///< bytes of the largest IP packet that it came in
    };

    /// `buffers` are those that frames come in.
    /// @throws std::runtime_error when the memory does not suffice
    Reassembly(const Config& config, rte_mempool* buffers, WorkerCounters& counters);
    Reassembly(const Reassembly&) = delete;
    Reassembly& operator=(const Reassembly&) = delete;
    ~Reassembly();

    /// Takes a frame whose packet `parse` refused as `DropReason::fragment`, and gives the packet
    /// that it completes, if any. What dies is counted.
    [[nodiscard]] std::optional<Whole> add(rte_mbuf* frame, const nat::PacketView& packet,
                                           std::uint16_t ingress_port, std::uint64_t now_ms);

    /// Drops what has waited too long.
    void expire(std::uint64_t now_ms) {
        if (shares_.total() != 0) [[unlikely]]
            drop_expired(now_ms);
    }

    /// Fragments that wait.
    [[nodiscard]] std::uint32_t waiting() const { return shares_.total(); }

  private:
    struct FreeTable {
        void operator()(rte_ip_frag_tbl* table) const { rte_ip_frag_table_destroy(table); }
    };
    struct FreePool {
        void operator()(rte_mempool* pool) const;
    };

    [[nodiscard]] nat::DropReason admit(const rte_mbuf* frame, const nat::PacketView& packet) const;
    [[nodiscard]] rte_mbuf* store(rte_mbuf* frame, const nat::PacketView& packet,
                                  std::uint16_t ingress_port, std::uint64_t now_ms);
    [[nodiscard]] std::optional<Whole> in_one_buffer(rte_mbuf* chain);
    void drop_expired(std::uint64_t now_ms);
    void bury(nat::DropReason reason);
    void drop(rte_mbuf* frame, nat::DropReason reason);
    void release(const rte_mbuf* chain);

    WorkerCounters& counters_;
    rte_mempool* buffers_;
    std::uint32_t longest_;  ///< bytes of an IP packet
    bool in_service_;
    nat::SourceShares<V4> shares_;
    TupleHash hash_;
    std::unique_ptr<rte_ip_frag_tbl, FreeTable> table_;
    /// For packets that are longer than the buffers of frames. Their buffers never get to a device:
    /// no MTU is so large, so they are fragmented again.
    std::unique_ptr<rte_mempool, FreePool> long_buffers_;
    rte_ip_frag_death_row dying_{};
};

}  // namespace noclash::dpdk
