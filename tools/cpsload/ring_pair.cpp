// SPDX-License-Identifier: Apache-2.0
#include "tools/cpsload/ring_pair.hpp"

#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_ring.h>

#include <stdexcept>

namespace noclash::cpsload {
namespace {

// More than there are buffers: a full ring could make both sides wait for each other.
constexpr unsigned ring_packets = 32768;

void check(int error, const char* what) {
    if (error == 0) return;
    throw std::runtime_error(
        fmt::format("self-test: cannot {}: {}", what, ::rte_strerror(error < 0 ? -error : error)));
}

void start(std::uint16_t port, rte_mempool* packets) {
    const rte_eth_conf none{};
    check(::rte_eth_dev_configure(port, 1, 1, &none), "configure a ring");
    check(::rte_eth_rx_queue_setup(port, 0, 0, 0, nullptr, packets), "receive from a ring");
    check(::rte_eth_tx_queue_setup(port, 0, 0, 0, nullptr), "send to a ring");
    check(::rte_eth_dev_start(port), "start a ring");
}

}  // namespace

RingPair::RingPair(rte_mempool* packets) {
    try {
        for (std::size_t i = 0; i < rings_.size(); ++i) {
            rings_[i] =
                ::rte_ring_create(fmt::format("self-test-{}", i).c_str(), ring_packets,
                                  static_cast<int>(SOCKET_ID_ANY), RING_F_SP_ENQ | RING_F_SC_DEQ);
            if (rings_[i] == nullptr) check(rte_errno, "make a ring");
        }
        for (std::size_t i = 0; i < ports_.size(); ++i) {
            const int port = ::rte_eth_from_rings(fmt::format("self-test-{}", i).c_str(),
                                                  &rings_[i], 1, &rings_[1 - i], 1, 0);
            if (port < 0) check(rte_errno, "make a port of rings");
            ports_[i] = static_cast<std::uint16_t>(port);
            ++open_ports_;
            start(ports_[i], packets);
        }
    } catch (...) {
        close();
        throw;
    }
}

RingPair::~RingPair() {
    close();
}

void RingPair::close() {
    for (std::size_t i = 0; i < open_ports_; ++i) {
        ::rte_eth_dev_stop(ports_[i]);
        ::rte_eth_dev_close(ports_[i]);
    }
    for (rte_ring* ring : rings_)
        ::rte_ring_free(ring);
}

}  // namespace noclash::cpsload
