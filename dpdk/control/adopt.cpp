// SPDX-License-Identifier: Apache-2.0
#include "dpdk/control/adopt.hpp"

#include <fmt/format.h>

#include "engine/base/clock.hpp"
#include "engine/base/parallel.hpp"
#include "nat/adoption.hpp"

namespace noclash::dpdk {

AdoptionReport adopt(Gateway& gateway, const std::vector<std::unique_ptr<Worker>>& workers,
                     Reloader& reloader) {
    AdoptionReport report;
    const std::uint64_t begun_ms = now_ms();
    const auto policy = gateway.policy.hold();
    const Round round{*policy, begun_ms};
    const nat::Adoption<V4, Production> adoption(gateway.flows, gateway.limits, round,
                                                 gateway.state->left_ms());
    report.records = adoption.counts();
    workers.front()->stock(adoption.spare());
    parallel_for(workers.size(), 1, [&](std::size_t begin, std::size_t end) {
        for (std::size_t i = begin; i != end; ++i)
            workers[i]->adopt(adoption.flows(), round);
    });
    report.flows = reloader.reconcile();
    gateway.state->keep(gateway.identities, policy->config);
    gateway.state->alive(now_ms());
    report.took_ms = now_ms() - begun_ms;
    return report;
}

std::string to_string(const AdoptionReport& report, const std::string& instance) {
    const AdoptionCounts& records = report.records;
    return fmt::format(
        "adopted {} flows of {} in {} ms ({} rolled back, {} over, {} refused; by the "
        "configuration: {} unchanged, {} living on, {} ended)",
        report.adopted(), instance, report.took_ms, records.rolled_back, records.over,
        report.refused(), report.flows.unchanged, report.flows.live_on, report.flows.ended);
}

}  // namespace noclash::dpdk
