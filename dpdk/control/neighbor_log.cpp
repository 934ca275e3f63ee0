// SPDX-License-Identifier: Apache-2.0
#include "dpdk/control/neighbor_log.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace noclash::dpdk {

void NeighborLog::add(const NeighborEvent& event) {
    const bool waits = std::ranges::find(waiting_, event) != waiting_.end();
    if (waits || was_told(event) || waiting_.size() == most)
        ++left_out_;
    else
        waiting_.push_back(event);
}

/// A station that changes its MAC address with each frame is one event, too.
bool NeighborLog::was_told(const NeighborEvent& event) const {
    return std::ranges::any_of(told_, [&](const Told& told) {
        return told.event.news == event.news && told.event.port == event.port &&
               told.event.address == event.address;
    });
}

std::string NeighborLog::words(const NeighborEvent& event) const {
    const std::string& port = ports_[event.port].name;
    const std::string address = to_string<V4>(event.address);
    const std::string known = nat::to_string(event.known);
    const std::string claimed = nat::to_string(event.claimed);
    switch (event.news) {
        case NeighborNews::moved:
            return fmt::format("port {}: neighbour {} moved from {} to {}", port, address, known,
                               claimed);
        case NeighborNews::kept:
            return fmt::format(
                "port {}: {} claims the address of neighbour {}, which still answers at {}: not "
                "believed",
                port, claimed, address, known);
        case NeighborNews::refused:
            return fmt::format(
                "port {}: {} claims the address of neighbour {}, which [[neighbor]] fixes at {}: "
                "not believed",
                port, claimed, address, known);
        case NeighborNews::conflict:
            break;
    }
    return fmt::format(
        "port {}: address conflict: {} uses {}, an address of this gateway (at {}); find that "
        "station, and give one of the two another address",
        port, claimed, address, known);
}

std::vector<std::string> NeighborLog::lines(std::uint64_t now_ms) {
    std::erase_if(told_, [&](const Told& told) { return now_ms - told.at_ms >= interval_ms; });
    std::vector<std::string> result;
    for (const NeighborEvent& event : waiting_) {
        if (was_told(event)) {
            ++left_out_;
            continue;
        }
        if (told_.size() == remembered) told_.erase(told_.begin());
        told_.push_back({event, now_ms});
        result.push_back(words(event));
    }
    waiting_.clear();
    if (left_out_ != 0 && now_ms - left_out_told_ms_ >= interval_ms) {
        result.push_back(
            fmt::format("{} more events of changed or claimed addresses; counters "
                        "neighbor_moved, neighbor_claims and address_conflicts",
                        left_out_));
        left_out_ = 0;
        left_out_told_ms_ = now_ms;
    }
    return result;
}

}  // namespace noclash::dpdk
