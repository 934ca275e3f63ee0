// SPDX-License-Identifier: Apache-2.0
#include "dpdk/config/moves.hpp"

#include <algorithm>

namespace noclash::dpdk {

std::vector<bool> moved_elements(std::span<const std::size_t> places) {
    constexpr auto none = static_cast<std::size_t>(-1);
    // Of all rising sequences of some length so far, the element that ends lowest.
    std::vector<std::size_t> ends;
    std::vector<std::size_t> before(places.size(), none);
    for (std::size_t i = 0; i < places.size(); ++i) {
        const auto pile = std::ranges::lower_bound(ends, places[i], {},
                                                   [&](std::size_t end) { return places[end]; });
        if (pile != ends.begin()) before[i] = *(pile - 1);
        if (pile == ends.end())
            ends.push_back(i);
        else
            *pile = i;
    }
    std::vector<bool> moved(places.size(), true);
    for (std::size_t i = ends.empty() ? none : ends.back(); i != none; i = before[i])
        moved[i] = false;
    return moved;
}

}  // namespace noclash::dpdk
