// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace noclash::nat {

/// No element.
inline constexpr std::uint32_t no_index = 0xffff'ffff;

/// Where an element of an array stands in a list: its neighbours' indices.
struct ListLink {
    std::uint32_t before = no_index;
    std::uint32_t behind = no_index;
};

/// A list of elements of an array, first in, first out, from which any element can be taken.
/// `link` is a function from an element's index to its `ListLink&` in this list.
struct IndexList {
    std::uint32_t first = no_index;
    std::uint32_t last = no_index;

    [[nodiscard]] bool empty() const { return first == no_index; }

    template <class Link>
    void push_back(std::uint32_t index, Link&& link) {
        link(index) = {last, no_index};
        (last == no_index ? first : link(last).behind) = index;
        last = index;
    }

    template <class Link>
    void remove(std::uint32_t index, Link&& link) {
        const ListLink at = link(index);
        (at.before == no_index ? first : link(at.before).behind) = at.behind;
        (at.behind == no_index ? last : link(at.behind).before) = at.before;
    }
};

}  // namespace noclash::nat
