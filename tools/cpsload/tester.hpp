// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "tools/cpsload/client.hpp"
#include "tools/cpsload/link.hpp"
#include "tools/cpsload/server.hpp"
#include "tools/cpsload/station.hpp"

namespace noclash::cpsload {

/// One side: where its packets go, and who it is on its link.
struct Side {
    Link& link;
    Station& station;
};

/// Both sides in one thread, a turn at a time. A received buffer becomes its answer, so a
/// connection takes one buffer from the pool for its opening and gives it back at its end.
class Tester {
  public:
    /// The stations know their gateways.
    Tester(Ledger& ledger, Side client, Side server, rte_mempool* packets);

    /// Takes what has arrived on both sides, and sends again what is overdue.
    /// @returns whether there was anything to do
    bool turn(Time now);
    /// Opens connections. @returns how many: fewer when there is no room for more
    std::uint32_t open(std::uint32_t count, Time now);
    /// Sends what `act(connection, room)` writes for each connection that is held, from slot
    /// `from` on, at most `burst`. @returns the slot to go on at; the number of slots at the end
    template <class Act>
    std::uint32_t visit_held(std::uint32_t from, std::uint32_t most, const Act& act);
    void flush();

    [[nodiscard]] Client& client() { return client_; }

  private:
    template <class Peer>
    std::size_t serve(Peer& peer, Side& side, Time now);
    bool repeat(Time now);
    void answer_arp(Side& side, rte_mbuf* frame);
    [[nodiscard]] bool allocate(std::uint16_t count);

    Ledger& ledger_;
    Side client_side_;
    Side server_side_;
    Client client_;
    Server server_;
    rte_mempool* packets_;
    std::array<rte_mbuf*, burst> fresh_{};
    std::array<Segment, burst> segments_;  // of the burst at hand
};

template <class Act>
std::uint32_t Tester::visit_held(std::uint32_t from, std::uint32_t most, const Act& act) {
    const std::uint32_t slots = ledger_.connections.slots();
    std::uint32_t visited = 0;
    for (; from < slots && visited < most; ++from) {
        Connection& connection = ledger_.connections[from];
        if (connection.state != ClientState::held) continue;
        if (client_side_.link.room() < 2UL * burst || !allocate(1)) break;
        const std::uint16_t length = act(connection, rte_pktmbuf_mtod(fresh_[0], std::uint8_t*));
        client_side_.link.send(fresh_[0], length);
        ++visited;
    }
    return from;
}

}  // namespace noclash::cpsload
