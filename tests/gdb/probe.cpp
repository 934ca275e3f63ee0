// SPDX-License-Identifier: Apache-2.0

// The objects that gdb is asked to print: tests/gdb/check_printers.py.

#include <cstdio>

#include "engine/flow_table.hpp"
#include "engine/flow_worker.hpp"
#include "engine/reservation.hpp"
#include "nat/conntrack/tcp_state.hpp"

namespace {

/// gdb stops here, and looks at the caller.
[[gnu::noinline]] void look() {
    std::puts("looked at");
}

}  // namespace

int main() {
    using namespace noclash;
    const Tuple<V4> original{*parse_address<V4>("10.1.0.7"),
                             *parse_address<V4>("192.0.2.80"),
                             Be16::from_host(40000),
                             Be16::from_host(80),
                             0,
                             6,
                             0};
    const Tuple<V6> six{*parse_address<V6>("2001:db8::7"),
                        *parse_address<V6>("2001:db8::80"),
                        Be16::from_host(5000),
                        Be16::from_host(53),
                        3,
                        17,
                        1};
    FlowTable<V4> table(1024, 1, 1);
    FlowWorker<V4> worker(table, 0, 0);
    worker.online();
    Reservation<V4> claim(worker, original);
    if (claim.reserve(original.inverse()) != SetupError::none) return 1;
    claim.record().rule = 7;
    claim.record().protocol_state.store(static_cast<std::uint8_t>(nat::TcpState::established));
    claim.record().marks.store(flow_mark::replied | flow_mark::assured);
    claim.record().counter(Direction::original).add(60);
    const auto& flow = worker.record(claim.publish(1000, 0));
    const V4Address address = flow.tuple(Direction::reply).source;
    look();
    worker.offline();
    return six.zone == 3 && address == original.destination ? 0 : 1;
}
