// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <queue>
#include <span>
#include <vector>

#include "nat/policy/port_set.hpp"

namespace noclash::nat {

/// A number that rules never have: there is none.
inline constexpr std::uint32_t no_number = ~0U;

/// A range of ports that a rule asks for, by the rule's number.
struct NumberedRange {
    PortRange range;
    std::uint32_t number;
};

/// From this port on, up to the next step, `number` is the least number whose range has the port.
struct PortStep {
    std::uint16_t first;
    std::uint32_t number;
};

/// The least number for each port, as steps from port 0 on: however many ranges overlap, one binary
/// search answers for all of them.
[[nodiscard]] inline std::vector<PortStep> steps_of(std::vector<NumberedRange> ranges) {
    std::ranges::sort(ranges, {}, [](const NumberedRange& one) { return one.range.first; });
    std::vector<std::uint32_t> borders{0};
    for (const NumberedRange& one : ranges) {
        borders.push_back(one.range.first);
        borders.push_back(one.range.last + 1U);
    }
    std::ranges::sort(borders);
    borders.erase(std::unique(borders.begin(), borders.end()), borders.end());
    if (borders.back() > 65535) borders.pop_back();

    const auto later = [](const NumberedRange& a, const NumberedRange& b) {
        return a.number > b.number;
    };
    std::priority_queue<NumberedRange, std::vector<NumberedRange>, decltype(later)> begun(later);
    std::vector<PortStep> steps;
    auto next = ranges.begin();
    for (const std::uint32_t border : borders) {
        for (; next != ranges.end() && next->range.first <= border; ++next)
            begun.push(*next);
        while (!begun.empty() && begun.top().range.last < border)
            begun.pop();
        const std::uint32_t number = begun.empty() ? no_number : begun.top().number;
        if (steps.empty() || steps.back().number != number)
            steps.push_back({static_cast<std::uint16_t>(border), number});
    }
    return steps;
}

[[nodiscard]] inline std::uint32_t number_at(std::span<const PortStep> steps, std::uint16_t port) {
    return std::prev(std::ranges::upper_bound(steps, port, {}, &PortStep::first))->number;
}

}  // namespace noclash::nat
