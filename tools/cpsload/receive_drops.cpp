// SPDX-License-Identifier: Apache-2.0
#include "tools/cpsload/receive_drops.hpp"

namespace noclash::cpsload {

std::uint64_t ReceiveDrops::Side::dropped() const {
    const dpdk::PortStats stats = port.stats();
    return stats.rx_missed + stats.rx_errors + stats.rx_no_buffers;
}

ReceiveDrops::ReceiveDrops(const dpdk::Port& client, const dpdk::Port& server)
    : client_{client}, server_{server} {
    for (Side* side : {&client_, &server_})
        side->before = side->dropped();
}

TesterLosses ReceiveDrops::since_start() const {
    return {client_.dropped() - client_.before, server_.dropped() - server_.before};
}

}  // namespace noclash::cpsload
