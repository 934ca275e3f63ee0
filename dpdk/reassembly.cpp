// SPDX-License-Identifier: Apache-2.0
#include "dpdk/reassembly.hpp"

#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_mempool.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <stdexcept>

#include "dpdk/frame.hpp"
#include "dpdk/memory_plan.hpp"
#include "nat/checksum.hpp"
#include "nat/fragment.hpp"
#include "nat/headers.hpp"

namespace noclash::dpdk {

namespace {

using Ip = nat::IpHeader<V4>;
using nat::DropReason;

constexpr std::uint32_t link_header = sizeof(nat::EthernetHeader);
constexpr std::uint32_t bucket_entries = 8;

[[nodiscard]] const Ip& ip_of(const rte_mbuf* frame) {
    return *rte_pktmbuf_mtod_offset(frame, const Ip*, link_header);
}

[[noreturn]] void no_memory(const char* what) {
    throw std::runtime_error(fmt::format(
        "no memory for {}: {}; raise `dpdk_megabytes` in [memory] or leave it out, or lower "
        "`capacity` in [fragments]",
        what, ::rte_strerror(rte_errno)));
}

rte_ip_frag_tbl* make_table(const FragmentsConfig& config) {
    const std::uint32_t entries = std::max(bucket_entries, std::bit_ceil(config.capacity));
    // Time is counted in milliseconds, whatever DPDK calls it.
    rte_ip_frag_tbl* table = ::rte_ip_frag_table_create(entries / bucket_entries, bucket_entries,
                                                        entries, config.timeout_ms, SOCKET_ID_ANY);
    if (table == nullptr) no_memory("a table of fragments");
    return table;
}

/// No device reads these buffers, so they may lie anywhere. Named after their owner: a process may
/// have several gateways, each with a worker 0.
rte_mempool* make_long_buffers(std::uint32_t longest, const void* owner) {
    const auto room =
        static_cast<std::uint16_t>(RTE_PKTMBUF_HEADROOM + link_header + (longest + 63) / 64 * 64);
    rte_mempool* pool = ::rte_mempool_create_empty(
        fmt::format("whole-{}", owner).c_str(), datagrams_at_once,
        static_cast<unsigned>(sizeof(rte_mbuf)) + room, 0, sizeof(rte_pktmbuf_pool_private),
        SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_IOVA_CONTIG);
    if (pool == nullptr) no_memory("reassembled packets");
    rte_pktmbuf_pool_private layout{};
    layout.mbuf_data_room_size = room;
    if (::rte_mempool_set_ops_byname(pool, ::rte_mbuf_best_mempool_ops(), nullptr) != 0) {
        ::rte_mempool_free(pool);
        no_memory("reassembled packets");
    }
    ::rte_pktmbuf_pool_init(pool, &layout);
    if (::rte_mempool_populate_default(pool) < 0) {
        ::rte_mempool_free(pool);
        no_memory("reassembled packets");
    }
    ::rte_mempool_obj_iter(pool, ::rte_pktmbuf_init, nullptr);
    return pool;
}

}  // namespace

void Reassembly::FreePool::operator()(rte_mempool* pool) const {
    ::rte_mempool_free(pool);
}

Reassembly::Reassembly(const Config& config, rte_mempool* buffers, WorkerCounters& counters)
    : counters_(counters),
      buffers_(buffers),
      longest_(longest_datagram(config)),
      in_service_(config.fragments.capacity != 0),
      shares_(std::max(config.fragments.capacity, 1U), config.fragments.per_source) {
    if (!in_service_) return;
    table_.reset(make_table(config.fragments));
    long_buffers_.reset(make_long_buffers(longest_, this));
}

Reassembly::~Reassembly() {
    expire(~std::uint64_t{0});
}

std::optional<Reassembly::Whole> Reassembly::add(rte_mbuf* frame, const nat::PacketView& packet,
                                                 std::uint16_t ingress_port, std::uint64_t now_ms) {
    counters_.fragments_received.add();
    // So that no fragment is refused for want of room that others hold beyond their time.
    expire(now_ms);
    if (const DropReason reason = admit(frame, packet); reason != DropReason::none) {
        drop(frame, reason);
        return {};
    }
    rte_mbuf* whole = store(frame, packet, ingress_port, now_ms);
    if (whole == nullptr) {
        bury(dying_.cnt > 1 ? DropReason::fragment_overlap : DropReason::fragment_full);
        return {};
    }
    release(whole);
    return in_one_buffer(whole);
}

/// [RFC 4787 REQ-14]: what one source sends takes nothing from others but its share.
DropReason Reassembly::admit(const rte_mbuf* frame, const nat::PacketView& packet) const {
    if (!in_service_) return DropReason::fragment;
    if (frame->nb_segs != 1) return DropReason::truncated;
    const DropReason reason = nat::check_fragment<V4>(packet, longest_);
    if (reason != DropReason::none) return reason;
    if (shares_.exhausted(ip_of(frame).source.get())) return DropReason::fragment_source;
    return shares_.full() ? DropReason::fragment_full : DropReason::none;
}

rte_mbuf* Reassembly::store(rte_mbuf* frame, const nat::PacketView& packet,
                            std::uint16_t ingress_port, std::uint64_t now_ms) {
    const Ip& ip = nat::header<Ip>(packet, 0);
    Tuple<V4> packet_key{};
    packet_key.source = ip.source.get();
    packet_key.destination = ip.destination.get();
    packet_key.source_port = Be16::from_host(ingress_port);
    packet_key.protocol = ip.protocol;
    const std::uint64_t key = hash_(packet_key);

    rte_ipv4_hdr shown;
    std::memcpy(&shown, &ip, sizeof shown);
    shown.src_addr = static_cast<rte_be32_t>(key);
    shown.dst_addr = static_cast<rte_be32_t>(key >> 32U);
    frame->tx_offload = 0;
    frame->l2_len = link_header & 0x7f;
    frame->l3_len = ip.header_length() & 0x1ff;
    shares_.add(ip.source.get());
    return ::rte_ipv4_frag_reassemble_packet(table_.get(), &dying_, frame, now_ms, &shown);
}

/// The chain is freed; a packet for which there is no buffer is counted as one.
std::optional<Reassembly::Whole> Reassembly::in_one_buffer(rte_mbuf* chain) {
    const std::uint32_t length = rte_pktmbuf_pkt_len(chain);
    const bool is_long =
        length > rte_pktmbuf_data_room_size(buffers_) - std::uint32_t{RTE_PKTMBUF_HEADROOM};
    rte_mbuf* frame = ::rte_pktmbuf_alloc(is_long ? long_buffers_.get() : buffers_);
    if (frame == nullptr || rte_pktmbuf_tailroom(frame) < length) {
        ::rte_pktmbuf_free(frame);
        counters_.drop(frame == nullptr ? DropReason::no_buffer : DropReason::fragment_too_big);
        ::rte_pktmbuf_free(chain);
        return {};
    }
    std::uint32_t largest = rte_pktmbuf_data_len(chain) - link_header;
    for (const rte_mbuf* part = chain; part != nullptr; part = part->next) {
        const std::uint16_t bytes = rte_pktmbuf_data_len(part);
        std::memcpy(::rte_pktmbuf_append(frame, bytes), rte_pktmbuf_mtod(part, const void*), bytes);
        // All but the first have lost their headers.
        if (part != chain) largest = std::max<std::uint32_t>(largest, bytes + part->l3_len);
    }
    ::rte_pktmbuf_free(chain);
    // DPDK has made the packet's length and offset right, and left the checksum to us.
    auto& ip = *rte_pktmbuf_mtod_offset(frame, Ip*, link_header);
    ip.checksum = Be16{};
    ip.checksum = nat::checksum::finish(nat::checksum::sum(
        {reinterpret_cast<const std::uint8_t*>(&ip), std::size_t{ip.header_length()}}));
    counters_.reassembled.add();
    return Whole{frame, static_cast<std::uint16_t>(largest)};
}

void Reassembly::drop_expired(std::uint64_t now_ms) {
    // Each round of the loop buries some; DPDK stops where its row of the dying is full.
    do {
        ::rte_ip_frag_table_del_expired_entries(table_.get(), &dying_, now_ms);
        if (dying_.cnt == 0) return;
        bury(DropReason::fragment_timeout);
    } while (shares_.total() != 0);
}

/// Drops what DPDK has given up.
void Reassembly::bury(DropReason reason) {
    for (std::uint32_t i = 0; i < dying_.cnt; ++i) {
        release(dying_.row[i]);
        drop(dying_.row[i], reason);
    }
    dying_.cnt = 0;
}

/// A frame, or a chain of frames that DPDK had begun to put together: each counts.
void Reassembly::drop(rte_mbuf* frame, DropReason reason) {
    counters_.drops[static_cast<std::size_t>(reason)].add(frame->nb_segs);
    ::rte_pktmbuf_free(frame);
}

/// The fragments in `chain`, of one source, wait no longer.
void Reassembly::release(const rte_mbuf* chain) {
    shares_.remove(ip_of(chain).source.get(), chain->nb_segs);
}

}  // namespace noclash::dpdk
