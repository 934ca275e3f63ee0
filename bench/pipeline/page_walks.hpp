// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_cycles.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "engine/base/huge_array.hpp"

namespace noclash::bench {

/// The cost, in ns, of a line fetched out of order in a loop that does nothing else: `lines` of
/// them that lie side by side, or each on 4 KiB of its own. Both are as many lines, few enough for
/// the second-level cache, on huge pages; what is between the two is address translation. Where a
/// hypervisor backs huge pages by small ones, the TLB holds small ones.
class PageWalks {
  public:
    static constexpr std::size_t lines = 16384;

    enum class Layout : std::uint8_t { side_by_side, one_a_page };

    [[nodiscard]] double ns_of_a_line(Layout layout) {
        const std::size_t stride = layout == Layout::one_a_page ? page : sizeof(Line);
        std::vector<const void*> order(lines);
        for (std::size_t i = 0; i < lines; ++i) {
            // Not at the same place of each page: those would share few sets of the cache.
            const std::size_t within = layout == Layout::one_a_page ? i * 7 % (page / 64) * 64 : 0;
            order[i] = &memory_[(i * stride + within) / sizeof(Line)];
        }
        std::shuffle(order.begin(), order.end(), std::mt19937_64(1));
        double least = 1e9;
        for (unsigned turn = 0; turn < turns; ++turn) {
            const std::uint64_t begun = rte_rdtsc_precise();
            for (const void* const line : order)
                __builtin_prefetch(line, 0, 2);
            const auto cycles = static_cast<double>(rte_rdtsc_precise() - begun);
            least = std::min(least, cycles / lines);
        }
        return least * 1e9 / static_cast<double>(rte_get_tsc_hz());
    }

  private:
    struct alignas(64) Line {
        std::uint64_t words[8]{};
    };
    static constexpr std::size_t page = 4096;
    static constexpr unsigned turns = 30;

    HugeArray<Line> memory_{lines * page / sizeof(Line)};
};

}  // namespace noclash::bench
