// SPDX-License-Identifier: Apache-2.0
#include "dpdk/control/watchdog.hpp"

#include <cassert>

namespace noclash::dpdk {

Watchdog::Watchdog(std::uint64_t deadline_ms, std::span<const std::uint64_t> rounds_ms,
                   std::uint64_t now_ms)
    : deadline_ms_(deadline_ms), fed_ms_(now_ms) {
    for (const std::uint64_t round_ms : rounds_ms)
        workers_.push_back({round_ms, false});
}

Watchdog::Finding Watchdog::look(std::span<const std::uint64_t> rounds_ms, std::uint64_t now_ms) {
    assert(rounds_ms.size() == workers_.size());
    Finding finding;
    const std::uint64_t since_fed_ms = now_ms - fed_ms_;
    bool all_go_on = true;
    for (std::size_t id = 0; id < workers_.size(); ++id) {
        Worker& worker = workers_[id];
        const bool goes_on = rounds_ms[id] != worker.round_ms;
        all_go_on = all_go_on && goes_on;
        if (goes_on && worker.stalled) finding.resumed.push_back(id);
        if (!goes_on && !worker.stalled && since_fed_ms >= deadline_ms_ / 2)
            finding.stalled.push_back(id);
        worker.stalled = !goes_on && since_fed_ms >= deadline_ms_ / 2;
    }
    finding.feed = all_go_on && since_fed_ms >= deadline_ms_ / 4;
    if (!finding.feed) return finding;
    fed_ms_ = now_ms;
    for (std::size_t id = 0; id < workers_.size(); ++id)
        workers_[id].round_ms = rounds_ms[id];
    return finding;
}

}  // namespace noclash::dpdk
