// SPDX-License-Identifier: Apache-2.0
#include "dpdk/datapath/reassembly.hpp"

#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_mempool.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "dpdk/datapath/frame.hpp"
#include "dpdk/device/memory_plan.hpp"
#include "nat/packet/checksum.hpp"
#include "nat/packet/fragment.hpp"
#include "nat/packet/headers.hpp"

namespace noclash::dpdk {

namespace {

using Ip = nat::IpHeader<V4>;
using nat::DropReason;

[[nodiscard]] Ip& ip_of(void* frame) {
    return *rte_pktmbuf_mtod_offset(static_cast<rte_mbuf*>(frame), Ip*, link_header_bytes);
}

[[noreturn]] void no_memory() {
    throw std::runtime_error(fmt::format(
        "no memory for reassembled packets: {}; raise `dpdk_megabytes` in [memory] or leave it "
        "out, or set `capacity` in [fragments] to 0",
        ::rte_strerror(rte_errno)));
}

/// No device reads these buffers, so they may lie anywhere, and may be longer than they can say.
/// Named after their owner: a process may have several gateways, each with a worker 0.
rte_mempool* make_long_buffers(const void* owner) {
    static_assert(RTE_PKTMBUF_HEADROOM + link_header_bytes + longest_datagram <= long_buffer_bytes);
    rte_mempool* pool = ::rte_mempool_create_empty(
        fmt::format("whole-{}", owner).c_str(), datagrams_at_once,
        static_cast<unsigned>(sizeof(rte_mbuf)) + long_buffer_bytes, 0,
        sizeof(rte_pktmbuf_pool_private), SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_IOVA_CONTIG);
    if (pool == nullptr) no_memory();
    rte_pktmbuf_pool_private layout{};
    layout.mbuf_data_room_size = UINT16_MAX;
    if (::rte_mempool_set_ops_byname(pool, ::rte_mbuf_best_mempool_ops(), nullptr) != 0) {
        ::rte_mempool_free(pool);
        no_memory();
    }
    ::rte_pktmbuf_pool_init(pool, &layout);
    if (::rte_mempool_populate_default(pool) < 0) {
        ::rte_mempool_free(pool);
        no_memory();
    }
    ::rte_mempool_obj_iter(pool, ::rte_pktmbuf_init, nullptr);
    return pool;
}

nat::ReassemblyBounds bounds(const FragmentsConfig& config) {
    return {std::max(config.capacity, 1U), config.per_source, config.timeout_ms};
}

}  // namespace

/// Takes the buffers that leave the store: dropped, duplicate, or joined to a whole packet.
class Reassembly::Sink {
  public:
    explicit Sink(Reassembly& owner) : owner_(owner) {}

    void drop(void* buffer, DropReason reason) {
        owner_.counters_.drop(reason);
        ::rte_pktmbuf_free(static_cast<rte_mbuf*>(buffer));
    }
    void copy(void* buffer) {
        owner_.counters_.fragment_copies.add();
        ::rte_pktmbuf_free(static_cast<rte_mbuf*>(buffer));
    }
    void whole(const nat::PiecePool& pool, const nat::PieceList& pieces) {
        made_ = owner_.join(pool, pieces);
        for (std::uint32_t at = pieces.first(); at != nat::no_index; at = pool.next(at))
            ::rte_pktmbuf_free(static_cast<rte_mbuf*>(pool.piece(at).buffer));
    }
    [[nodiscard]] const std::optional<Whole>& made() const { return made_; }

