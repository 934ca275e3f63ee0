// SPDX-License-Identifier: Apache-2.0
#include "dpdk/device/packet_pool.hpp"

#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_mempool.h>

#include <cerrno>
#include <stdexcept>

#include "dpdk/device/last_memory.hpp"

namespace noclash::dpdk {

void PacketPool::Free::operator()(rte_mempool* pool) const {
    if (!LastMemory::is_left()) ::rte_mempool_free(pool);
}

PacketPool::PacketPool(const MemoryPlan& plan, PageSize pages) {
    const auto fail = [&](int error) {
        throw std::runtime_error(fmt::format(
            "no memory for {} packet buffers of {} bytes: {}; raise `dpdk_megabytes` (now {}) or "
            "lower `packet_buffers` in [memory], or leave both out",
            plan.packet_buffers, plan.buffer_room, ::rte_strerror(error), plan.megabytes));
    };
    // rte_pktmbuf_pool_create() would keep each buffer within a page of memory that devices might
    // read by physical address. Where none does, buffers can lie side by side: AF_XDP even expects
    // them to, and with normal pages half of the memory would be padding.
    const unsigned flags = plan.device_dma ? 0 : RTE_MEMPOOL_F_NO_IOVA_CONTIG;
    const unsigned element = static_cast<unsigned>(sizeof(rte_mbuf)) + plan.buffer_room;
    pool_.reset(::rte_mempool_create_empty("packets", plan.packet_buffers, element, plan.cache,
                                           sizeof(rte_pktmbuf_pool_private), SOCKET_ID_ANY, flags));
    if (!pool_) fail(rte_errno);
    if (const int error =
            ::rte_mempool_set_ops_byname(pool_.get(), ::rte_mbuf_best_mempool_ops(), nullptr);
        error != 0) {
        fail(-error);
    }
    rte_pktmbuf_pool_private layout{};
    layout.mbuf_data_room_size = plan.buffer_room;
    ::rte_pktmbuf_pool_init(pool_.get(), &layout);
    if (pages == PageSize::normal && !plan.device_dma) {
        rte_mempool_objsz size{};
        ::rte_mempool_calc_obj_size(element, flags, &size);
        const std::size_t each = size.header_size + size.elt_size + size.trailer_size;
        memory_ = std::make_unique<HugeArray<std::byte>>(each * plan.packet_buffers + 4096);
        // Nobody asks for physical addresses: those of the process serve.
        auto* memory = reinterpret_cast<char*>(&(*memory_)[0]);
        if (const int populated = ::rte_mempool_populate_iova(pool_.get(), memory,
                                                              reinterpret_cast<rte_iova_t>(memory),
                                                              memory_->bytes(), nullptr, nullptr);
            populated < static_cast<int>(plan.packet_buffers)) {
            fail(populated < 0 ? -populated : ENOMEM);
        }
    } else if (const int populated = ::rte_mempool_populate_default(pool_.get()); populated < 0) {
        fail(-populated);
    }
    ::rte_mempool_obj_iter(pool_.get(), ::rte_pktmbuf_init, nullptr);
}

}  // namespace noclash::dpdk
