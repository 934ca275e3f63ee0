// SPDX-License-Identifier: Apache-2.0
#include "dpdk/datapath/prefix_table.hpp"

#include <algorithm>
#include <cassert>

namespace noclash::dpdk {

PrefixTable::PrefixTable(std::vector<Entry> entries)
    : memory_((direct_places + count_blocks(entries) * block_places) * sizeof(std::uint32_t)),
      places_(static_cast<std::uint32_t*>(memory_.data())) {
    // Touches all pages: no look-up has to wait for one.
    std::fill_n(places_, memory_.bytes() / sizeof(std::uint32_t), none);
    std::ranges::stable_sort(entries, {}, [](const Entry& entry) { return entry.prefix.length; });
    for (const Entry& entry : entries)
        paint(entry);
}

std::size_t PrefixTable::count_blocks(std::span<const Entry> entries) {
    std::vector<std::uint32_t> with_block;
    for (const Entry& entry : entries)
        if (entry.prefix.length > 24) with_block.push_back(entry.prefix.network.value.host() >> 8U);
    std::ranges::sort(with_block);
    const auto doubles = std::ranges::unique(with_block);
    return with_block.size() - doubles.size();
}

void PrefixTable::paint(const Entry& entry) {
    assert(entry.value != none && entry.value <= most_value);
    const auto& [prefix, value] = entry;
    const std::uint32_t first = prefix.network.value.host();
    std::uint32_t& direct = places_[first >> 8U];
    if (prefix.length <= 24) {
        std::fill_n(&direct, std::size_t{1} << (24U - prefix.length), value);
        return;
    }
    if ((direct & block) == 0) {
        std::fill_n(places_ + end_, block_places, direct);
        direct = end_ | block;
        end_ += block_places;
    }
    std::fill_n(places_ + (direct & ~block) + (first & 0xffU),
                std::size_t{1} << (32U - prefix.length), value);
}

}  // namespace noclash::dpdk