  private:
    Reassembly& owner_;
    std::optional<Whole> made_;
};

void Reassembly::FreePool::operator()(rte_mempool* pool) const {
    ::rte_mempool_free(pool);
}

Reassembly::Reassembly(const Config& config, rte_mempool* buffers, WorkerCounters& counters)
    : counters_(counters),
      buffers_(buffers),
      in_service_(config.fragments.capacity != 0),
      store_(bounds(config.fragments)) {
    if (in_service_) long_buffers_.reset(make_long_buffers(this));
}

Reassembly::~Reassembly() {
    Sink sink(*this);
    store_.clear(sink);
}

std::optional<Reassembly::Whole> Reassembly::add(rte_mbuf* frame, const nat::PacketView& packet,
                                                 std::uint16_t ingress_port, std::uint64_t now_ms) {
    counters_.fragments_received.add();
    Sink sink(*this);
    if (const DropReason reason = admit(frame, packet); reason != DropReason::none) {
        sink.drop(frame, reason);
        return {};
    }
    const Ip& ip = nat::header<Ip>(packet, 0);
    const std::uint16_t word = ip.fragment.get().host();
    nat::Piece piece;
    piece.buffer = frame;
    piece.bytes = packet.data + ip.header_length();
    piece.begin = (word & Ip::offset_mask) * nat::fragment_unit;
    piece.end = piece.begin + ip.total_length.get().host() - ip.header_length();
    piece.packet_bytes = ip.total_length.get().host();
    piece.last = (word & Ip::more_fragments) == 0;
    store_.add(nat::fragment_key<V4>(ip.source.get(), ip.destination.get(), ip.protocol,
                                     ip.id.get().host(), ingress_port),
               piece, now_ms, sink);
    return sink.made();
}

/// [RFC 4787 REQ-14]: what one source sends takes nothing from others but its share.
DropReason Reassembly::admit(const rte_mbuf* frame, const nat::PacketView& packet) const {
    if (!in_service_) return DropReason::fragment;
    if (frame->nb_segs != 1) return DropReason::truncated;
    return nat::check_fragment<V4>(packet, longest_datagram);
}

rte_mbuf* Reassembly::buffer_for(std::uint32_t frame_bytes) {
    const std::uint32_t room =
        rte_pktmbuf_data_room_size(buffers_) - std::uint32_t{RTE_PKTMBUF_HEADROOM};
    return ::rte_pktmbuf_alloc(frame_bytes > room ? long_buffers_.get() : buffers_);
}

/// A copy in one buffer. A packet for which there is none is counted as one.
std::optional<Reassembly::Whole> Reassembly::join(const nat::PiecePool& pool,
                                                  const nat::PieceList& pieces) {
    const Ip& first = ip_of(pool.piece(pieces.first()).buffer);
    const std::uint32_t header_bytes = first.header_length();
    const std::uint32_t length = header_bytes + pieces.payload_bytes();
    if (length > longest_datagram) {  // the first fragment has more options than the last
        counters_.drop(DropReason::fragment_too_big);
        return {};
    }
    rte_mbuf* frame = buffer_for(link_header_bytes + length);
    if (frame == nullptr) {
        counters_.drop(DropReason::no_buffer);
        return {};
    }
    set_frame_bytes(frame, link_header_bytes + length);
    std::memcpy(&ip_of(frame), &first, header_bytes);
    auto* to = rte_pktmbuf_mtod_offset(frame, std::uint8_t*, link_header_bytes + header_bytes);
    std::uint16_t largest = 0;
    for (std::uint32_t at = pieces.first(); at != nat::no_index; at = pool.next(at)) {
        const nat::Piece& piece = pool.piece(at);
        std::memcpy(to + piece.begin, piece.bytes, piece.end - piece.begin);
        largest = std::max(largest, piece.packet_bytes);
    }
    Ip& ip = ip_of(frame);
    ip.total_length = Be16::from_host(static_cast<std::uint16_t>(length));
    ip.fragment = Be16::from_host(
        static_cast<std::uint16_t>(first.fragment.get().host() & Ip::dont_fragment));
    ip.checksum = Be16{};
    ip.checksum = nat::checksum::finish(
        nat::checksum::sum({reinterpret_cast<const std::uint8_t*>(&ip), header_bytes}));
    counters_.reassembled.add();
    return Whole{frame, largest};
}

void Reassembly::drop_expired(std::uint64_t now_ms) {
    Sink sink(*this);
    store_.expire(now_ms, sink);
}

}  // namespace noclash::dpdk
