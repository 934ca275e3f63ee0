// SPDX-License-Identifier: Apache-2.0
#include "dpdk/datapath/prefix_table.hpp"

#include <fmt/format.h>
#include <rte_errno.h>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <stdexcept>
#include <string>

#include "dpdk/device/last_memory.hpp"
#include "dpdk/device/memory_plan.hpp"

namespace noclash::dpdk {

void PrefixTable::Free::operator()(rte_lpm* lpm) const {
    if (!LastMemory::is_left()) rte_lpm_free(lpm);
}

PrefixTable::PrefixTable(std::vector<Entry> entries) {
    rte_lpm_config settings{};
    settings.max_rules = static_cast<std::uint32_t>(entries.size() + 2);
    // Exactly as many as are needed, for the library looks for a free one from the first on.
    std::vector<Prefix<V4>> prefixes;
    for (const Entry& entry : entries)
        prefixes.push_back(entry.prefix);
    settings.number_tbl8s = std::max(1U, route_groups(prefixes));
    // Of the policy that is in force and the one that will replace it, each has a table.
    static std::atomic<unsigned> made{0};
    const std::string name = fmt::format("noclash_routes_{}", ++made);
    lpm_.reset(rte_lpm_create(name.c_str(), SOCKET_ID_ANY, &settings));
    if (!lpm_) {
        throw std::runtime_error(
            fmt::format("a table of routes to {} prefixes, ports' subnets included: {}; raise "
                        "[memory] dpdk_megabytes",
                        entries.size(), rte_strerror(rte_errno)));
    }
    // Shorter prefixes first: then the library has nothing to keep that a longer one wrote. The
    // default route comes before the halves of all addresses, which it becomes here: the library
    // knows no prefix of no bits.
    std::ranges::stable_sort(entries, {}, [](const Entry& entry) { return entry.prefix.length; });
    for (const Entry& entry : entries) {
        if (entry.prefix.length != 0) {
            add(entry.prefix.network, entry.prefix.length, entry.value);
            continue;
        }
        for (const std::uint32_t half : {0U, 0x8000'0000U})
            add(V4Address::from_host(half), 1, entry.value);
    }
}

void PrefixTable::add(V4Address network, std::uint8_t length, std::uint32_t value) {
    assert(value != none && value <= most_value);
    const int failed = rte_lpm_add(lpm_.get(), network.value.host(), length, value);
    if (failed != 0) {
        throw std::runtime_error(fmt::format("route to {}/{}: {}", to_string<V4>(network), length,
                                             rte_strerror(-failed)));
    }
}

}  // namespace noclash::dpdk
