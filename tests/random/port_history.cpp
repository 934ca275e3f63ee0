// SPDX-License-Identifier: Apache-2.0
#include "tests/random/port_history.hpp"

namespace noclash::test {

PortHistory::PortHistory(std::uint32_t ports, std::size_t releases)
    : ports_(ports),
      is_free_(ports, true),
      free_(ports),
      by_age_(ports + releases),
      by_run_(ports),
      stamp_of_(ports),
      run_of_(ports),
      place_in_run_(ports),
      with_run_(ports) {
    port_of_.reserve(ports + releases);
    for (std::uint32_t port = 0; port < ports; ++port) {
        stamp_of_[port] = port;
        port_of_.push_back(port);
        by_age_.add(port);
        free_.add(port);
        enter_run(port, 0);
    }
}

void PortHistory::allocated(std::uint32_t port) {
    leave_run(port);
    by_age_.remove(stamp_of_[port]);
    free_.remove(port);
    is_free_[port] = false;
    allocations_.push_back(port);
    if (free() == 0) return;
    const std::uint32_t next = at_or_after(port);
    leave_run(next);
    enter_run(next, between(before(next), next));
}

void PortHistory::released(std::uint32_t port) {
    stamp_of_[port] = static_cast<std::uint32_t>(port_of_.size());
    port_of_.push_back(port);
    by_age_.add(stamp_of_[port]);
    free_.add(port);
    is_free_[port] = true;
    enter_run(port, between(before(port), port));
    if (free() == 1) return;
    const std::uint32_t next = at_or_after((port + 1) % ports_);
    leave_run(next);
    enter_run(next, between(port, next));
}

std::uint32_t PortHistory::at_or_after(std::uint32_t port) const {
    return static_cast<std::uint32_t>(free_.nth(free_.below(port) % free()));
}

std::uint32_t PortHistory::before(std::uint32_t port) const {
    return static_cast<std::uint32_t>(free_.nth((free_.below(port) + free() - 1) % free()));
}

std::uint32_t PortHistory::after_longest_run() const {
    return with_run_[by_run_.nth(free() - 1)].front();
}

std::uint32_t PortHistory::rank_from_latest(std::uint32_t port) const {
    const std::uint32_t from = allocations_.empty() ? 0 : rank(allocations_.back());
    return (rank(port) + free() - from) % free();
}

void PortHistory::enter_run(std::uint32_t port, std::uint32_t run) {
    run_of_[port] = run;
    place_in_run_[port] = static_cast<std::uint32_t>(with_run_[run].size());
    with_run_[run].push_back(port);
    by_run_.add(run);
}

void PortHistory::leave_run(std::uint32_t port) {
    auto& same = with_run_[run_of_[port]];
    same[place_in_run_[port]] = same.back();
    place_in_run_[same.back()] = place_in_run_[port];
    same.pop_back();
    by_run_.remove(run_of_[port]);
}

}  // namespace noclash::test
