// SPDX-License-Identifier: Apache-2.0
#include "dpdk/control/memory_report.hpp"

#include <fmt/format.h>
#include <rte_mempool.h>

#include "dpdk/device/memory_plan.hpp"

namespace noclash::dpdk {

std::vector<MemoryRow> memory_report(const Gateway& gateway) {
    const auto& pool = gateway.flows.pool();
    const auto& index = gateway.flows.index();
    const auto row = [](std::string_view what, std::uint64_t bytes, const void* address) {
        return MemoryRow{what, bytes, page_kind_at(address)};
    };
    std::vector<MemoryRow> rows{row("flow records", pool.bytes(), &pool[1]),
                                row("tuple index", index.bytes(), index.address())};
    struct Chunks {
        std::uint64_t bytes = 0;
        const void* first = nullptr;
    } chunks;
    ::rte_mempool_mem_iter(
        gateway.buffers,
        [](rte_mempool*, void* all, rte_mempool_memhdr* chunk, unsigned) {
            auto* sum = static_cast<Chunks*>(all);
            sum->bytes += chunk->len;
            if (sum->first == nullptr) sum->first = chunk->addr;
        },
        &chunks);
    rows.push_back(row("packet buffers", chunks.bytes, chunks.first));
    const auto policy = gateway.policy.hold();
    const auto routes = policy->router.memory();
    rows.push_back(row("routes", routes.size(), routes.data()));
    return rows;
}

std::string memory_words(const std::vector<MemoryRow>& rows) {
    std::string words;
    for (const MemoryRow& row : rows) {
        words += fmt::format("{}{} MiB of {} on {} pages", words.empty() ? "" : ", ",
                             (row.bytes + mebibyte / 2) / mebibyte, row.what, to_string(row.pages));
    }
    return words;
}

}  // namespace noclash::dpdk
