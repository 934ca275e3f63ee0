// SPDX-License-Identifier: Apache-2.0
#include "dpdk/config/checks.hpp"

#include <sched.h>

#include <algorithm>

namespace noclash::dpdk {

bool is_on_link(const Config& config, V4Address address) {
    return std::ranges::any_of(config.ports, [&](const PortConfig& port) {
        return port.prefix_length != 0 &&
               same_prefix<V4>(port.address, address, port.prefix_length);
    });
}

void check_whole(const Section& top, const Config& config, const Machine& machine) {
    const Whole whole{top,
                      config,
                      top.tables("port"),
                      top.tables("route"),
                      top.tables("pool"),
                      top.tables("rule"),
                      top.tables("service")};
    // A list that is too long, or no list at all, has been refused unread.
    if (whole.ports.size() != config.ports.size() ||
        whole.pools.size() != config.policy.pools.size() ||
        whole.rules.size() != config.policy.rules.size() ||
        whole.services.size() != config.policy.services.size())
        return;
    check_addresses(whole);
    check_reachability(whole);
    check_shadowing(whole);
    check_rules(whole);
    check_services(whole);
    check_pools(whole);
    check_sizes(whole);
    check_cpus(whole, machine);
}

namespace {

Machine look_at_machine() {
    Machine machine;
    cpu_set_t set;
    CPU_ZERO(&set);
    if (::sched_getaffinity(0, sizeof set, &set) != 0) return machine;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &set)) machine.cpus.push_back(cpu);
    return machine;
}

}  // namespace

Machine this_machine() {
    // A thread that asks later may be bound to one CPU.
    static const Machine machine = look_at_machine();
    return machine;
}

}  // namespace noclash::dpdk
