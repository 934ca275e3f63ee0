// SPDX-License-Identifier: Apache-2.0
#pragma once

// # Reassembly
//
// A packet that came in fragments is put together before anything is decided about it: only the
// first fragment has ports, and the first need not come first. The rules by which fragments wait,
// fit and give way are in nat/fragments/reassembly_store.hpp; here are the buffers. (`rte_ip_frag`
// takes no more than eight fragments of a packet, and a copy of one costs the packet.)
//
// A whole packet is copied into one buffer, so that all that comes behind may take any packet as
// one run of bytes. Behind its Ethernet header it may be longer than the 16 bits in which a buffer
// counts its bytes: only `pkt_len` then tells the truth.

#include <rte_mbuf.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "dpdk/config/config.hpp"
#include "dpdk/datapath/worker_counters.hpp"
#include "nat/fragments/reassembly_store.hpp"
#include "nat/packet/packet.hpp"

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

    /// Other bounds from now on; `capacity` stays.
    void take(const FragmentsConfig& config) {
        store_.set_bounds(config.per_source, config.timeout_ms);
    }

    /// Takes a frame whose packet `parse` refused as `DropReason::fragment`, and gives the packet
    /// that it completes, if any. What dies is counted.
    [[nodiscard]] std::optional<Whole> add(rte_mbuf* frame, const nat::PacketView& packet,
                                           std::uint16_t ingress_port, std::uint64_t now_ms);

    /// Drops what has waited too long.
    void expire(std::uint64_t now_ms) {
        if (!store_.empty()) [[unlikely]]
            drop_expired(now_ms);
    }

    /// Fragments that wait.
    [[nodiscard]] std::uint32_t waiting() const { return store_.waiting(); }

  private:
    class Sink;
    struct FreePool {
        void operator()(rte_mempool* pool) const;
    };

    [[nodiscard]] nat::DropReason admit(const rte_mbuf* frame, const nat::PacketView& packet) const;
    [[nodiscard]] std::optional<Whole> join(const nat::PiecePool& pool,
                                            const nat::PieceList& pieces);
    [[nodiscard]] rte_mbuf* buffer_for(std::uint32_t frame_bytes);
    void drop_expired(std::uint64_t now_ms);

    WorkerCounters& counters_;
    rte_mempool* buffers_;
    bool in_service_;
    nat::ReassemblyStore<V4> store_;
    /// For packets that are longer than the buffers of frames. Their buffers never get to a device:
    /// no MTU is so large, so they are fragmented again.
    std::unique_ptr<rte_mempool, FreePool> long_buffers_;
};

}  // namespace noclash::dpdk
