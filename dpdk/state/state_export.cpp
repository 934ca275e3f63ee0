// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "dpdk/config/version.hpp"
#include "dpdk/state/state_transfer.hpp"
#include "dpdk/state/stream_flow.hpp"
#include "engine/base/clock.hpp"

namespace noclash::dpdk {

namespace {

void check(const StateView& view) {
    switch (view.kind()) {
        case StateKind::adoptable:
            return;
        case StateKind::unfinished:
            view.refuse("nothing is in it");
        case StateKind::foreign:
            view.refuse("it is no state file of noclash");
        case StateKind::other_layout:
            view.refuse(fmt::format("it is of noclash {}, whose noclashctl can export it",
                                    text_of(view.header().release)));
        case StateKind::other_boot:
            view.refuse("its flows are from before the machine was started");
        case StateKind::damaged:
            view.refuse("it is shorter than it says");
    }
}

KeptPolicy policy_of(const StateView& view) {
    KeptPolicy policy = read_kept_policy(kept_policy_path(view.path()));
    if (policy.instance != view.header().instance)
        view.refuse("the names beside it belong to another state file");
    return policy;
}

std::uint64_t wall_ms() {
    using namespace std::chrono;
    return static_cast<std::uint64_t>(
        duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count());
}

}  // namespace

Transferred export_state(StateView& view, const FlowStreamWriter::Sink& sink,
                         const Progress& progress) {
    view.hold();
    check(view);
    const KeptPolicy policy = policy_of(view);
    const std::uint64_t now = now_ms();
    const std::uint64_t left = view.header().alive_ms.load(std::memory_order_relaxed);
    const Leaving moment{std::min(left, now), now};
    Transferred done;
    StreamFlow flow;
    for (const StateRecord& record : view.records())
        if (may_live(record)) ++(leave(record, moment, flow) ? done.carried : done.over);

    FlowStreamWriter writer(sink, {std::string(noclash_version), text_of(view.header().boot_id),
                                   wall_ms(), now, done.carried});
    writer.write(policy);
    writer.write(StreamLasting{view.lasting().clocks.keep(now), view.lasting().packet_ids.keep()});
    std::uint64_t written = 0;
    for (const StateRecord& record : view.records()) {
        if (!may_live(record) || !leave(record, moment, flow)) continue;
        writer.write(flow);
        if (++written % flows_between_signs == 0) progress(written, done.carried);
    }
    writer.end();
    return done;
}

}  // namespace noclash::dpdk
